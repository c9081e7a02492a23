"""Timeframes that are not stored, from finer ones that are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ohlcache.candles import Block, Grid, IntervalSet, Timeframe
from ohlcache.candles.interval import intersection, normalise
from ohlcache.candles.resample import divides
from ohlcache.history.reading import Series
from ohlcache.history.reports import SeriesKey


def bases(key: SeriesKey, catalogue: Iterable[Series]) -> list[Series]:
    """The stored series of the same venue and symbol from which ``key`` follows, finest first."""
    found = [
        series
        for series in catalogue
        if series.key[:2] == key[:2]
        and series.key.timeframe != key.timeframe
        and divides(series.grid, derived_grid(key.timeframe, series))
    ]
    return sorted(found, key=lambda series: series.key.timeframe.milliseconds)


def derived_grid(timeframe: Timeframe, base: Series) -> Grid:
    """The grid of candles made from ``base``: they follow its session, if it has one."""
    return Grid(timeframe, base.anchor) if timeframe.is_daily_or_longer else Grid(timeframe)


def complete_buckets(grid: Grid, wanted: IntervalSet, base_coverage: IntervalSet) -> IntervalSet:
    """The open times in ``wanted`` whose whole candle the base covers.

    A candle made from part of its time would be wrong without looking wrong.
    """
    opens = ((grid.ceil(start), grid.ceil(end)) for start, end in wanted)
    return normalise(
        (grid.ceil(start), grid.floor(end)) for start, end in intersection(base_coverage, opens)
    )


def in_order(blocks: Sequence[Block]) -> Block:
    """The candles of all blocks by open time."""
    block = Block.concatenate(blocks)
    return block.take(np.argsort(block.times, kind="stable"))
