"""What following a series does to the store: rows with their coverage, repairs, and reading on.

All of it blocks and belongs into a thread; :meth:`FollowedSeries.repair` is a walk for
``ohlcache.drive``.
"""

from __future__ import annotations

from functools import partial

from ohlcache.candles import Block, Grid, Interval, IntervalSet
from ohlcache.candles.grid import detect_anchor
from ohlcache.candles.interval import difference, intersection, normalise
from ohlcache.drive import Walk
from ohlcache.history.fetcher import Fetcher
from ohlcache.history.holder import Holder
from ohlcache.history.ingest import ingest
from ohlcache.history.live.closed import Closed, block_of
from ohlcache.history.reports import SeriesKey, WriteReport
from ohlcache.history.store import Store
from ohlcache.sources.live import CandleUpdate


class FollowedSeries:
    """One series of a store, and the source that its history can be fetched from, if any."""

    def __init__(
        self, key: SeriesKey, store: Store, holder: Holder, history: Fetcher | None
    ) -> None:
        self.key = key
        self._store = store
        self._holder = holder
        self._history = history

    @property
    def has_history(self) -> bool:
        """Whether what a stream did not give can be fetched."""
        return self._history is not None

    def venue_time(self) -> int | None:
        """The venue's clock in ms, where its source tells it."""
        return None if self._history is None else self._history.source.now()

    def grid(self, time: int) -> Grid:
        """The series' open times; of one that is not stored, those that ``time`` fits into."""
        stored = self._holder.catalogue().get(self.key)
        if stored is not None:
            return stored.grid
        timeframe = self.key.timeframe
        times = block_of([(time, (0.0,) * 5)]).times
        return Grid(timeframe, detect_anchor(timeframe, times))

    def stored_until(self) -> int | None:
        """Where the stored history ends; None without any."""
        coverage = self._coverage()
        return coverage[-1].end if coverage else None

    def known_until(self, start: int) -> int:
        """How far from ``start`` on everything is known."""
        return next((end for low, end in self._coverage() if low <= start < end), start)

    def add(self, closed: Closed) -> WriteReport:
        """Store closed candles and what they cover, in one transaction."""
        rows, covered = closed
        stored = self._holder.catalogue().get(self.key)
        wanted = rows.names[:5] if stored is None else stored.names
        names = tuple(name for name in rows.names if name in wanted)
        return ingest(
            self._store,
            self.key,
            rows.with_names(names),
            closed_until=covered.end,
            covered=(covered,),
        )

    def correct(self, updates: list[CandleUpdate]) -> WriteReport:
        """Store new states of candles that were closed before."""
        grid = self.grid(updates[0].time)
        rows = block_of([(update.time, update[1:6]) for update in updates])
        spans = normalise((update.time, grid.next(update.time)) for update in updates)
        return ingest(self._store, self.key, rows, closed_until=spans[-1].end, covered=spans)

    def rows(self, start: int, end: int) -> Block:
        """The stored candles in [start, end)."""
        loaded = self._holder.load(self.key, start, end)
        return Block.empty() if loaded is None else loaded[1]

    def repair(self, grid: Grid, start: int, end: int) -> Walk[int]:
        """Have fetched what is missing of [start, end); how far everything is known then.

        Raises SourceError where the source fails.
        """
        history = self._history
        if history is None:
            return start
        coverage: IntervalSet = yield self._coverage
        wanted = difference([(start, end)], coverage)
        missing: IntervalSet = yield partial(history.missing, self.key, grid, wanted)
        if missing:
            pages = yield partial(history.request, self.key, grid, missing)
            # Not "yield from": a list takes no values sent to it.
            for page in pages:  # noqa: UP028
                yield page
        known: int = yield partial(self.known_until, start)
        return known

    def fetch_again(self, grid: Grid, range_: Interval) -> IntervalSet:
        """Store what the source gives for a range that is stored; what is not final of it yet.

        A venue may publish its newest candles late. Raises SourceError where the source fails.
        """
        history = self._history
        assert history is not None
        now = history.source.now()
        rows = history.fetch(self.key, grid, range_)
        fresh = int(self.key.timeframe.freshness * 1000)
        answered = grid.next(int(rows.times.max())) if len(rows) else range_.start
        final_until = max(answered, grid.floor(now - fresh))
        final = intersection([range_], [(range_.start, final_until)])
        ingest(self._store, self.key, rows, closed_until=now, covered=final)
        return difference([range_], final)

    def _coverage(self) -> IntervalSet:
        with self._store.reading() as reading:
            series = reading.series(self.key)
            return () if series is None else reading.coverage(series)
