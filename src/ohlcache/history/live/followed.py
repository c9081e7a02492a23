"""What following a series does to the store: rows with their coverage, repairs, and reading on.

All of it blocks and belongs into a thread; :meth:`FollowedSeries.repair` is a walk for
``ohlcache.drive``.
"""

from __future__ import annotations

from functools import partial

import numpy as np

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
from ohlcache.sources.protocol import KnowsRanges


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

    def add(self, closed: Closed, now: int) -> WriteReport:
        """Store closed candles and what they cover, in one transaction.

        ``now``: the venue's clock, beyond which nothing is closed.
        """
        rows, covered = closed
        stored = self._holder.catalogue().get(self.key)
        wanted = rows.names[:5] if stored is None else stored.names
        names = tuple(name for name in rows.names if name in wanted)
        return ingest(
            self._store,
            self.key,
            rows.with_names(names),
            closed_until=now,
            covered=(covered,),
        )

    def lacking(self, closed: Closed) -> Closed:
        """Those candles that are not stored."""
        stored = self.rows(*closed.covered).times
        return closed._replace(rows=closed.rows.take(~np.isin(closed.rows.times, stored)))

    def correct(self, updates: list[CandleUpdate], now: int) -> WriteReport:
        """Store new states of candles that were closed before."""
        grid = self.grid(updates[0].time)
        rows = block_of([(update.time, update[1:6]) for update in updates])
        spans = normalise((update.time, grid.next(update.time)) for update in updates)
        return ingest(self._store, self.key, rows, closed_until=now, covered=spans)

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
        now: int = yield history.source.now
        missing: IntervalSet = yield partial(history.missing, self.key, grid, wanted, now)
        if missing:
            pages = yield partial(history.request, self.key, grid, missing)
            # Not "yield from": a list takes no values sent to it.
            for page in pages:  # noqa: UP028
                yield page
        known: int = yield partial(self.known_until, start)
        return known

    def told_from(self, grid: Grid, start: int, end: int) -> int:
        """From where on in [start, end) the source can tell anything; ``end`` if from nowhere."""
        told = self._told(Interval(start, end))
        return min(end, grid.ceil(told[0].start)) if told else end

    def fetch_again(self, grid: Grid, range_: Interval, until: int) -> IntervalSet:
        """Store what the source gives for a range; what may still become final of it.

        Asked for is what follows up to ``until`` too: a venue may publish its newest candles late,
        but a candle that it lacks while it has a later one will not come. Raises SourceError where
        the source fails.
        """
        history = self._history
        assert history is not None
        now = history.source.now()
        told = self._told(Interval(range_.start, max(range_.end, until)))
        wanted = intersection([range_], told)
        if not wanted:
            return ()
        asked = told[0]
        rows = history.fetch(self.key, grid, asked)
        settled = history.settled(self.key, grid, asked, rows, now)
        final = intersection(wanted, [(asked.start, settled)])
        inside = rows.take(rows.times < range_.end)
        ingest(self._store, self.key, inside, closed_until=now, covered=final)
        return difference(wanted, final)

    def _told(self, range_: Interval) -> IntervalSet:
        """What of a range the source can tell about."""
        if self._history is None or range_.end <= range_.start:
            return ()
        source = self._history.source
        if not isinstance(source, KnowsRanges):
            return (range_,)
        known = source.known(self.key.symbol, str(self.key.timeframe))
        return intersection([range_], known)

    def _coverage(self) -> IntervalSet:
        with self._store.reading() as reading:
            series = reading.series(self.key)
            return () if series is None else reading.coverage(series)
