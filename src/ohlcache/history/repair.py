"""Mending a store: what is damaged is fetched again from where it came."""

from __future__ import annotations

from ohlcache.candles import Interval, to_iso
from ohlcache.candles.interval import intersection
from ohlcache.errors import FetchError, OhlcacheError
from ohlcache.history.chunks import Piece
from ohlcache.history.fetcher import Fetcher
from ohlcache.history.ingest import ingest
from ohlcache.history.reading import Series
from ohlcache.history.reports import Problem, RepairReport
from ohlcache.history.store import Store
from ohlcache.history.verify import Progress, verify


def repair(store: Store, fetcher: Fetcher | None, progress: Progress | None = None) -> RepairReport:
    """Replace each damaged chunk of the source's venue by what the source gives for its range.

    What cannot be replaced stays as it is and is listed: all of it without a source, and a chunk
    for which the source fails or has fewer candles than were stored.
    """
    found = verify(store, progress)
    if fetcher is None or not found.damaged:
        return RepairReport((), tuple(found.problems))
    refetched: list[tuple[str, Interval]] = []
    failures: list[Problem] = []
    for series, piece in found.damaged:
        if series.key.venue != fetcher.source.venue:
            continue
        range_ = Interval(piece.first, series.grid.next(piece.last))
        try:
            _replace(store, fetcher, series, piece, range_)
        except OhlcacheError as error:
            failures.append(Problem(str(series.key), range_, str(error)))
        else:
            refetched.append((str(series.key), range_))
    return RepairReport(tuple(refetched), (*verify(store).problems, *failures))


def _replace(
    store: Store, fetcher: Fetcher, series: Series, piece: Piece, range_: Interval
) -> None:
    with store.reading() as reading:
        covered = intersection(reading.coverage(series), [range_])
    # The new rows are at hand before the damaged ones are dropped.
    rows = fetcher.fetch(series.key, series.grid, range_)
    if len(rows) < piece.rows:
        raise FetchError(
            f"{series.key.venue} gives {len(rows)} candles for {to_iso(range_.start)} to "
            f"{to_iso(range_.end)}, where {piece.rows} were stored: nothing was changed"
        )
    store.drop(series, piece)
    ingest(store, series.key, rows, closed_until=fetcher.source.now(), covered=covered)
