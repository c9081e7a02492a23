"""Mending a store: what is damaged is fetched again from where it came."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from ohlcache.candles import Interval, to_iso
from ohlcache.candles.quality import inspect
from ohlcache.errors import FetchError, OhlcacheError
from ohlcache.history.chunks import Piece
from ohlcache.history.fetcher import Fetcher
from ohlcache.history.reading import Series
from ohlcache.history.reports import Problem, RepairReport
from ohlcache.history.store import Store
from ohlcache.history.verify import Progress, Verification, verify


def repair(store: Store, fetcher: Fetcher | None, progress: Progress | None = None) -> RepairReport:
    """Replace each damaged chunk of the source's venue by what the source gives for its range.

    What somebody else changed meanwhile is left to them.

    What cannot be replaced stays as it is and is listed: all of it without a source, and a chunk
    for which the source fails or has fewer candles than were stored.
    """
    found = verify(store, progress)
    if fetcher is None or not found.damaged:
        return RepairReport((), tuple(found.problems))
    refetched: list[tuple[str, Interval]] = []
    failures: list[Problem] = []
    for series, layers in _by_window(found):
        if series.key.venue != fetcher.source.venue:
            continue
        first, last = min(one.first for one in layers), max(one.last for one in layers)
        range_ = Interval(first, series.grid.next(last))
        try:
            is_replaced = _replace(store, fetcher, series, layers, range_)
        except OhlcacheError as error:
            failures.append(Problem(str(series.key), range_, str(error)))
        else:
            if is_replaced:
                refetched.append((str(series.key), range_))
    return RepairReport(tuple(refetched), (*verify(store).problems, *failures))


def _by_window(found: Verification) -> Iterator[tuple[Series, list[Piece]]]:
    """The damaged layers of each window: one over another cannot be replaced by itself."""
    for _, damaged in groupby(found.damaged, key=lambda one: (one[0].id, one[1].start)):
        here = list(damaged)
        yield here[0][0], [layer for _, layer in here]


def _replace(
    store: Store, fetcher: Fetcher, series: Series, layers: list[Piece], range_: Interval
) -> bool:
    # The new rows are at hand before the damaged ones are dropped.
    fetched = fetcher.fetch(series.key, series.grid, range_)
    rows = inspect(fetched, series.grid, fetcher.source.now()).block
    for layer in layers:
        given = len(rows.between(layer.first, layer.last + 1))
        if given < layer.rows:
            raise FetchError(
                f"{series.key.venue} gives {given} candles for {to_iso(layer.first)} to "
                f"{to_iso(series.grid.next(layer.last))}, where {layer.rows} were stored: nothing "
                "was changed"
            )
    return store.replace(series, layers, rows)
