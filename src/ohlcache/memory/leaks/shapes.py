"""Which shape does a floor have: growth that goes on, or growth that comes to an end?

Each shape is fitted by least squares and judged by Schwarz' criterion ("Estimating the dimension of
a model", Ann. Stat. 6, 1978): the logarithm of what it leaves over, and a price for each parameter.
Points that resemble their neighbours count less (see autocorrelation).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import inf, log
from typing import NamedTuple

import numpy as np

from ohlcache.telemetry.trends.autocorrelation import inflation
from ohlcache.telemetry.trends.observations import Array

_PAGE = 4096.0
_FEWEST_FOR_WAVES = 24
_FEWEST_EFFECTIVE = 6.0
# Growth in two parts imitates every curve that slows down, so it has to be the better by far.
_TWO_PARTS = 2
_FINER = 17
_STARTS = np.linspace(0.03, 0.6, 20)
_START_SPEEDS = np.geomspace(8.0, 60.0, 8)
_BOUNDS = np.linspace(0.04, 0.8, 20)
_SPEEDS = np.geomspace(1.4, 60.0, 12)
_HALVES = np.geomspace(0.02, 0.5, 8)
_SCALES = np.geomspace(4.0, 1000.0, 8)
_POWERS = np.linspace(0.15, 0.6, 6)
_CYCLES = np.linspace(0.8, 4.0, 20)
_FAST_CYCLES = _CYCLES[_CYCLES > 2]


class Shape(NamedTuple):
    """left: the sum of squares it leaves over. last: its last coefficient.

    rate: by how much it grows per span at the end; 0.0 of a shape that comes to an end.
    """

    name: str
    parameters: int
    left: float
    residuals: Array
    last: float
    rate: float = 0.0


class Verdict(NamedTuple):
    """The best of both kinds, and by how much the leaking one is the better."""

    leak: Shape | None
    other: Shape
    lead: float


def judged(share: Array, values: Array) -> Verdict:
    """``share``: where the points are in the span, 0…1. Rates are per span."""
    shapes = list(_shapes(share, values))
    closest = min(shapes, key=lambda shape: shape.left)
    effective = max(len(values) / inflation(closest.residuals), _FEWEST_EFFECTIVE)

    def score(shape: Shape) -> float:
        left = shape.left / len(values) + _PAGE**2
        return effective * log(left) + shape.parameters * log(effective)

    leak = min((shape for shape in shapes if shape.rate > 0), key=score, default=None)
    other = min((shape for shape in shapes if shape.rate <= 0), key=score)
    return Verdict(leak, other, score(other) - score(leak) if leak else -inf)


def _shapes(x: Array, y: Array) -> Iterator[Shape]:
    yield from _that_end(x, y)
    yield from _that_go_on(x, y)


def _that_end(x: Array, y: Array) -> Iterator[Shape]:
    one = np.ones_like(x)
    yield _fit("is flat", y, one)
    yield _best(
        lambda at: _fit("stepped once and stays there", y, one, np.where(x > at, 1.0, 0.0)), _BOUNDS
    )
    for slowing in (
        _best(lambda at: _fit("grew up to a bound", y, one, np.minimum(x, at)), _BOUNDS),
        _best(lambda speed: _fit("saturates", y, one, -np.exp(-speed * x)), _SPEEDS),
        _best(lambda half: _fit("saturates", y, one, x / (x + half)), _HALVES),
        _best(lambda scale: _fit("grows ever slower", y, one, np.log1p(scale * x)), _SCALES),
        _best(lambda power: _fit("grows ever slower", y, one, x**power), _POWERS),
    ):
        yield slowing if slowing.last > 0 else slowing._replace(name="came down and settles")
    if len(x) >= _FEWEST_FOR_WAVES:
        yield _best(lambda cycles: _fit("moves in waves", y, one, *_wave(x, cycles)), _CYCLES)


def _that_go_on(x: Array, y: Array) -> Iterator[Shape]:
    """The last column of each is the one that goes on."""
    one = np.ones_like(x)
    yield _growing(_fit("grows evenly", y, one, x))
    faster = _growing(_fit("grows faster and faster", y, one, x**2))
    # The power is one of many, and at the end it is twice as steep as on the whole.
    yield faster._replace(parameters=3, rate=2 * faster.rate)
    name = "grows steadily after a start"
    for started in (
        _best(lambda at: _fit(name, y, one, *_two_parts(x, at)), _STARTS),
        _best(lambda speed: _fit(name, y, one, np.exp(-speed * x), x), _START_SPEEDS),
    ):
        yield _growing(started._replace(parameters=started.parameters + _TWO_PARTS))
    if len(x) >= _FEWEST_FOR_WAVES:
        name = "grows below waves"
        yield _growing(_best(lambda k: _fit(name, y, one, *_wave(x, k), x), _FAST_CYCLES))


def _two_parts(x: Array, at: float) -> tuple[Array, Array]:
    return np.minimum(x, at), np.maximum(x - at, 0)


def _wave(x: Array, cycles: float) -> tuple[Array, Array]:
    return np.sin(2 * np.pi * cycles * x), np.cos(2 * np.pi * cycles * x)


def _fit(name: str, y: Array, *columns: Array) -> Shape:
    design = np.column_stack(columns)
    found, *_ = np.linalg.lstsq(design, y, rcond=None)
    residuals = y - design @ found
    left = float(residuals @ residuals)
    return Shape(name, len(columns), left, residuals, last=float(found[-1]))


def _growing(shape: Shape) -> Shape:
    name = shape.name if shape.last > 0 else "shrinks"
    return shape._replace(name=name, rate=shape.last)


def _best(shape_at: Callable[[float], Shape], grid: Array) -> Shape:
    """The one that fits best, also between the points of the grid: one more parameter."""
    found = [shape_at(place) for place in grid]
    nearest = min(range(len(grid)), key=lambda at: found[at].left)
    before, after = grid[max(nearest - 1, 0)], grid[min(nearest + 1, len(grid) - 1)]
    finer = (shape_at(place) for place in np.linspace(before, after, _FINER))
    best = min((found[nearest], *finer), key=lambda shape: shape.left)
    return best._replace(parameters=best.parameters + 1)
