"""When a trend gets to the limit, given that part of the growth ends before.

What is accounted to caches stops growing where they are full, so memory that grows because they
fill is not foretold to grow for ever:

    grown(t) = own * t + min(bounded * t, room)
"""

from __future__ import annotations

from typing import NamedTuple

from ohlcache.telemetry.outlook.subject import Subject
from ohlcache.telemetry.outlook.view import View, trend_of
from ohlcache.telemetry.windows import Windows


class Arrival(NamedTuple):
    """Seconds until the limit: likely, and by the confidence bounds; None: never.

    is_bounded: whether it would get there, were it not for caches that stop growing when full.
    """

    seconds: float | None
    earliest: float | None
    latest: float | None
    is_bounded: bool = False


NEVER = Arrival(None, None, None)


class _Pace(NamedTuple):
    """Growth towards the limit per second: likely, and the slowest and fastest there may be."""

    likely: float
    slow: float
    fast: float


_STILL = _Pace(0.0, 0.0, 0.0)


def arrival(subject: Subject, seen: View, limit: float, windows: Windows) -> Arrival:
    """When what was seen of the subject is at the limit; never where it is there already."""
    whole = _pace(seen, falling=subject.falling)
    gap = (seen.trend.last - limit) if subject.falling else (limit - seen.trend.last)
    if gap <= 0 or whole.likely <= 0:
        return NEVER
    own, room = _own(subject, seen, whole, windows)
    seconds = _until(gap, whole.likely, own.likely, room)
    if seconds is None:
        return NEVER._replace(is_bounded=True)
    earliest = _until(gap, whole.fast, own.fast, room)
    return Arrival(seconds, earliest, _until(gap, whole.slow, own.slow, room))


def _pace(seen: View, *, falling: bool) -> _Pace:
    if not seen.is_going_somewhere:
        return _STILL
    low, high = seen.trend.low, seen.trend.high
    return _Pace(-seen.trend.slope, -high, -low) if falling else _Pace(seen.trend.slope, low, high)


def _own(subject: Subject, seen: View, whole: _Pace, windows: Windows) -> tuple[_Pace, float]:
    """The pace without the parts that end by themselves, and the room these have left."""
    own, room = dict(seen.points), 0.0
    for part in subject.parts:
        points, limit = part.series.points(windows, seen.resolution), windows.level(part.limit)
        if not points or limit is None:
            continue
        room += max(0.0, limit - points[-1][1])
        for at, value in points:
            if at in own:
                own[at] -= value
    if not room:
        return whole, 0.0
    trend = trend_of(list(own.items()))
    if not trend.significant or trend.slope <= 0:
        return _STILL, room
    return _Pace(trend.slope, trend.low, trend.high), room


def _until(gap: float, whole: float, own: float, room: float) -> float | None:
    """Seconds until ``whole`` has grown by ``gap``, if all but ``own`` ends after ``room``."""
    if (whole - own) * gap <= room * whole:
        return gap / whole
    return (gap - room) / own if own > 0 else None
