"""Mending a store: what is damaged or missing is fetched from where it came."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby

from ohlcache.candles import Interval, IntervalSet, to_iso
from ohlcache.candles.interval import difference, normalise
from ohlcache.candles.quality import inspect
from ohlcache.errors import FetchError, OhlcacheError
from ohlcache.history.chunks import Piece
from ohlcache.history.fetcher import Fetcher
from ohlcache.history.ingest import ingest
from ohlcache.history.listing import Listing
from ohlcache.history.nearer import Nearer
from ohlcache.history.past.lost import Damaged, damaged_records
from ohlcache.history.reading import Series
from ohlcache.history.reports import Problem, RepairReport
from ohlcache.history.store import Store
from ohlcache.history.verify import Progress, Verification, verify

_Range = tuple[str, Interval]
_ROUNDS = 5  # of asking for a range that another one has begun to fetch, and failed

_Step = Callable[[], None]


def repair(
    store: Store, nearer: Nearer, fetcher: Fetcher | None, progress: Progress | None = None
) -> RepairReport:
    """Replace each damaged chunk of the source's venue, and fetch what its series lack.

    Series lack what was never fetched between their first and their last candle, and rows that the
    venue once gave in a form that cannot be a candle. What somebody else changed meanwhile is left
    to them. A chunk that the venue's candles prove to be what stood there is put back as it was;
    otherwise what stood there before is lost.

    Earlier values that are damaged nobody can give again: they are marked as lost, with or without
    a source.

    What cannot be mended stays as it is and is listed: damaged chunks without a source, and a chunk
    for which the source fails or has fewer candles than were stored.

    progress: told of steps done, and of how many: each series verified, each one marked, each range
        fetched, and the check of the result. How many there are is known when all are verified.
    """

    def tell(done: int, total: int) -> None:
        if progress is not None:
            progress(done, total)

    found = verify(store, nearer, lambda done, total: tell(done, total + 1))
    done = _Done()
    steps = [*_marking(store, found, done)]
    if fetcher is not None:
        steps += _Mending(store, fetcher, done).steps(found)
    total = found.series + len(steps) + 1
    for number, step in enumerate(steps, found.series + 1):
        step()
        tell(number, total)
    problems = verify(store, nearer).problems if steps else found.problems
    tell(total, total)
    return RepairReport(
        tuple(done.refetched),
        tuple(done.filled),
        (*problems, *done.failures),
        tuple(done.lost),
    )


@dataclass
class _Done:
    """The ranges that were fetched or given up so far, and what went wrong."""

    refetched: list[_Range] = field(default_factory=list)
    filled: list[_Range] = field(default_factory=list)
    lost: list[_Range] = field(default_factory=list)
    failures: list[Problem] = field(default_factory=list)

    def lose(self, series: Series, ranges: Iterable[Interval]) -> None:
        """Note that what stood there before is lost."""
        self.lost += [(str(series.key), range_) for range_ in ranges]

    @contextmanager
    def failing(self, series: Series, range_: Interval | None) -> Iterator[None]:
        """Note an error of a step."""
        try:
            yield
        except OhlcacheError as error:
            self.failures.append(Problem(str(series.key), range_, str(error)))


def _marking(store: Store, found: Verification, done: _Done) -> Iterator[_Step]:
    """Marking damaged earlier values as lost: one step for each series that has some."""

    def mark(series: Series, damaged: list[Damaged]) -> None:
        with done.failing(series, None):
            store.mark_lost(series, damaged)
            done.lose(series, [record.range for record in damaged])

    if not store.remembers:
        return
    names = {problem.series for problem in found.problems}
    with store.reading() as reading:
        catalogue = reading.all_series()
    for series in catalogue:
        if str(series.key) in names:
            with store.session() as session:
                damaged = damaged_records(session, series)
            if damaged:
                yield partial(mark, series, damaged)


class _Mending:
    """Fetching what is damaged or missing."""

    def __init__(self, store: Store, fetcher: Fetcher, done: _Done) -> None:
        self._store = store
        self._fetcher = fetcher
        self._done = done

    def steps(self, found: Verification) -> list[_Step]:
        """What is to be done, one range each, the damaged ones first."""
        return [*self._replacing(found), *self._filling()]

    def _replacing(self, found: Verification) -> Iterator[_Step]:
        for series, layers in _by_window(found):
            if self._is_fetched(series):
                first, last = min(one.first for one in layers), max(one.last for one in layers)
                range_ = Interval(first, series.grid.next(last))
                replace = partial(self._replace, layers)
                yield partial(self._do, replace, series, range_, self._done.refetched)

    def _filling(self) -> Iterator[_Step]:
        with self._store.reading() as reading:
            catalogue = [series for series in reading.all_series() if self._is_fetched(series)]
            lacking = [
                (series, self._never_fetched(series, reading.coverage(series)))
                for series in catalogue
            ]
            refused = [(series, reading.refused_times(series)) for series in catalogue]
        for series, ranges in lacking:
            for range_ in ranges:
                yield partial(self._do, self._fetch_new, series, range_, self._done.filled)
        for series, times in refused:
            rows = normalise((time, series.grid.next(time)) for time in times)
            for range_ in self._to_be_had(series, rows):
                yield partial(self._do, self._fetch_again, series, range_, self._done.filled)

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
        return self._to_be_had(series, holes)

    def _to_be_had(self, series: Series, ranges: IntervalSet) -> IntervalSet:
        """What of ranges lies in the symbol's listing and is closed."""
        listing = Listing.of(self._store.metadata(series.key.venue, series.key.symbol))
        traded = listing.traded(series.grid, ranges)
        now = self._fetcher.source.now()
        return self._fetcher.missing(series.key, series.grid, traded, now)

    def _do(
        self,
        mend: Callable[[Series, Interval], bool],
        series: Series,
        range_: Interval,
        mended: list[_Range],
    ) -> None:
        """Mend a range: it is added to those that were ``mended``, or to the failures."""
        with self._done.failing(series, range_):
            if mend(series, range_):
                mended.append((str(series.key), range_))

    def _fetch_new(self, series: Series, range_: Interval) -> bool:
        for _ in range(_ROUNDS):
            pages = self._fetcher.request(series.key, series.grid, (range_,))
            stored = [page.result() for page in pages]
            if all(stored):
                return bool(stored)
        raise FetchError(
            f"{series.key}: what others were fetching of {to_iso(range_.start)} to "
            f"{to_iso(range_.end)} did not arrive: repair it again"
        )

    def _fetch_again(self, series: Series, range_: Interval) -> bool:
        now = self._fetcher.source.now()  # before it: what closes meanwhile may come unclosed
        rows = self._fetcher.fetch(series.key, series.grid, range_)
        return ingest(self._store, series.key, rows, closed_until=now).added > 0

    def _replace(self, layers: list[Piece], series: Series, range_: Interval) -> bool:
        # The new rows are at hand before the damaged ones are dropped.
        now = self._fetcher.source.now()
        fetched = self._fetcher.fetch(series.key, series.grid, range_)
        rows = inspect(fetched, series.grid, now).block
        for layer in layers:
            given = len(rows.between(layer.first, layer.last + 1))
            if given < layer.rows:
                raise FetchError(
                    f"{series.key.venue} gives {given} candles for {to_iso(layer.first)} to "
                    f"{to_iso(series.grid.next(layer.last))}, where {layer.rows} were stored: "
                    "nothing was changed"
                )
        lost = self._store.replace(series, layers, rows)
        self._done.lose(series, lost or ())
        return lost is not None


def _by_window(found: Verification) -> Iterator[tuple[Series, list[Piece]]]:
    """The damaged layers of each window: one over another cannot be replaced by itself."""
    for _, damaged in groupby(found.damaged, key=lambda one: (one[0].id, one[1].start)):
        here = list(damaged)
        yield here[0][0], [layer for _, layer in here]
