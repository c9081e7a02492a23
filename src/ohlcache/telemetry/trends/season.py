"""Waves: what a series does again and again by the hour or by the day is no trend.

The wave is looked for with a least-squares periodogram together with a line (N. R. Lomb, 1976),
so that times need not be even, and is taken away with its next harmonics. It is taken away only
where it was seen several times and rules the series; any other wave stays in, where it counts as
autocorrelation and widens the bounds. So a wave that is overlooked costs certainty and never
makes a trend.
"""

from __future__ import annotations

import numpy as np

from ohlcache.telemetry.trends.observations import Array, tamed

_FEWEST_CYCLES = 3.0
_SLOWEST = 1.0
_HARMONICS = 5
_RULING = 0.35
_POINTS_A_CYCLE = 5


def without_wave(times: Array, values: Array) -> Array:
    """The values without their wave, if they have one."""
    phase = (times - times[0]) / (times[-1] - times[0])
    most = len(times) / _POINTS_A_CYCLE
    if most < _FEWEST_CYCLES:
        return values
    line = np.polynomial.Polynomial.fit(phase, values, 1)(phase)
    tame = line + tamed(values - line)
    cycles, explained = _best(phase, tame, np.arange(_SLOWEST, most, 0.25))
    if cycles < _FEWEST_CYCLES or explained < _RULING:
        return values
    cycles, _ = _best(phase, tame, cycles + np.linspace(-0.25, 0.25, 26))
    harmonics = [1, *(h for h in range(2, _HARMONICS + 1) if h * cycles < most)]
    waves = np.column_stack([_wave(phase, h * cycles) for h in harmonics])
    straight = np.column_stack([np.ones_like(phase), phase])
    found, *_ = np.linalg.lstsq(np.hstack([straight, waves]), tame, rcond=None)
    without: Array = values - (waves - waves.mean(axis=0)) @ found[2:]
    return without


def _wave(phase: Array, cycles: float) -> Array:
    angle = 2 * np.pi * cycles * phase
    return np.column_stack([np.sin(angle), np.cos(angle)])


def _best(phase: Array, values: Array, cycles: Array) -> tuple[float, float]:
    explained = _explained(phase, values, cycles)
    best = int(np.argmax(explained))
    return float(cycles[best]), float(explained[best])


def _explained(phase: Array, values: Array, cycles: Array) -> Array:
    """The share of the variance about the line that a wave of so many cycles takes away."""
    basis, _ = np.linalg.qr(np.column_stack([np.ones_like(phase), phase]))
    rest = values - basis @ (basis.T @ values)
    total = float(rest @ rest)
    if total <= 1e-18 * float(values @ values):
        return np.zeros_like(cycles)
    angles = 2 * np.pi * np.outer(cycles, phase)
    sines, cosines = np.sin(angles), np.cos(angles)
    sines -= (sines @ basis) @ basis.T
    cosines -= (cosines @ basis) @ basis.T
    ss, cc = (sines**2).sum(axis=1), (cosines**2).sum(axis=1)
    sc = (sines * cosines).sum(axis=1)
    s, c = sines @ rest, cosines @ rest
    determinant = ss * cc - sc**2
    usable = determinant > 1e-9 * ss * cc
    gained = cc * s**2 - 2 * sc * s * c + ss * c**2
    explained: Array = np.where(usable, gained / np.where(usable, determinant, 1.0), 0.0) / total
    return explained
