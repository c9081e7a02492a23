"""One jump from a level to another is no trend, though every rank test calls it one."""

from __future__ import annotations

from math import log

import numpy as np

from ohlcache.telemetry.trends.observations import Array

_EDGE = 3


def is_jump(values: Array, residuals: Array) -> bool:
    """Whether two levels describe the values better than the line that left ``residuals``."""
    n = len(values)
    about_line = float(np.sum((residuals - residuals.mean()) ** 2))
    about_levels = _about_two_levels(values)
    if about_line == 0.0:
        return False
    if about_levels <= 1e-12 * about_line:
        return True
    # One more parameter than the line has: where the jump is (Schwarz' criterion).
    return n * log(about_line / about_levels) > log(n)


def _about_two_levels(values: Array) -> float:
    """The least sum of squares about two levels."""
    centred = values - values.mean()
    before = np.arange(1, len(values))
    sums = np.cumsum(centred)[:-1]
    gained = sums**2 / before + sums**2 / (len(values) - before)
    inner = gained[_EDGE - 1 : len(gained) - _EDGE + 1]
    return float(centred @ centred) - float(inner.max(initial=0.0))
