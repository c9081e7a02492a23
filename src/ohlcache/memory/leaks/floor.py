"""The floor of a memory curve: what is left when the collector or a batch job has let go.

Memory that is allocated and given back draws teeth. Their heights say nothing about a leak, their
troughs everything. A tooth ends where the curve falls by more than its noise explains; a series
without teeth is its own floor.
"""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

import numpy as np

from ohlcache.telemetry.trends.observations import Array

_SPIKE = 5.0
_SHAKING = 9.0
_SHARE = 0.3
_ENOUGH = 5


class Floor(NamedTuple):
    """Its points, and whether they are troughs; times count from 0.0."""

    times: Array
    values: Array
    has_teeth: bool


def floor_of(times: Array, values: Array) -> Floor:
    """The troughs, where there are enough of them, otherwise all points without single spikes."""
    noise = noise_of(values)
    calm = _without_spikes(values, noise)
    troughs = _troughs(calm, _tooth(times, calm, noise))
    if not _are_enough(times, troughs):
        return Floor(times, calm, False)
    return Floor(times[troughs], calm[troughs], True)


def _are_enough(times: Array, troughs: list[int]) -> bool:
    """Teeth from the first part to the last, so that the troughs tell of the whole curve."""
    if len(troughs) < _ENOUGH:
        return False
    first, last = times[troughs[0]] / times[-1], times[troughs[-1]] / times[-1]
    return bool(first < 0.5 and last > 0.7)


def noise_of(values: Array) -> float:
    """The spread of the noise, from the differences of neighbours."""
    steps = np.diff(values)
    return 1.4826 * float(np.median(np.abs(steps - np.median(steps)))) / sqrt(2)


def _without_spikes(values: Array, noise: float) -> Array:
    """What stands out from both its neighbours by more than noise becomes like them."""
    ends = np.concatenate([values[:2], values, values[-2:]])
    around = np.median(np.lib.stride_tricks.sliding_window_view(ends, 5), axis=1)
    calm: Array = np.where(np.abs(values - around) > _SPIKE * noise, around, values)
    return calm


def _tooth(times: Array, values: Array, noise: float) -> float:
    """How far the curve must fall to end a tooth: beyond noise, and by a share of its height."""
    line = np.polynomial.Polynomial.fit(times, values, 1)(times)
    low, high = np.quantile(values - line, (0.02, 0.98))
    return max(_SHAKING * noise, _SHARE * float(high - low), 4096.0)


def _troughs(values: Array, tooth: float) -> list[int]:
    """Where the curve is lowest between a fall and a rise of at least a tooth."""
    troughs: list[int] = []
    peak = trough = 0
    falling = False
    for at, value in enumerate(values):
        if falling:
            if value < values[trough]:
                trough = at
            elif value >= values[trough] + tooth:
                troughs.append(trough)
                falling, peak = False, at
        elif value > values[peak]:
            peak = at
        elif value <= values[peak] - tooth:
            falling, trough = True, at
    if falling:
        troughs.append(trough)
    return troughs
