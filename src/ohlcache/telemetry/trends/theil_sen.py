"""Theil–Sen: the median of the slopes between all pairs of points.

A third of the points may be arbitrarily wrong before it breaks. Its confidence interval lies
between two order statistics of the slopes, whose distance follows from the variance of Kendall's S
(P. K. Sen, "Estimates of the regression coefficient based on Kendall's tau", JASA 63, 1968), here
with ties among the values. Cost: n²/2 slopes.
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from ohlcache.telemetry.trends.observations import Array

Bounds = tuple[float, float]


def slopes(times: Array, values: Array) -> Array:
    """The slopes between all pairs of points at different times, rising."""
    earlier, later = np.triu_indices(len(times), 1)
    apart = times[later] - times[earlier]
    differ = apart > 0
    rises = (values[later] - values[earlier])[differ]
    return np.sort(rises / apart[differ])


def bounds(ordered: Array, values: Array, *, inflation: float, quantile: float) -> Bounds:
    """Lowest and highest slope that agree with the points.

    ``inflation`` is by how much the variance of S exceeds that of independent points, ``quantile``
    that of the wanted confidence.
    """
    reach = quantile * sqrt(_variance_of_s(values) * inflation)
    last = len(ordered) - 1
    low = round((last - reach) / 2)
    high = round((last + reach) / 2)
    return float(ordered[max(low, 0)]), float(ordered[min(high, last)])


def kendall_z(values: Array) -> float:
    """Kendall's S of the values against their order, in its standard deviations."""
    earlier, later = np.triu_indices(len(values), 1)
    s = float(np.sign(values[later] - values[earlier]).sum())
    variance = _variance_of_s(values)
    return s / sqrt(variance) if variance > 0 else 0.0


def _variance_of_s(values: Array) -> float:
    n = len(values)
    _, ties = np.unique(values, return_counts=True)
    tied = float(np.sum(ties * (ties - 1.0) * (2.0 * ties + 5.0)))
    return (n * (n - 1.0) * (2.0 * n + 5.0) - tied) / 18.0
