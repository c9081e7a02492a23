"""Steady progress of a series that does not keep to a line: curves, and walks with a drift.

About a curve the residuals of a line are as alike as those of a walk, so there they decide
nothing. The series is cut into stretches instead: for a walk without drift the steps between their
medians are up or down by the toss of a coin, and the least and the largest of them are bounds of
the median step by the sign test; eight steps the same way happen once in 128 times.
"""

from __future__ import annotations

import numpy as np

from ohlcache.telemetry.trends.observations import Array, thinned
from ohlcache.telemetry.trends.theil_sen import Bounds

_STRETCHES = 9


def drift_bounds(times: Array, values: Array) -> Bounds | None:
    """Least and largest slope from stretch to stretch; None where there are too few points."""
    if len(times) < 2 * _STRETCHES:
        return None
    at, level = thinned(times, values, _STRETCHES)
    if len(at) < _STRETCHES:
        return None
    steps = np.diff(level) / np.diff(at)
    return float(steps.min()), float(steps.max())
