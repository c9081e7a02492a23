"""Trading sessions: when a venue is open, so that a closed market is not taken for missing data.

A session is a sequence of spans in which there is trading, each [open, close) in ms since the
epoch, UTC. Weekly ones are written in the wall clock of a time zone and follow its changes;
holidays are known to the calendars of the ``exchange_calendars`` package only.
"""

from __future__ import annotations

import re
import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ohlcache.candles.block import Mask, Times
from ohlcache.candles.grid import Grid
from ohlcache.candles.interval import normalise
from ohlcache.candles.timeframe import DAY, HOUR, MINUTE, WEEK, Timeframe
from ohlcache.candles.zones import from_local, to_local, zone_info
from ohlcache.errors import InvalidArgument, MissingExtra

BUILT_IN = {
    "24/7": "Mon 00:00-Sun 24:00 UTC",
    "fx": "Sun 17:00-Fri 17:00 America/New_York",
    "us_equities": "Mon-Fri 09:30-16:00 America/New_York",
    "us_equities_extended": "Mon-Fri 04:00-20:00 America/New_York",
}

_EXAMPLE = "Mon-Fri 09:00-17:30 Europe/Berlin"
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = r"(mon|tue|wed|thu|fri|sat|sun)"
_TIME = r"(\d\d:\d\d)"
_SAME_HOURS_EACH_DAY = re.compile(rf"{_DAY}(?:-{_DAY})? {_TIME}-{_TIME}")
_ACROSS_DAYS = re.compile(rf"{_DAY} {_TIME} ?- ?{_DAY} {_TIME}")

_WEEKS = Grid(Timeframe.parse("1w"))
_LONG_AGO, _FAR_AHEAD = -(2**62), 2**62
_EARLY = "1990-01-01"


class Session(ABC):
    """When a venue trades. ``spans`` is all that a kind of session has to say."""

    @abstractmethod
    def spans(self, start: int, end: int) -> tuple[Times, Times]:
        """Opens and closes, ms, of at least all trading spans that overlap [start, end).

        Both ascend; a span may touch the next one but not overlap it.
        """

    def is_open(self, times: Times) -> Mask:
        """At which of the moments (ms) there is trading; the close itself is closed."""
        if not len(times):
            return np.empty(0, np.bool_)
        opens, closes = self.spans(int(times.min()), int(times.max()) + 1)
        at = np.searchsorted(opens, times, "right") - 1
        if not len(opens):
            return np.zeros(len(times), np.bool_)
        is_open: Mask = (at >= 0) & (times < closes[at])
        return is_open

    def has_trading(self, starts: Times, ends: Times) -> Mask:
        """In which of the ranges [start, end) there is any trading, for candles of any length."""
        if not len(starts):
            return np.empty(0, np.bool_)
        opens, closes = self.spans(int(starts.min()), int(ends.max()))
        following = np.searchsorted(closes, starts, "right")
        has_trading: Mask = np.append(opens, _FAR_AHEAD)[following] < ends
        return has_trading


@dataclass(frozen=True, slots=True)
class WeeklySession(Session):
    """The same hours every week: ``hours`` are (open, close) in local ms since Monday 00:00.

    A close may lie beyond the end of the week, up to a week after its open.
    """

    zone: str
    hours: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        zone_info(self.zone)
        for start, end in self.hours:
            if not 0 <= start < WEEK or not start < end <= start + WEEK:
                raise InvalidArgument(
                    f"hours has ({start}, {end}): open within the week (0 to {WEEK} ms from "
                    "Monday) and close after that, within a week"
                )
        wrapped = [(start - WEEK, end - WEEK) for start, end in self.hours]
        within = normalise([*self.hours, *wrapped])
        clipped = tuple((max(s, 0), min(e, WEEK)) for s, e in within if s < WEEK and e > 0)
        object.__setattr__(self, "hours", clipped)

    def spans(self, start: int, end: int) -> tuple[Times, Times]:
        """Opens and closes of the weeks around [start, end)."""
        low, high = to_local(np.array([start, end], np.int64), self.zone)
        weeks = _WEEKS.points(_WEEKS.floor(int(low) - DAY), int(high) + DAY)
        hours = np.array(self.hours, np.int64).reshape(-1, 2)
        opens = from_local((weeks[:, None] + hours[:, 0]).ravel(), self.zone)
        closes = from_local((weeks[:, None] + hours[:, 1]).ravel(), self.zone)
        return opens, closes


@dataclass(frozen=True, slots=True)
class CalendarSession(Session):
    """The sessions, holidays and breaks of a calendar of ``exchange_calendars``, by its name.

    Times before and after the years that the calendar knows count as open: nothing is called
    closed that may have traded.
    """

    name: str

    def __post_init__(self) -> None:
        _calendar_spans(self.name, None)

    def spans(self, start: int, end: int) -> tuple[Times, Times]:
        """Opens and closes of the spans that overlap [start, end)."""
        opens, closes = _calendar_spans(self.name, None)
        if start < closes[0]:  # the end of the time before what is known
            opens, closes = _calendar_spans(self.name, _EARLY)
        low, high = np.searchsorted(closes, start, "right"), np.searchsorted(opens, end)
        return opens[low:high], closes[low:high]


def session(name: str) -> Session:
    """The session of this name, or the one that the text describes.

    Names are ``24/7``, ``fx``, ``us_equities``, ``us_equities_extended`` (without holidays) and,
    with the extra "calendars", those of ``exchange_calendars`` such as ``XNYS``. A description
    lists days and hours and ends with a time zone: ``Mon-Fri 09:00-17:30 Europe/Berlin``,
    ``Sun 17:00-Fri 17:00 America/New_York``, ``Mon-Thu 18:00-02:00, Fri 18:00-24:00 UTC``; hours
    that end before they begin end on the next day.

    Raises InvalidArgument for any other text, MissingExtra where the package is not installed.
    """
    if name in BUILT_IN:
        return _parse(BUILT_IN[name])
    if name[:3].lower() in _DAYS and " " in name:
        return _parse(name)
    return CalendarSession(name)


@lru_cache(maxsize=256)
def _parse(text: str) -> WeeklySession:
    days, _, zone = text.strip().rpartition(" ")
    hours: list[tuple[int, int]] = []
    for part in days.lower().split(","):
        clean = re.sub(rf"{_DAY}[a-z]*", r"\1", " ".join(part.split()))
        if match := _SAME_HOURS_EACH_DAY.fullmatch(clean):
            first = _DAYS.index(match[1])
            count = (_DAYS.index(match[2] or match[1]) - first) % 7 + 1
            opens, closes = _time_of_day(match[3], text), _time_of_day(match[4], text)
            if closes <= opens:
                closes += DAY
            starts = [(first + day) % 7 * DAY for day in range(count)]
            hours += [(start + opens, start + closes) for start in starts]
        elif match := _ACROSS_DAYS.fullmatch(clean):
            start = _DAYS.index(match[1]) * DAY + _time_of_day(match[2], text)
            end = _DAYS.index(match[3]) * DAY + _time_of_day(match[4], text)
            hours.append((start, end if end > start else end + WEEK))
        else:
            raise _unreadable(text)
    return WeeklySession(zone, tuple(hours))


def _time_of_day(text: str, session_text: str) -> int:
    hour, minute = int(text[:2]), int(text[3:])
    time = hour * HOUR + minute * MINUTE
    if minute > 59 or time > DAY:
        raise _unreadable(session_text)
    return time


def _unreadable(text: str) -> InvalidArgument:
    return InvalidArgument(
        f"session {text!r} cannot be read: write days, hours and a zone, such as {_EXAMPLE!r}"
    )


@lru_cache(maxsize=64)
def _calendar_spans(name: str, start: str | None) -> tuple[Times, Times]:
    """Opens and closes of a calendar, with what it does not know as one open span at each end."""
    calendar = _calendar(name, start)
    opens, closes = calendar.opens_nanos // 10**6, calendar.closes_nanos // 10**6
    breaks, resumes = calendar.break_starts_nanos, calendar.break_ends_nanos
    has_break = breaks > np.iinfo(np.int64).min  # NaT
    breaks, resumes = breaks[has_break] // 10**6, resumes[has_break] // 10**6
    unknown_until, unknown_from = opens[0], closes[-1]
    return (
        np.sort(np.concatenate(([_LONG_AGO], opens, resumes, [unknown_from]))),
        np.sort(np.concatenate(([unknown_until], breaks, closes, [_FAR_AHEAD]))),
    )


def _calendar(name: str, start: str | None) -> Any:
    try:
        import exchange_calendars
    except ImportError as error:
        raise MissingExtra("exchange_calendars", "calendars") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # how the package uses pandas is not for our users to mend
        try:
            return exchange_calendars.get_calendar(name, start=start)
        except exchange_calendars.errors.InvalidCalendarName as error:
            names = ", ".join(exchange_calendars.get_calendar_names(include_aliases=False))
            raise InvalidArgument(
                f"session {name!r} is not known: use {', '.join(BUILT_IN)}, hours such as "
                f"{_EXAMPLE!r}, or one of the calendars {names}"
            ) from error
        except (ValueError, NotImplementedError):
            # Not every calendar reaches that far back; without a start each gives what it has.
            return exchange_calendars.get_calendar(name)
