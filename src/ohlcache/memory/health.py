"""Is the memory of the process well, why not, and what to do?

The rating is the worst of these, so nothing that gets worse can better it:

| rating    | use                        | development                                    |
|-----------|----------------------------|------------------------------------------------|
| Critical  | at the critical mark       | the limit is less than 10 minutes away         |
| Warning   | at the warning mark        | a leak; the limit is less than 2 hours away    |
| Good      | at 3/4 of the warning mark | the limit is less than a day away; unstable    |
| Excellent | below                      | no trend towards the limit, stable             |

*Stability* is 1 less the spread of RSS in the newest hour or so (from its 5th to its 95th
percentile) in parts of the limit; below 0.8 is unstable. Growth counts where it is a trend and not
noise or a season (`telemetry.trends`); what is a leak says `memory.leaks`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ohlcache.memory.limits import Limit
from ohlcache.memory.marks import Level, Marks
from ohlcache.memory.rating import Rating, rating_of_use
from ohlcache.memory.samples import Sample

if TYPE_CHECKING:
    from ohlcache.memory.leaks import LeakAssessment
    from ohlcache.memory.sites import AllocationSite
    from ohlcache.memory.suspects import Suspect

_UNSTABLE = 0.8
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
_MB = 2**20


class Reason(NamedTuple):
    """Why the rating is not better, and what to do about it."""

    message: str
    remedy: str


class Growth(NamedTuple):
    """Where RSS is going: bytes per hour (0.0: nowhere in particular), seconds to the limit."""

    bytes_per_hour: float
    time_to_limit_seconds: float | None


@dataclass(frozen=True, slots=True)
class Condition:
    """What is known, to be judged.

    in_vain: memory was wanted and next to nothing came.
    hanging: pressure callbacks that do not return.
    """

    rss: int
    limit: Limit
    marks: Marks
    level: Level
    stability: float
    growth: Growth
    leak: LeakAssessment
    in_vain: bool = False
    hanging: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class MemoryHealth:
    """What there is to say about the memory of the process.

    rating: "Excellent", "Good", "Warning" or "Critical".
    level: "normal", "warning" or "critical": the marks passed, with hysteresis.
    used_ratio: RSS in parts of the limit. stability: 0…1.
    growth_bytes_per_hour: 0.0 where there is no trend.
    time_to_limit_seconds: None where the limit will not be reached.
    reasons: what keeps the rating from being better, with remedies; the worst first.
    suspects: what grew, if there is a leak: types and places of allocation.
    """

    rating: str
    level: str
    used_ratio: float
    limit_bytes: int
    limit_source: str
    stability: float
    growth_bytes_per_hour: float
    time_to_limit_seconds: float | None
    leak: LeakAssessment
    reasons: tuple[Reason, ...]
    suspects: tuple[Suspect | AllocationSite, ...] = ()


def judged(found: Condition, suspects: Sequence[Suspect | AllocationSite] = ()) -> MemoryHealth:
    """The rating and its reasons."""
    points = sorted(
        [*_of_use(found), *_of_growth(found), *_of_causes(found)],
        key=lambda point: -point[0],
    )
    rating = max((rating for rating, _ in points), default=Rating.EXCELLENT)
    return MemoryHealth(
        rating=rating.word,
        level=found.level.name.lower(),
        used_ratio=found.rss / found.limit.bytes,
        limit_bytes=found.limit.bytes,
        limit_source=found.limit.source,
        stability=found.stability,
        growth_bytes_per_hour=found.growth.bytes_per_hour,
        time_to_limit_seconds=found.growth.time_to_limit_seconds,
        leak=found.leak,
        reasons=tuple(reason for _, reason in points),
        suspects=tuple(suspects),
    )


_Points = list[tuple[Rating, Reason]]


def _of_use(found: Condition) -> _Points:
    rating = rating_of_use(found.rss, found.marks, found.level)
    if rating is Rating.EXCELLENT:
        return []
    limit = found.limit
    message = (
        f"{found.rss / _MB:,.0f} MB of {limit.bytes / _MB:,.0f} MB are in use "
        f"({found.rss / limit.bytes:.0%}); the limit is the {limit.source}"
    )
    remedy = {
        Rating.GOOD: "nothing needs to be done",
        Rating.WARNING: "memory is being reclaimed; raise the limit if hit rates fall",
        Rating.CRITICAL: "raise the limit, or hold less: cache.l1.max_size_mb, history.memory_mb",
    }[rating]
    return [(rating, Reason(message, remedy))]


def _of_growth(found: Condition) -> _Points:
    points: _Points = []
    left = found.growth.time_to_limit_seconds
    if left is not None and left < _DAY:
        critical = left < 10 * _MINUTE
        rating = (
            Rating.CRITICAL if critical else Rating.WARNING if left < 2 * _HOUR else Rating.GOOD
        )
        message = (
            f"memory grows by {found.growth.bytes_per_hour / _MB:,.0f} MB an hour and will reach "
            f"the limit in about {_duration(left)}"
        )
        points.append((rating, Reason(message, "bound what grows, or raise memory.limit_mb")))
    if found.stability < _UNSTABLE:
        spread = (1 - found.stability) * found.limit.bytes / _MB
        message = f"memory swings by {spread:,.0f} MB"
        points.append((Rating.GOOD, Reason(message, "load and process in smaller pieces")))
    return points


def causes(found: Condition) -> list[Reason]:
    """Reasons that neither the use of memory nor its trend tells."""
    return [reason for _, reason in _of_causes(found)]


def _of_causes(found: Condition) -> _Points:
    points: _Points = []
    if found.leak.leaking:
        remedy = "see the suspects of get_memory_manager().health(), and what holds them"
        points.append((Rating.WARNING, Reason(found.leak.why, remedy)))
    if found.in_vain and found.level is not Level.NORMAL:
        message = "memory is wanted and nobody who was asked has any to give"
        remedy = (
            "what is in use is held outside of the caches: hold less there, register it with "
            "on_pressure, or raise memory.limit_mb"
        )
        points.append((Rating.WARNING, Reason(message, remedy)))
    for name in found.hanging:
        message = f"pressure callback {name!r} has not returned; it is not asked any more"
        points.append((Rating.WARNING, Reason(message, "have it return soon")))
    return points


def _duration(seconds: float) -> str:
    if seconds < 2 * _HOUR:
        return f"{max(1, round(seconds / _MINUTE))} min"
    return f"{seconds / _HOUR:.0f} h"


def stability_of(samples: Sequence[Sample], limit: int) -> float:
    """1 less the spread of RSS in parts of the limit, 0…1; 1.0 of fewer than two samples."""
    values = sorted(sample.rss for sample in samples)
    if len(values) < 2:
        return 1.0
    last = len(values) - 1
    spread = values[round(0.95 * last)] - values[round(0.05 * last)]
    return max(0.0, 1.0 - spread / limit)
