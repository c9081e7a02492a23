"""Mending a store: what is damaged is fetched again from where it came."""

from __future__ import annotations

from ohlcache.candles import Interval
from ohlcache.candles.interval import intersection
from ohlcache.history.chunks import Piece
from ohlcache.history.fetcher import Fetcher
from ohlcache.history.ingest import ingest
from ohlcache.history.reading import Series
from ohlcache.history.reports import RepairReport
from ohlcache.history.store import Store
from ohlcache.history.verify import Progress, verify


def repair(store: Store, fetcher: Fetcher | None, progress: Progress | None = None) -> RepairReport:
    """Replace each damaged chunk of the source's venue by what the source gives for its range.

    Without a source nothing is changed, and the report lists the problems that remain.
    """
    found = verify(store, progress)
    if fetcher is None or not found.damaged:
        return RepairReport((), tuple(found.problems))
    refetched = [
        (str(series.key), _replace(store, fetcher, series, piece))
        for series, piece in found.damaged
        if series.key.venue == fetcher.source.venue
    ]
    return RepairReport(tuple(refetched), tuple(verify(store).problems))


def _replace(store: Store, fetcher: Fetcher, series: Series, piece: Piece) -> Interval:
    range_ = Interval(piece.first, series.grid.next(piece.last))
    with store.reading() as reading:
        covered = intersection(reading.coverage(series), [range_])
    # The new rows are at hand before the damaged ones are dropped.
    rows = fetcher.everything_in(series.key, series.grid, range_)
    store.drop(series, piece)
    ingest(store, series.key, rows, closed_until=fetcher.source.now(), covered=covered)
    return range_
