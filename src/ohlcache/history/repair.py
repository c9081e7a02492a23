"""Mending a store: what is damaged or missing is fetched from where it came."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby

from ohlcache.candles import Interval, IntervalSet, to_iso
from ohlcache.candles.interval import difference, normalise
from ohlcache.candles.quality import inspect
from ohlcache.errors import FetchError, OhlcacheError
from ohlcache.history.chunks import Piece
from ohlcache.history.fetcher import Fetcher
from ohlcache.history.ingest import ingest
from ohlcache.history.nearer import Nearer
from ohlcache.history.reading import Series
from ohlcache.history.reports import Problem, RepairReport
from ohlcache.history.store import Store
from ohlcache.history.verify import Progress, Verification, verify

_Range = tuple[str, Interval]


def repair(
    store: Store, nearer: Nearer, fetcher: Fetcher | None, progress: Progress | None = None
) -> RepairReport:
    """Replace each damaged chunk of the source's venue, and fetch what its series lack.

    Series lack what was never fetched between their first and their last candle, and rows that the
    venue once gave in a form that cannot be a candle. What somebody else changed meanwhile is left
    to them.

    What cannot be mended stays as it is and is listed: all of it without a source, and a chunk
    for which the source fails or has fewer candles than were stored.

    progress: told of series verified and ranges fetched; how many these are is known in the end.
    """
    found = verify(store, nearer, progress)
    if fetcher is None:
        return RepairReport((), (), tuple(found.problems))
    mending = _Mending(store, fetcher, found.series, progress)
    mending.replace_damaged(found)
    mending.fill_missing()
    problems = verify(store, nearer).problems if mending.steps else found.problems
    return RepairReport(
        tuple(mending.refetched), tuple(mending.filled), (*problems, *mending.failures)
    )


class _Mending:
    """The ranges that were fetched so far, and what went wrong."""

    def __init__(
        self, store: Store, fetcher: Fetcher, verified: int, progress: Progress | None
    ) -> None:
        self.refetched: list[_Range] = []
        self.filled: list[_Range] = []
        self.failures: list[Problem] = []
        self._store = store
        self._fetcher = fetcher
        self.steps = 0  # ranges that were asked for
        self._verified = verified
        self._total = verified
        self._progress = progress

    def replace_damaged(self, found: Verification) -> None:
        damaged = [one for one in _by_window(found) if self._is_fetched(one[0])]
        self._total += len(damaged)
        for series, layers in damaged:
            first, last = min(one.first for one in layers), max(one.last for one in layers)
            range_ = Interval(first, series.grid.next(last))
            with self._step(series, range_):
                if self._replace(series, layers, range_):
                    self.refetched.append((str(series.key), range_))

    def fill_missing(self) -> None:
        with self._store.reading() as reading:
            catalogue = [series for series in reading.all_series() if self._is_fetched(series)]
            lacking = [
                (series, self._never_fetched(series, reading.coverage(series)))
                for series in catalogue
            ]
            refused = [(series, reading.refused_times(series)) for series in catalogue]
        for series, ranges in lacking:
            self._fill(series, ranges, self._fetch_new)
        for series, times in refused:
            ranges = normalise((time, series.grid.next(time)) for time in times)
            self._fill(series, ranges, self._fetch_again)

    def _is_fetched(self, series: Series) -> bool:
        source = self._fetcher.source
        offered = source.capabilities.timeframes
        return series.key.venue == source.venue and (
            offered is None or str(series.key.timeframe) in offered
        )

    def _never_fetched(self, series: Series, coverage: IntervalSet) -> IntervalSet:
        if not coverage:
            return ()
        holes = difference([(coverage[0].start, coverage[-1].end)], coverage)
        return self._fetcher.missing(series.key, series.grid, holes)

    def _fill(
        self, series: Series, ranges: IntervalSet, fetch: Callable[[Series, Interval], bool]
    ) -> None:
        self._total += len(ranges)
        for range_ in ranges:
            with self._step(series, range_):
                if fetch(series, range_):
                    self.filled.append((str(series.key), range_))

    def _fetch_new(self, series: Series, range_: Interval) -> bool:
        pages = self._fetcher.request(series.key, series.grid, (range_,))
        stored = [page.result() for page in pages]
        return any(stored)

    def _fetch_again(self, series: Series, range_: Interval) -> bool:
        rows = self._fetcher.fetch(series.key, series.grid, range_)
        now = self._fetcher.source.now()
        return ingest(self._store, series.key, rows, closed_until=now).added > 0

    @contextmanager
    def _step(self, series: Series, range_: Interval) -> Iterator[None]:
        try:
            yield
        except OhlcacheError as error:
            self.failures.append(Problem(str(series.key), range_, str(error)))
        self.steps += 1
        if self._progress is not None:
            self._progress(self._verified + self.steps, self._total)

    def _replace(self, series: Series, layers: list[Piece], range_: Interval) -> bool:
        # The new rows are at hand before the damaged ones are dropped.
        fetched = self._fetcher.fetch(series.key, series.grid, range_)
        rows = inspect(fetched, series.grid, self._fetcher.source.now()).block
        for layer in layers:
            given = len(rows.between(layer.first, layer.last + 1))
            if given < layer.rows:
                raise FetchError(
                    f"{series.key.venue} gives {given} candles for {to_iso(layer.first)} to "
                    f"{to_iso(series.grid.next(layer.last))}, where {layer.rows} were stored: "
                    "nothing was changed"
                )
        return self._store.replace(series, layers, rows)


def _by_window(found: Verification) -> Iterator[tuple[Series, list[Piece]]]:
    """The damaged layers of each window: one over another cannot be replaced by itself."""
    for _, damaged in groupby(found.damaged, key=lambda one: (one[0].id, one[1].start)):
        here = list(damaged)
        yield here[0][0], [layer for _, layer in here]
