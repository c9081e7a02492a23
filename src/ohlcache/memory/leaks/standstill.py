"""Has the growth stopped? A tail that is flat, and flatter than the growth before ever was.

How long a curve has stood at its level is told for each of its points: the time since it was last
lower than that by more than its noise. While growth goes on this is much the same everywhere, long
for coarse steps and for noise, short for a clean slope. A tail stands still when it has stood twice
as long as any point before it, and the growth missed meanwhile is beyond the noise.
"""

from __future__ import annotations

import numpy as np

from ohlcache.memory.leaks.floor import noise_of
from ohlcache.telemetry.trends.observations import Array, thinned

_MOST_POINTS = 720
_FEWEST_POINTS = 24
_FEWEST_BEFORE = 12
_FEWEST_IN_TAIL = 6
_WINDOW = 5
_NOISE = 3.0
_LONGER = 2.0
_MISSED = 6.0
_PAGE = 4096.0


def stands_still(times: Array, values: Array) -> bool:
    """Whether a curve that grew has come to an end of it, of times that count from 0.0."""
    if len(times) < _FEWEST_POINTS:
        return False
    times, values = thinned(times, values, _MOST_POINTS)
    noise = max(noise_of(values), _PAGE)
    level = _smoothed(values)
    stood = _stood(times, level, _NOISE * noise)
    began = int(np.searchsorted(times, times[-1] - stood[-1]))
    if began < _FEWEST_BEFORE or len(times) - began < _FEWEST_IN_TAIL:
        return False
    if stood[-1] <= _LONGER * stood[:began].max():
        return False
    line = np.polynomial.Polynomial.fit(times[:began], level[:began], 1)
    off = float(np.std(level[:began] - line(times[:began])))
    missed = float(line.deriv()(times[-1])) * stood[-1]
    return bool(missed > _MISSED * max(off, noise))


def _smoothed(values: Array) -> Array:
    ends = np.pad(values, _WINDOW // 2, mode="edge")
    smooth: Array = np.median(np.lib.stride_tricks.sliding_window_view(ends, _WINDOW), axis=1)
    return smooth


def _stood(times: Array, level: Array, margin: float) -> Array:
    """For each point, how long ago the curve was last lower by more than the margin."""
    lower = level[np.newaxis, :] < level[:, np.newaxis] - margin
    lower &= np.tri(len(level), dtype=bool)
    since = len(level) - np.argmax(lower[:, ::-1], axis=1)
    stood: Array = times - times[np.where(lower.any(axis=1), since, 0)]
    return stood
