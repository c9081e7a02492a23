"""The forecast for one subject."""

from __future__ import annotations

from ohlcache.telemetry.outlook.arrival import NEVER, Arrival, arrival
from ohlcache.telemetry.outlook.forecast import Forecast
from ohlcache.telemetry.outlook.subject import Subject
from ohlcache.telemetry.outlook.view import View, view
from ohlcache.telemetry.windows import Windows
from ohlcache.telemetry.wording import duration, in_words

_HOUR = 3600.0
_AHEAD = 6.0  # nothing is claimed of what is further ahead than so many times what was seen


def foretell(subject: Subject, windows: Windows) -> Forecast | None:
    """Where the subject is going, None where too little or no limit of it is known."""
    seen, limit = view(subject.series, windows), subject.limit_in(windows)
    if seen is None or limit is None:
        return None
    found = arrival(subject, seen, limit, windows)
    is_near = found.seconds is not None and found.seconds <= _AHEAD * seen.span
    told = found if is_near else NEVER
    return Forecast(
        metric=subject.metric,
        component=subject.component,
        slope_per_hour=seen.trend.slope * _HOUR,
        low_per_hour=seen.trend.low * _HOUR,
        high_per_hour=seen.trend.high * _HOUR,
        significant=seen.is_going_somewhere,
        reaches=limit,
        seconds=told.seconds,
        earliest=told.earliest,
        latest=told.latest,
        severity="warning" if is_near and subject.is_alarming else "info",
        sentence=_sentence(subject, seen, limit, found, is_near=is_near),
        remedy=subject.remedy,
    )


def _sentence(subject: Subject, seen: View, limit: float, found: Arrival, *, is_near: bool) -> str:
    if seen.is_usual:
        return f"{subject.called} moves within what the days before have seen"
    if not seen.is_going_somewhere:
        return f"{subject.called} shows no trend"
    reaching = subject.reaching.format(limit=in_words(limit, subject.unit))
    if is_near:
        return f"{subject.called} will {reaching} {_when(found)}"
    movement = _movement(subject, seen)
    if found.seconds is not None:
        return f"{movement}; it will not {reaching} within {duration(_AHEAD * seen.span)}"
    if found.is_bounded:
        return f"{movement} as caches fill; when these are full it will not {reaching}"
    return movement


def _when(found: Arrival) -> str:
    """ "in about 3 h (between 2 h 20 min and 4 h 10 min)"."""
    assert found.seconds is not None  # it is near
    about = f"in about {duration(found.seconds)}"
    if found.earliest is None or found.latest is None:
        return about
    return f"{about} (between {duration(found.earliest)} and {duration(found.latest)})"


def _movement(subject: Subject, seen: View) -> str:
    """ "memory of the process rises by 24 MB an hour"."""
    hourly = seen.trend.slope * _HOUR
    amount = (
        f"{100 * abs(hourly):.2g} points"
        if subject.unit == "ratio"
        else in_words(abs(hourly), subject.unit)
    )
    return f"{subject.called} {'rises' if hourly > 0 else 'falls'} by {amount} an hour"
