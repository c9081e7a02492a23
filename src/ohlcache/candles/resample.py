"""Longer candles from shorter ones, equal to pandas on the same data.

Rows are cut into buckets where the target's open times fall between them; every bucket is then
reduced by ``ufunc.reduceat``, one pass over each column. Sums are pandas' own: it compensates the
rounding error (Kahan), so a plain sum would differ in the last bits, and how it does so changes
from version to version.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ohlcache.candles.block import CLOSE, HIGH, LOW, OHLCV, OPEN, Block, Mask, Times, Values
from ohlcache.candles.grid import Grid
from ohlcache.candles.interval import IntervalSet, normalise
from ohlcache.candles.timeframe import DAY
from ohlcache.errors import InvalidArgument

Rows = npt.NDArray[np.intp]

# Grids of days and longer are compared over the years 2000 to 2050: every rule of the calendar
# and of the clocks in use comes up in them.
_COMPARED = (10_957 * DAY, 29_220 * DAY)

_SUMMED = {"volume", "trades", "count", "trade_count", "cost", "turnover"}
_AVERAGED = {"vwap", "average"}


class Resampled(NamedTuple):
    """Resampled candles, and for each whether its whole time was covered, shape (n,)."""

    block: Block
    complete: Mask


@lru_cache(maxsize=1024)
def divides(base: Grid, target: Grid) -> bool:
    """Whether candles of ``base`` can be put together to those of ``target``.

    They can where every open time of the target is one of the base: 1m to 1h, 1d to 1w or 1M, 1M
    to 3M; not 5m to 7m or 1w to 1M. Anchors count: hours do not make days that open at a quarter
    past, and days from midnight do not make weeks from 17:00 in New York.
    """
    if not target.timeframe.is_daily_or_longer:
        divisible = target.timeframe.milliseconds % base.timeframe.milliseconds == 0
        return divisible and not base.timeframe.is_daily_or_longer
    return bool(base.contains(target.points(*_COMPARED)).all())


def resample(
    block: Block,
    base: Grid,
    target: Grid,
    *,
    covered: IntervalSet | None = None,
    incomplete: Literal["drop", "keep", "mark"] = "drop",
) -> Resampled:
    """Candles of ``target`` from candles of ``base`` whose times ascend.

    The first open, highest high, lowest low, last close and summed volume of each bucket; a
    bucket without a candle is left out. Of further columns, volumes and counts (``*_volume``,
    ``taker_*``, ``trades``, ``count``, ``cost``, ``turnover``) are summed, ``vwap`` and
    ``average`` are weighted by volume, and of all others the last value is taken. NaN is skipped;
    where a bucket has nothing else it stays NaN.

    covered: what is known of the base, ms; a candle is complete only when all of [its open, the
        next open) lies in it. None: from the first row's open to the end of the last row.
    incomplete: "drop" leaves incomplete candles out; "keep" and "mark" return them too, and
        ``complete`` tells which they are.

    Raises InvalidArgument where the base does not divide the target.
    """
    if incomplete not in ("drop", "keep", "mark"):
        raise InvalidArgument(f"incomplete is {incomplete!r}: use 'drop', 'keep' or 'mark'")
    if not divides(base, target):
        raise InvalidArgument(
            f"{target.timeframe} candles ({target.anchor}) cannot be made of {base.timeframe} "
            f"ones ({base.anchor}): use a timeframe that divides them"
        )
    if not len(block):
        return Resampled(block, np.empty(0, np.bool_))
    if covered is None:
        covered = normalise([(int(block.times[0]), base.next(int(block.times[-1])))])
    longer = reduce_buckets(block, *find_buckets(block.times, target))
    complete = _inside(longer.times, target.nexts(longer.times), normalise(covered))
    if incomplete == "drop" and not complete.all():
        longer, complete = longer.take(complete), complete[complete]
    return Resampled(longer, complete)


def find_buckets(times: Times, grid: Grid) -> tuple[Rows, Times]:
    """The first row of every bucket that has rows, and the buckets' open times, shapes (m,).

    Times must ascend and not be empty.
    """
    first, last = grid.floor(int(times[0])), int(times[-1])
    if grid.count(first, last + 1) > len(times):  # thin: most buckets are empty
        floors = grid.floors(times)
        starts = np.flatnonzero(np.diff(floors, prepend=floors[0] - 1))
        return starts, floors[starts]
    opens = grid.points(first, last + 1)
    starts = np.searchsorted(times, opens)
    filled = starts < np.append(starts[1:], len(times))
    return starts[filled], opens[filled]


def reduce_buckets(block: Block, starts: Rows, opens: Times) -> Block:
    """One candle for each bucket: rows ``starts[i]`` up to ``starts[i + 1]`` open at ``opens[i]``.

    The columns are put together as :func:`resample` says. ``starts`` ascends from 0.
    """
    values = np.empty((len(block.names), len(starts)))
    ends = np.append(starts[1:], len(block))
    values[OPEN] = _first(block.values[OPEN], starts, ends)
    values[HIGH] = np.fmax.reduceat(block.values[HIGH], starts)
    values[LOW] = np.fmin.reduceat(block.values[LOW], starts)
    values[CLOSE] = _last(block.values[CLOSE], starts, ends)
    summed = [row for row, name in enumerate(block.names) if _is_summed(name)]
    values[summed] = sum_buckets(block.values[summed], starts, ends)
    for row in range(len(OHLCV), len(block.names)):
        name = block.names[row]
        if name.lower() in _AVERAGED:
            values[row] = _averages(block.values[row], block.column("volume"), starts, ends)
        elif row not in summed:
            values[row] = _last(block.values[row], starts, ends)
    return Block(opens, values, block.names)


def _is_summed(name: str) -> bool:
    plain = name.lower()
    return plain in _SUMMED or plain.endswith("_volume") or plain.startswith("taker_")


def _last(values: Values, starts: Rows, ends: Rows) -> Values:
    """The last value of each bucket that is not NaN."""
    last: Values = values[ends - 1]
    if not np.isnan(last).any():
        return last
    rows = np.where(np.isnan(values), -1, np.arange(len(values)))
    latest = np.maximum.accumulate(rows)[ends - 1]
    return np.where(latest >= starts, values[latest], np.nan)


def _first(values: Values, starts: Rows, ends: Rows) -> Values:
    """The first value of each bucket that is not NaN."""
    if not np.isnan(values[starts]).any():
        first: Values = values[starts]
        return first
    backwards = _last(values[::-1], len(values) - ends[::-1], len(values) - starts[::-1])
    return backwards[::-1]


def sum_buckets(values: Values, starts: Rows, ends: Rows) -> Values:
    """Sums over the m buckets of (k, n) values, shape (k, m), by pandas: NaN is skipped."""
    import pandas as pd

    bucket = np.repeat(np.arange(len(starts), dtype=np.int32), ends - starts)
    frame = pd.DataFrame(values.T, copy=False)
    sums: Values = frame.groupby(bucket, sort=False).sum(min_count=1).to_numpy().T
    return sums


def _averages(values: Values, volumes: Values, starts: Rows, ends: Rows) -> Values:
    """The volume-weighted mean of each bucket; where nothing was traded its last value."""
    weights = np.where(np.isnan(values), np.nan, volumes)
    weighted, weight = sum_buckets(np.stack((values * weights, weights)), starts, ends)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(weight > 0, weighted / weight, _last(values, starts, ends))


def _inside(starts: Times, ends: Times, covered: IntervalSet) -> Mask:
    """Which of the ranges [start, end) lie wholly in one interval of the set."""
    if not covered:
        return np.zeros(len(starts), np.bool_)
    low, high = np.array(covered, np.int64).T
    at = np.searchsorted(low, starts, "right") - 1
    inside: Mask = (at >= 0) & (ends <= high[at])
    return inside
