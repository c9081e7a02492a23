"""Leak or no leak: the evidence weighed, the verdict, and its reason in words.

A leak is growth of the floor that goes on. Three things must hold: the floor's shape is one that
does not come to an end, its growth in the later part is beyond noise, and the growth matters.
A curve that never falls because its first tooth, or its first day, is not over yet cannot be told
from a leak; samples over several of both are what helps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

import numpy as np

from ohlcache.memory.leaks.floor import Floor, floor_of
from ohlcache.memory.leaks.shapes import Verdict, judged
from ohlcache.telemetry.trends.observations import Array, observations, thinned
from ohlcache.telemetry.trends.theil_sen import kendall_z
from ohlcache.telemetry.trends.trend import Trend, trend

_FEWEST_SAMPLES = 20
_MOST_POINTS = 120
_FEWEST_FOR_TREND = 16
_LATER = 0.4
# Of all orders of five troughs, only the one that always rises is beyond this.
_BEYOND_CHANCE = 2.2
# Shares of the size: within what was seen, and in an hour.
_GROWTH_THAT_MATTERS = 0.0005
_GROWTH_AN_HOUR_THAT_MATTERS = 0.001
_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class LeakAssessment:
    """leaking: whether memory grows without end.

    bytes_per_hour: how fast the floor grows at the end (negative: shrinks). confidence: of the
    verdict, 0…1. why: one sentence.
    """

    leaking: bool
    bytes_per_hour: float
    confidence: float
    why: str


def assess_leak(
    times: Sequence[float] | Array,
    rss_bytes: Sequence[float] | Array,
    *,
    held_bytes: Sequence[float] | Array | None = None,
) -> LeakAssessment:
    """Judge memory measured at ``times`` (seconds, not falling), two sequences of equal length.

    ``held_bytes`` is what known caches account for at the same times: growth that they explain is
    no leak. Samples with a NaN are left out. At least 20 are needed, and more say more.

    InvalidArgument when they are empty, of different lengths, not numbers, or times fall.
    """
    at, size = observations(times, rss_bytes, "rss_bytes")
    if held_bytes is not None:
        observations(times, held_bytes, "held_bytes")
        at, size = observations(times, np.subtract(rss_bytes, held_bytes), "rss_bytes")
    if len(at) < _FEWEST_SAMPLES or at[0] == at[-1]:
        why = (
            f"{len(at)} samples are too few to tell a leak from other growth: "
            f"at least {_FEWEST_SAMPLES} at different times are needed"
        )
        return LeakAssessment(False, 0.0, 0.0, why)
    return _judge(at - at[0], size)


def _judge(at: Array, size: Array) -> LeakAssessment:
    floor = floor_of(at, size)
    span = float(at[-1])
    times, values = thinned(floor.times, floor.values, _MOST_POINTS)
    verdict = judged(times / span, values)
    usual = float(np.median(size))
    doubt = _doubt(floor, span, verdict, usual)
    if doubt is not None or verdict.leak is None:
        slope = _later(floor, span).slope
        confidence = _confidence(max(-verdict.lead, 0.0))
        return LeakAssessment(False, slope * _HOUR, confidence, f"no leak: {doubt}")
    rate = verdict.leak.rate / span * _HOUR
    why = (
        f"leak: {_measured(floor)} {verdict.leak.name}, now by {_bytes(rate)} an hour "
        f"({rate / max(abs(usual), 1.0):.1%} of its size), and gave nothing back "
        f"in {_duration(span)}"
    )
    return LeakAssessment(True, rate, _confidence(verdict.lead), why)


def _doubt(floor: Floor, span: float, verdict: Verdict, usual: float) -> str | None:
    """Why it is no leak; None where it is one."""
    if verdict.leak is None or verdict.lead <= 0:
        return f"{_measured(floor)} {verdict.other.name} in {_duration(span)}"
    rate = verdict.leak.rate
    hours = span / _HOUR
    if rate < abs(usual) * max(_GROWTH_THAT_MATTERS, _GROWTH_AN_HOUR_THAT_MATTERS * hours):
        return f"{_measured(floor)} grows by {_bytes(rate / hours)} an hour, too little to matter"
    if not _is_beyond_chance(floor, span):
        return f"{_measured(floor)} moves within its noise in {_duration(span)}"
    return None


def _is_beyond_chance(floor: Floor, span: float) -> bool:
    """Whether the floor rises by more than noise explains, as a whole or in its later part."""
    if floor.has_teeth and len(floor.times) < _FEWEST_FOR_TREND:
        return kendall_z(floor.values) > _BEYOND_CHANCE
    return trend(floor.times, floor.values).low > 0 or _later(floor, span).low > 0


def _later(floor: Floor, span: float) -> Trend:
    late = floor.times >= _LATER * span
    return trend(floor.times[late], floor.values[late])


def _confidence(lead: float) -> float:
    """The probability that Schwarz' criterion gives to the better of two shapes."""
    return 1 / (1 + exp(-min(lead, 100.0) / 2))


def _measured(floor: Floor) -> str:
    if floor.has_teeth:
        return f"what remains at the {len(floor.times)} troughs of its sawtooth"
    return "memory"


def _bytes(count: float) -> str:
    return f"{count / 2**20:,.1f} MB"


def _duration(seconds: float) -> str:
    return f"{seconds / _HOUR:.1f} h" if seconds >= 2 * _HOUR else f"{seconds / 60:.1f} min"
