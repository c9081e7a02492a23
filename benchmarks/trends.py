"""Is it a trend? Precision and recall over labelled synthetic series, beside the usual tests.

The peers are ordinary least squares with p < 0.05 and the plain Mann–Kendall test, on the same
series in the same run. A true claim has the right sign too. Random walks are listed by themselves
and counted with neither: within a finite series they are both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from benchmarks.common import (
    Figure,
    Options,
    Target,
    at_least,
    at_most,
    best_by_turns,
    figure,
    seconds,
)
from ohlcache.telemetry.trends import trend

TITLE = "Trends"

_SEEDS = 40
_LENGTHS = (60, 240, 1000)
_DAY = 86_400.0
_Z = 1.959964

Array = np.ndarray
Draw = np.random.Generator
Verdict = Callable[[Array, Array], int]  # +1 it rises, -1 it falls, 0 it does neither


def measure(options: Options) -> Iterator[Figure]:
    seeds = options.turns(_SEEDS)
    counts = {name: Counts() for name in JUDGES}
    for name, series in (*NOTHING.items(), *TRENDS.items()):
        is_trend = name in TRENDS
        claimed = dict.fromkeys(JUDGES, 0)
        cases = [(length, seed) for length, seed in product(_LENGTHS, range(seeds))]
        for length, seed in cases:
            times, values = series(np.random.default_rng([length, seed]), length)
            for judge, verdict in JUDGES.items():
                says = _says(verdict(times, values), is_trend=is_trend)
                claimed[judge] += says
                counts[judge].count(is_trend=is_trend, claimed=says)
        shares = {judge: claimed[judge] / len(cases) for judge in JUDGES}
        wanted = at_least(0.8, as_percent) if is_trend else at_most(0.05, as_percent)
        yield _beside(f"called a trend: {name}", shares["ours"], "OLS", shares["OLS"], wanted)
    yield from _random_walks(seeds)
    for what in ("precision", "recall"):
        ours = getattr(counts["ours"], what)
        for peer in ("OLS", "Mann–Kendall"):
            theirs = getattr(counts[peer], what)
            yield _beside(what, ours, peer, theirs, at_least(0.95, as_percent))
    yield from _cost(options)


def _beside(
    name: str, ours: float, peer: str, theirs: float, wanted: Target | None = None
) -> Figure:
    """Shares side by side; they may be zero, so there is no ratio of them."""
    return Figure(
        name,
        as_percent(ours),
        f"{peer} {as_percent(theirs)}",
        target=wanted.text if wanted else "",
        reached=wanted.is_reached(ours, theirs) if wanted else None,
    )


@dataclass
class Counts:
    true: int = 0
    false: int = 0
    missed: int = 0

    def count(self, *, is_trend: bool, claimed: bool) -> None:
        self.true += is_trend and claimed
        self.false += claimed and not is_trend
        self.missed += is_trend and not claimed

    @property
    def precision(self) -> float:
        return self.true / max(1, self.true + self.false)

    @property
    def recall(self) -> float:
        return self.true / max(1, self.true + self.missed)


def _says(sign: int, *, is_trend: bool) -> bool:
    """Whether a trend is claimed; where there is one it must be the right one, which rises."""
    return sign > 0 if is_trend else sign != 0


def as_percent(value: float) -> str:
    return f"{value:.1%}"


def _random_walks(seeds: int) -> Iterator[Figure]:
    claimed = dict.fromkeys(JUDGES, 0)
    for length, seed in product(_LENGTHS, range(seeds)):
        draw = np.random.default_rng([length, seed])
        times, values = _times(length), np.cumsum(draw.normal(size=length))
        for judge, verdict in JUDGES.items():
            claimed[judge] += _says(verdict(times, values), is_trend=False)
    cases = len(_LENGTHS) * seeds
    shares = {judge: claimed[judge] / cases for judge in JUDGES}
    yield _beside("called a trend: random walk", shares["ours"], "OLS", shares["OLS"])


def _cost(options: Options) -> Iterator[Figure]:
    draw = np.random.default_rng(1)
    times, values = _times(3600), draw.normal(size=3600)
    took = best_by_turns({"ours": lambda: seconds(lambda: trend(times, values))}, options.turns(12))
    yield figure("3,600 points", 1000 * took["ours"], _as_ms, target=at_most(20, _as_ms))


def _as_ms(value: float) -> str:
    return f"{value:.1f} ms"


# -- judges ---------------------------------------------------------------------------------------


def ours(times: Array, values: Array) -> int:
    found = trend(times, values)
    return int(np.sign(found.slope)) if found.significant else 0


def least_squares(times: Array, values: Array) -> int:
    x = times - times.mean()
    slope = float(x @ values / (x @ x))
    rest = values - values.mean() - slope * x
    error = math.sqrt(float(rest @ rest) / (len(x) - 2) / float(x @ x))
    return _sign(slope / max(error, 1e-12))


def mann_kendall(times: Array, values: Array) -> int:  # noqa: ARG001
    n = len(values)
    s = sum(float(np.sign(values[at + 1 :] - values[at]).sum()) for at in range(n - 1))
    return _sign((s - np.sign(s)) / math.sqrt(n * (n - 1) * (2 * n + 5) / 18))


def _sign(z: float) -> int:
    return int(np.sign(z)) if abs(z) > _Z else 0


JUDGES: dict[str, Verdict] = {
    "ours": ours,
    "OLS": least_squares,
    "Mann–Kendall": mann_kendall,
}

# -- series: noise has the spread 1, times are seconds, 60 apart ----------------------------------

Series = Callable[[Draw, int], tuple[Array, Array]]


def _times(length: int) -> Array:
    return 60.0 * np.arange(length)


def _walk(draw: Draw, length: int, correlation: float) -> Array:
    steps = draw.normal(size=length + 200) * math.sqrt(1 - correlation**2)
    values = np.zeros(length + 200)
    for at in range(1, length + 200):
        values[at] = correlation * values[at - 1] + steps[at]
    return values[200:]


def _ramp(length: int) -> Array:
    return np.linspace(-0.5, 0.5, length)


def _noise(draw: Draw, length: int) -> Array:
    return draw.normal(size=length)


def _first_order(correlation: float) -> Callable[[Draw, int], Array]:
    return lambda draw, length: _walk(draw, length, correlation)


def _heavy(draw: Draw, length: int) -> Array:
    return draw.standard_t(2, size=length)


def _outliers(draw: Draw, length: int) -> Array:
    return draw.normal(size=length) + 40 * (draw.random(length) < 0.05) * draw.random(length)


def _late_outliers(draw: Draw, length: int) -> Array:
    values = draw.normal(size=length)
    values[-max(2, length // 25) :] += 30
    return values


def _wave(low: float, high: float, height: float = 4.0) -> Callable[[Draw, int], Array]:
    def values(draw: Draw, length: int) -> Array:
        cycles, start = draw.uniform(low, high), draw.uniform(0, 2 * math.pi)
        phase = np.linspace(0, 2 * math.pi * cycles, length) + start
        return height * np.sin(phase) + draw.normal(size=length)

    return values


def _step(draw: Draw, length: int) -> Array:
    at = int(length * draw.uniform(0.2, 0.8))
    return draw.normal(size=length) + draw.uniform(3, 10) * (np.arange(length) >= at)


def _sawtooth(draw: Draw, length: int) -> Array:
    teeth = draw.uniform(3, 12)
    return 6 * ((draw.random() + teeth * np.arange(length) / length) % 1) + 0.5 * _noise(
        draw, length
    )


def _constant(draw: Draw, length: int) -> Array:
    return np.full(length, float(draw.integers(-5, 5)))


def _both(rise: float, *others: Callable[[Draw, int], Array]) -> Callable[[Draw, int], Array]:
    """A rise (in spreads of the noise, over the whole series) below others."""
    return lambda draw, length: rise * _ramp(length) + sum(one(draw, length) for one in others)


def _series(values: Callable[[Draw, int], Array]) -> Series:
    return lambda draw, length: (_times(length), values(draw, length))


def _uneven(values: Callable[[Draw, int], Array]) -> Series:
    """Measured at random times."""

    def series(draw: Draw, length: int) -> tuple[Array, Array]:
        dense = values(draw, 8 * length)
        at = np.sort(draw.choice(8 * length, length, replace=False))
        return 7.5 * at, dense[at]

    return series


def _rounded(draw: Draw, length: int) -> Array:
    return np.rint(draw.normal(size=length))


def _accelerating(draw: Draw, length: int) -> Array:
    return 15 * (_ramp(length) + 0.5) ** 2 + draw.normal(size=length)


def _stairs(draw: Draw, length: int) -> Array:
    return np.floor(8 * (_ramp(length) + 0.5)) * 2 + 0.5 * draw.normal(size=length)


NOTHING: dict[str, Series] = {
    "white noise": _series(_noise),
    "white noise, uneven times": _uneven(_noise),
    "heavy-tailed noise": _series(_heavy),
    "whole numbers": _series(_rounded),
    "AR(1) 0.5": _series(_first_order(0.5)),
    "AR(1) 0.8": _series(_first_order(0.8)),
    "AR(1) 0.95": _series(_first_order(0.95)),
    "wave of 1 to 2 periods": _series(_wave(1, 2)),
    "wave of 2 to 3 periods": _series(_wave(2, 3)),
    "wave of 3 to 10 periods": _series(_wave(3, 10)),
    "strong wave of 1 to 10 periods, uneven times": _uneven(_wave(1, 10, 20)),
    "one step": _series(_step),
    "outliers": _series(_outliers),
    "outliers at the end": _series(_late_outliers),
    "sawtooth": _series(_sawtooth),
    "constant": _series(_constant),
}
TRENDS: dict[str, Series] = {
    "rise of 2 in noise": _series(_both(2, _noise)),
    "rise of 5 in noise": _series(_both(5, _noise)),
    "rise of 5 in noise, uneven times": _uneven(_both(5, _noise)),
    "rise of 4 in heavy-tailed noise": _series(_both(4, _heavy)),
    "rise of 4 with outliers": _series(_both(4, _outliers)),
    "rise of 5 in AR(1) 0.5": _series(_both(5, _first_order(0.5))),
    "rise of 8 in AR(1) 0.8": _series(_both(8, _first_order(0.8))),
    "rise of 6 under a wave of 3 to 10 periods": _series(_both(6, _wave(3, 10))),
    "rise of 20 under a wave of 3 to 10 periods": _series(_both(20, _wave(3, 10))),
    "rise of 12 under a sawtooth": _series(_both(12, _sawtooth)),
    "accelerating rise of 15": _series(_accelerating),
    "stairs": _series(_stairs),
    "line without noise": _series(_both(1)),
}
