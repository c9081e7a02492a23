"""How much less a series says than as many independent points.

Neighbouring measurements resemble each other, and so does a walk that goes nowhere: its slope
varies by the *inflation* factor more than that of independent points. The factor is that of Hamed
and Rao ("A modified Mann-Kendall trend test for autocorrelated data", J. Hydrology 204, 1998),
with the correlations of a first-order process instead of the single ones, which are too noisy to
be added up. A detrended series looks less correlated than it is; that is put right first (M. G.
Kendall, "Note on bias in the estimation of autocorrelation", Biometrika 41, 1954, and for a
detrended series Orcutt and Winokur, Econometrica 37, 1969). Noise may hide a slow walk below it,
so the same is asked of means over ever longer stretches, and the worst answer counts.
"""

from __future__ import annotations

from math import inf

import numpy as np

from ohlcache.telemetry.trends.observations import Array

_FEWEST = 12


def inflation(residuals: Array) -> float:
    """The factor by which the variance of a slope exceeds that of independent points, ≥ 1."""
    plain = float(np.mean(residuals**2))
    if plain == 0.0:
        return 1.0
    worst, stretch = 1.0, 1
    while stretch == 1 or len(residuals) // stretch >= _FEWEST:
        means = _means(residuals, stretch)
        share = float(np.mean(means**2)) * stretch / plain
        worst = max(worst, share * _of_first_order(_first(means), len(means)))
        stretch *= 2
    return worst


def quantile(effective: float) -> float:
    """The 97.5% quantile of Student's t for a line through so many independent points."""
    freedom = effective - 2.0
    if freedom < 1.0:
        return inf
    z = 1.959964
    # Hill's expansion (1970) by powers of 1/freedom; too small by 15% at one degree only.
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return sum(term / freedom**power for power, term in enumerate(terms))


def _means(values: Array, stretch: int) -> Array:
    count = len(values) // stretch
    means: Array = values[len(values) - count * stretch :].reshape(count, stretch).mean(axis=1)
    return means


def _first(values: Array) -> float:
    """The correlation of neighbours, freed from the bias of detrending."""
    n = len(values)
    total = float(values @ values)
    found = float(values[:-1] @ values[1:]) / total if total else 0.0
    return min(max((n * found + 2.0) / (n - 4.0), 0.0), 1.0 - 0.1 / n)


def _of_first_order(correlation: float, n: int) -> float:
    lags = np.arange(1, n)
    weights = (n - lags) * (n - lags - 1.0) * (n - lags - 2.0)
    return 1.0 + 2.0 / (n * (n - 1.0) * (n - 2.0)) * float(weights @ correlation**lags)
