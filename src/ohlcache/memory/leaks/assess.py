"""Leak or no leak: the evidence weighed, the verdict, and its reason in words.

A leak is growth of the floor that goes on. These must hold: the floor's shape is one that does not
come to an end, its growth in the later part is beyond noise, it has not stopped at last, it is more
than a few steps, and it matters.
A curve that never falls because its first tooth, or its first day, is not over yet cannot be told
from a leak; samples over several of both are what helps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, sqrt

import numpy as np

from ohlcache.memory.leaks.floor import Floor, floor_of
from ohlcache.memory.leaks.holding import missed_share
from ohlcache.memory.leaks.shapes import Verdict, judged
from ohlcache.memory.leaks.standstill import stands_still
from ohlcache.memory.leaks.steps import is_few_steps
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
# What is seen for less may be a start; many samples make up for it, but not for all doubt.
_LONG_ENOUGH = 600.0
_MANY_SAMPLES = 60


@dataclass(frozen=True, slots=True)
class LeakAssessment:
    """leaking: whether memory grows without end.

    bytes_per_hour: how fast the floor grows at the end (negative: shrinks). confidence: of the
    verdict, 0…1; below 0.5 for what was seen for less than two and a half minutes. why: one
    sentence.
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
    """Judge memory measured at ``times``, two sequences of equal length.

    Times do not fall; they are datetimes, ISO texts or numbers of seconds.

    ``held_bytes`` is what known caches account for at the same times: growth that they explain is
    no leak, nor is what goes with it and is small beside it (see ``holding``). Samples with a NaN
    are left out.

    At least 20 samples are needed, and 60 to call a leak what was seen for less than ten minutes.
    The confidence grows with the root of the time up to ten minutes.

    InvalidArgument when they are empty, of different lengths, not numbers, or times fall.
    """
    at, size = observations(times, rss_bytes, "rss_bytes")
    held = np.zeros_like(size)
    if held_bytes is not None:
        observations(times, held_bytes, "held_bytes")
        rest = np.subtract(rss_bytes, held_bytes)
        at, size = observations(times, rest, "rss_bytes")
        _, held = observations(times, np.subtract(rss_bytes, rest), "held_bytes")
    if len(at) < _FEWEST_SAMPLES or at[0] == at[-1]:
        why = (
            f"{len(at)} samples are too few to tell a leak from other growth: "
            f"at least {_FEWEST_SAMPLES} at different times are needed"
        )
        return LeakAssessment(False, 0.0, 0.0, why)
    found = _judge(at - at[0], size)
    return _without_missed(found, at - at[0], size, held) if found.leaking else found


def _without_missed(found: LeakAssessment, at: Array, size: Array, held: Array) -> LeakAssessment:
    """What is found of memory that is not held, once more without what goes with what is held."""
    share = missed_share(at, size, held)
    if share == 0.0:
        return found
    rest = _judge(at, size - share * held)
    if rest.leaking:
        return found
    why = f"no leak: memory grows with what caches hold, by {share:.0%} more than they account for"
    return replace(rest, why=why)


def _judge(at: Array, size: Array) -> LeakAssessment:
    floor = floor_of(at, size)
    span = float(at[-1])
    times, values = thinned(floor.times, floor.values, _MOST_POINTS)
    verdict = judged(times / span, values)
    usual = float(np.median(size))
    doubt = _doubt(floor, span, verdict, usual) or _brevity(len(at), span)
    if doubt is not None or verdict.leak is None:
        slope = _later(floor, span).slope
        confidence = _confidence(max(-verdict.lead, 0.0), span)
        return LeakAssessment(False, slope * _HOUR, confidence, f"no leak: {doubt}")
    rate = verdict.leak.rate / span * _HOUR
    why = (
        f"leak: {_measured(floor)} {verdict.leak.name}, now by {_bytes(rate)} an hour "
        f"({rate / max(abs(usual), 1.0):.1%} of its size), and gave nothing back "
        f"in {_duration(span)}"
    )
    return LeakAssessment(True, rate, _confidence(verdict.lead, span), why)


def _doubt(floor: Floor, span: float, verdict: Verdict, usual: float) -> str | None:
    """Why it is no leak; None where it is one."""
    if verdict.leak is None or verdict.lead <= 0:
        return f"{_measured(floor)} {verdict.other.name} in {_duration(span)}"
    rate = verdict.leak.rate
    hours = span / _HOUR
    if rate < abs(usual) * max(_GROWTH_THAT_MATTERS, _GROWTH_AN_HOUR_THAT_MATTERS * hours):
        return f"{_measured(floor)} grows by {_bytes(rate / hours)} an hour, too little to matter"
    if stands_still(floor.times, floor.values):
        return f"{_measured(floor)} grew and has stopped growing in {_duration(span)}"
    if is_few_steps(*thinned(floor.times, floor.values, _MOST_POINTS)):
        return f"{_measured(floor)} grew in few steps in {_duration(span)}"
    if not _is_beyond_chance(floor, span):
        return f"{_measured(floor)} moves within its noise in {_duration(span)}"
    return None


def _brevity(samples: int, span: float) -> str | None:
    """Why they are too few in too short a time; None where they are enough."""
    if span >= _LONG_ENOUGH or samples >= _MANY_SAMPLES:
        return None
    return (
        f"{samples} samples in {_duration(span)} may be a start: {_MANY_SAMPLES} of them, or "
        f"{_duration(_LONG_ENOUGH)}, would say more"
    )


def _is_beyond_chance(floor: Floor, span: float) -> bool:
    """Whether the floor rises by more than noise explains, as a whole or in its later part."""
    if floor.has_teeth and len(floor.times) < _FEWEST_FOR_TREND:
        return kendall_z(floor.values) > _BEYOND_CHANCE
    return trend(floor.times, floor.values).low > 0 or _later(floor, span).low > 0


def _later(floor: Floor, span: float) -> Trend:
    late = floor.times >= _LATER * span
    return trend(floor.times[late], floor.values[late])


def _confidence(lead: float, span: float) -> float:
    """The probability that Schwarz' criterion gives to the better of two shapes, seen so long."""
    return sqrt(min(span / _LONG_ENOUGH, 1.0)) / (1 + exp(-min(lead, 100.0) / 2))


def _measured(floor: Floor) -> str:
    if floor.has_teeth:
        return f"what remains at the {len(floor.times)} troughs of its sawtooth"
    return "memory"


def _bytes(count: float) -> str:
    return f"{count / 2**20:,.1f} MB"


def _duration(seconds: float) -> str:
    return f"{seconds / _HOUR:.1f} h" if seconds >= 2 * _HOUR else f"{seconds / 60:.1f} min"
