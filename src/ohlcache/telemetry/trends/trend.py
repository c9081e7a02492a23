"""A trend: the robust slope of a series, its confidence, and whether it may be called a trend.

What is promised. Of series that go nowhere (independent or first-order noise, waves seen more than
twice, one jump, outliers) about one in twenty is called a trend at most. A random walk is a trend
for as long as it lasts and no test tells the two apart for sure; one without drift is called a
trend about as seldom. A wave of which less than half was seen is not known to be one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isinf

import numpy as np

from ohlcache.telemetry.trends.autocorrelation import inflation, quantile
from ohlcache.telemetry.trends.drift import drift_bounds
from ohlcache.telemetry.trends.jump import is_jump
from ohlcache.telemetry.trends.observations import Array, observations, ranks, tamed, thinned
from ohlcache.telemetry.trends.season import without_wave
from ohlcache.telemetry.trends.theil_sen import Bounds, bounds, slopes

_MOST_POINTS = 240
_FEWEST_POINTS = 8
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Trend:
    """Where a series is going.

    slope: values per second (Theil–Sen). low, high: its 95% confidence bounds; zero lies between
    them exactly where no trend may be claimed. first, last: the fitted line at the first and at
    the last time. Of fewer than eight points nothing is claimed and the bounds are infinite; the
    slope is 0.0 where all times are the same.
    """

    slope: float
    low: float
    high: float
    significant: bool
    first: float
    last: float

    def time_to(self, value: float) -> float | None:
        """Seconds from the last time until the line reaches ``value``.

        0.0 when the line has reached it within the series; None when it will not: there is no
        trend, or it leads away.
        """
        if not self.significant:
            return None
        if min(self.first, self.last) <= value <= max(self.first, self.last):
            return 0.0
        ahead = (value - self.last) / self.slope
        return ahead if ahead > 0 else None


def trend(times: Sequence[float] | Array, values: Sequence[float] | Array) -> Trend:
    """The trend of ``values`` measured at ``times``, two sequences of equal length.

    Times do not fall; they are datetimes, ISO texts or numbers of seconds.
    Pairs with a NaN or an infinity are left out; uneven and equal times are fine. Long series are
    thinned to medians of stretches of time, so an hour of seconds costs a few milliseconds.

    InvalidArgument when they are empty, of different lengths, not numbers, or times fall.
    """
    at, seen = observations(times, values)
    if len(at) == 0 or at[0] == at[-1]:
        level = float(np.median(seen)) if len(seen) else 0.0
        return _unclear(0.0, level, level)
    span = float(at[-1] - at[0])
    since, seen = thinned(at - at[-1], seen, _MOST_POINTS)
    is_enough = len(since) >= _FEWEST_POINTS
    still = without_wave(since, seen) if is_enough else seen
    ordered = slopes(since, still)
    slope = float(np.median(ordered))
    last = float(np.median(still - slope * since))
    first = last - slope * span
    if not is_enough:
        return _unclear(slope, first, last)
    low, high = _bounds(since, still, ordered, slope)
    low, high = min(low, slope), max(high, slope)
    return Trend(slope, low, high, _excludes_zero((low, high)), first, last)


def _unclear(slope: float, first: float, last: float) -> Trend:
    return Trend(slope, -inf, inf, significant=False, first=first, last=last)


def _bounds(since: Array, values: Array, ordered: Array, slope: float) -> Bounds:
    line = slope * since
    near = line + tamed(values - line)
    expected = _curve(since, near, line)
    about_line = _line_bounds(values, values - expected, ordered)
    if is_jump(near, near - expected):
        return min(about_line[0], 0.0), max(about_line[1], 0.0)
    if _excludes_zero(about_line):
        return about_line
    drift = drift_bounds(since, values)
    return drift if drift is not None and _excludes_zero(drift) else about_line


def _curve(since: Array, values: Array, line: Array) -> Array:
    """The line, or a parabola that does not turn: what speeds up does not stray from its way."""
    parabola = np.polynomial.Polynomial.fit(since, values, 2)
    # Noise may turn one that begins flat a little within the ends.
    edge = len(since) // 8
    early, late = parabola.deriv()(since[[edge, -1 - edge]])
    return parabola(since) if early * late > 0 else line


def _line_bounds(values: Array, residuals: Array, ordered: Array) -> Bounds:
    rounding = _ROUNDING * float(np.abs(values).max())
    more = inflation(ranks(residuals)) if np.ptp(residuals) > rounding else 1.0
    wanted = quantile(len(values) / more)
    if isinf(wanted):
        return min(float(ordered[0]), 0.0), max(float(ordered[-1]), 0.0)
    return bounds(ordered, values, inflation=more, quantile=wanted)


def _excludes_zero(bounds: Bounds) -> bool:
    return bounds[0] > 0 or bounds[1] < 0
