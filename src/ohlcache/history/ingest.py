"""From rows as they come to a committed write: the anchor, the checks, the report."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ohlcache.candles import Anchor, Block, Grid, Interval, IntervalSet, Timeframe
from ohlcache.candles.grid import detect_anchor
from ohlcache.candles.interval import intersection
from ohlcache.candles.quality import OFF_GRID, Inspection, inspect
from ohlcache.errors import CandlesRefused, InvalidArgument
from ohlcache.history.engine import Session
from ohlcache.history.reading import Series
from ohlcache.history.reports import SeriesKey, WriteReport
from ohlcache.history.store import AnchorMoved, Store
from ohlcache.history.writing import Changed


def ingest(
    store: Store,
    key: SeriesKey,
    block: Block,
    *,
    closed_until: int,
    covered: IntervalSet | None = None,
    strict: bool = False,
    may_overwrite: Callable[[Session], bool] | None = None,
) -> WriteReport:
    """Inspect candles and store what can be stored, in one transaction.

    ``covered`` are the ranges that the candles are known to be complete for; by default from the
    first to the end of the last one stored. Raises CandlesRefused in strict mode when any row is
    refused, and InvalidArgument for times that are evidently in seconds. may_overwrite: see Store.
    """
    while True:
        with store.reading() as reading:
            series = reading.series(key)
        anchor = series.anchor if series else detect_anchor(key.timeframe, block.times)
        inspection = inspect(block, Grid(key.timeframe, anchor), closed_until)
        if inspection.refused.counts.get(OFF_GRID):
            _refuse_seconds(block, inspection, key.timeframe)
            better = _better_anchor(store, series, block) if series else None
            if better is not None:
                store.move_anchor(key, anchor, better)
                continue
        if strict and inspection.refused.total:
            raise CandlesRefused(
                f"{inspection.refused.total} of {len(block)} rows of {key} cannot be candles "
                f"(first: {inspection.refused.offenders[0]}): mend them or write without strict"
            )
        rows = inspection.block
        grid = Grid(key.timeframe, anchor)
        # Nothing from the first unclosed candle on is known, whatever the caller took for known.
        closed = (-(2**62), grid.floor(closed_until))
        span = intersection(_span(rows, grid) if covered is None else covered, [closed])
        if series is None and not len(rows) and not span:
            return _report(Changed(), inspection)  # no series comes from rows that are all refused
        try:
            changed = store.write(
                key, anchor, rows, span, inspection.refused.offenders, may_overwrite
            )
        except AnchorMoved:
            continue
        return _report(changed, inspection)


def _report(changed: Changed, inspection: Inspection) -> WriteReport:
    return WriteReport(
        added=changed.added,
        updated=changed.updated,
        unchanged=changed.unchanged,
        rejected=inspection.refused.total,
        reasons=inspection.refused.counts,
        duplicates=inspection.duplicates,
        flagged=inspection.flagged.counts,
        offenders=inspection.refused.offenders + inspection.flagged.offenders,
    )


def _span(rows: Block, grid: Grid) -> IntervalSet:
    if not len(rows):
        return ()
    return (Interval(int(rows.times[0]), grid.next(int(rows.times[-1]))),)


def _refuse_seconds(block: Block, inspection: Inspection, timeframe: Timeframe) -> None:
    """Times in seconds fall off the grid of milliseconds, all or almost all of them."""
    seconds = block.times[np.abs(block.times) < 10**11]
    if 2 * inspection.refused.counts[OFF_GRID] < len(block) or 2 * len(seconds) < len(block):
        return
    if np.mean(Grid(timeframe).contains(seconds * 1000)) > 0.9:
        raise InvalidArgument(
            f"column timestamp holds {int(seconds[0])}, which looks like seconds: give milliseconds"
        )


def _better_anchor(store: Store, series: Series, block: Block) -> Anchor | None:
    """Another anchor that fits all stored candles and more of the new ones.

    A daily series first seen in winter looks anchored to a fixed hour in UTC; its first summer
    tells the zone.
    """
    timeframe = series.key.timeframe
    if not timeframe.is_daily_or_longer:
        return None
    with store.reading() as reading:
        stored = reading.rows(series, -(2**62), 2**62).times
    anchor = detect_anchor(timeframe, np.concatenate([stored, block.times]))
    grid = Grid(timeframe, anchor)
    if anchor == series.anchor or not grid.contains(stored).all():
        return None
    fits = np.count_nonzero(grid.contains(block.times))
    fitted = np.count_nonzero(series.grid.contains(block.times))
    return anchor if fits > fitted else None
