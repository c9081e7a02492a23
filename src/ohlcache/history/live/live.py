"""Live data of a store: candles appended one by one, and streams that are followed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ohlcache.candles import Block, Grid, Timeframe, to_block
from ohlcache.candles.columns import TIME, find_columns
from ohlcache.candles.frames import Frame
from ohlcache.candles.grid import detect_anchor
from ohlcache.candles.instant import LATEST, to_ms
from ohlcache.candles.quality import NOT_CLOSED, inspect
from ohlcache.errors import InvalidArgument, StoreError
from ohlcache.history.fetcher import Fetcher
from ohlcache.history.holder import Holder
from ohlcache.history.ingest import ingest
from ohlcache.history.live.followed import FollowedSeries
from ohlcache.history.live.following import Surroundings
from ohlcache.history.live.forming import CandleDict, FormingCandles
from ohlcache.history.live.lent import LentSource
from ohlcache.history.live.subscription import Subscription
from ohlcache.history.reports import SeriesKey, WriteReport
from ohlcache.history.store import Store
from ohlcache.sources.live import Stream, TellsTime
from ohlcache.sources.protocol import Source

_THREADS = 4
_ROWS_AT_ONCE = 1_000  # that a consumer who is behind reads from the store

_Shared = tuple[SeriesKey, int, int, int]


class Live:
    """The live side of one store, for any number of threads and event loops."""

    def __init__(
        self,
        store: Store,
        holder: Holder,
        fetcher: Fetcher | None,
        fetcher_of: Callable[[Source], Fetcher],
        clock: Callable[[], int],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        """``clock`` gives ms since the epoch, ``sleep`` waits for seconds of it.

        fetcher: that of the store's own source; ``fetcher_of`` makes one for another source.
        """
        self._store = store
        self._holder = holder
        self._fetcher = fetcher
        self._fetcher_of = fetcher_of
        self._clock = clock
        self._sleep = sleep
        self._forming = FormingCandles()
        self.renew()

    def renew(self) -> None:
        """Begin anew in a forked child, where no stream is followed."""
        self.counts: Counter[str] = Counter()
        self._forming.clear()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="ohlcache-live")
        self._subscriptions: dict[_Shared, Subscription] = {}
        self._fetchers: dict[int, Fetcher] = {}  # of streams that can fetch too
        self._is_closed = False

    def append(self, key: SeriesKey, candle: Frame) -> WriteReport:
        """Store one candle, or remember it as the forming one. See ``MarketData.append``."""
        block = _one_candle(candle)
        time = int(block.times[0])
        grid = self._grid(key, time)
        end = grid.next(time)
        clock = self._clock()
        now = self._venue_time(key, clock)
        if end <= now:
            self._forming.drop(key, end)
            return ingest(self._store, key, block, closed_until=now)
        inspection = inspect(block, grid, LATEST)
        refused = inspection.refused
        if not refused.total:
            row: tuple[float, ...] = tuple(block.values[:5, 0].tolist())
            self._forming.put(key, time, end - now + clock, row)
        reasons = refused.counts or {NOT_CLOSED: 1}
        return WriteReport(rejected=1, reasons=reasons, offenders=refused.offenders)

    def forming(self, key: SeriesKey) -> CandleDict | None:
        """The unclosed candle of a series, if this process knows it."""
        return self._forming.get(key, self._clock())

    def follow(
        self, key: SeriesKey, stream: Stream, grace_seconds: float
    ) -> AsyncGenerator[CandleDict, None]:
        """Closed candles of a stream as they are stored. See ``MarketData.follow``."""
        if not isinstance(stream, Stream):
            raise InvalidArgument(
                f"source is {stream!r}: give an object whose watch(symbol, timeframe) is an async "
                "iterator of candles or trades; an exchange is CcxtStream('binance')"
            )
        if not 0 <= grace_seconds < float("inf"):
            raise InvalidArgument(f"grace_seconds is {grace_seconds!r}: give 0 or more")
        return self._candles(key, stream, round(grace_seconds * 1000))

    async def _candles(
        self, key: SeriesKey, stream: Stream, grace: int
    ) -> AsyncGenerator[CandleDict, None]:
        # Followers of the same stream share a connection.
        shared = (key, id(stream), grace, id(asyncio.get_running_loop()))
        subscription = self._subscriptions.get(shared)
        if subscription is None or subscription.edge.is_over:
            subscription = self._subscribed(key, stream, grace)
            self._subscriptions[shared] = subscription
        following, edge = subscription.following, subscription.edge
        subscription.followers += 1
        try:
            await edge.begun()
            cursor = await edge.beginning(edge.time)
            while await edge.reached_beyond(cursor) and not self._is_closed:
                grid = self._grid(key, cursor)
                end = min(edge.time, grid.shifted(cursor, _ROWS_AT_ONCE))
                rows = await following.blocking(following.series.rows, cursor, end)
                cursor = end
                for row in range(len(rows)):
                    yield _candle_dict(rows, row)
            if subscription.failure is not None and not self._is_closed:
                raise subscription.failure
        finally:
            subscription.followers -= 1
            if not subscription.followers:
                if self._subscriptions.get(shared) is subscription:
                    del self._subscriptions[shared]
                await subscription.end()

    def _subscribed(self, key: SeriesKey, stream: Stream, grace: int) -> Subscription:
        if self._is_closed:
            raise StoreError(f"{self._store.name} is closed: open it again to follow {key}")
        history = self._history(key, stream)
        series = FollowedSeries(key, self._store, self._holder, history)
        around = Surroundings(self._clock, self._sleep, self._threads, self._forming, self.counts)
        if history is not None:
            venue_clock = history.source.now
        else:
            venue_clock = stream.now if isinstance(stream, TellsTime) else self._clock
        return Subscription(series, stream, venue_clock, grace, around)

    def _history(self, key: SeriesKey, stream: Stream) -> Fetcher | None:
        """Who fetches what a stream lacks: the store's own source, or the stream if it can."""
        if self._fetcher is not None and self._fetcher.source.venue == key.venue:
            return self._fetcher
        if isinstance(stream, Source) and stream.venue == key.venue:
            if id(stream) not in self._fetchers:
                self._fetchers[id(stream)] = self._fetcher_of(LentSource(stream))
            return self._fetchers[id(stream)]
        return None

    def _venue_time(self, key: SeriesKey, clock: int) -> int:
        """The venue's time, where the store's own source tells it."""
        if self._fetcher is None or self._fetcher.source.venue != key.venue:
            return clock
        return self._fetcher.source.now()

    def _grid(self, key: SeriesKey, time: int) -> Grid:
        """A series' grid; that of a new daily one is told by the first open time."""
        timeframe: Timeframe = key.timeframe
        if not timeframe.is_daily_or_longer:
            return Grid(timeframe)
        stored = self._holder.catalogue().get(key)
        if stored is not None:
            return stored.grid
        return Grid(timeframe, detect_anchor(timeframe, np.array([time], np.int64)))

    def stats(self) -> dict[str, int]:
        """What happened since opening, and how many streams are followed."""
        return {"following": len(self._subscriptions), **self.counts}

    def close(self) -> None:
        """End all that is followed; iterators over it end."""
        self._is_closed = True
        for subscription in list(self._subscriptions.values()):
            subscription.end_soon()
        self._threads.shutdown(wait=True)
        for fetcher in self._fetchers.values():
            fetcher.close()
        self._forming.clear()


def _one_candle(candle: Frame) -> Block:
    """A candle (a ccxt row, a dict, a frame of one row) as a block."""
    is_row = isinstance(candle, list | tuple) and candle and not _is_column(candle[0])
    is_dict = isinstance(candle, dict) and not any(map(_is_column, candle.values()))
    if is_row and isinstance(candle[0], str):
        candle = [to_ms(candle[0], TIME), *candle[1:]]
    if is_dict:
        time = find_columns(candle).get(TIME)
        if isinstance(candle.get(time), str):
            candle = {**candle, time: to_ms(candle[time], TIME)}
    block = to_block([candle] if is_row or is_dict else candle)
    if len(block) != 1:
        raise InvalidArgument(f"candle holds {len(block)} rows: give one, or use write")
    return block


def _is_column(value: Any) -> bool:
    return hasattr(value, "__len__") and not isinstance(value, str)


def _candle_dict(rows: Block, row: int) -> CandleDict:
    values = rows.values[:, row].tolist()
    return {"timestamp": int(rows.times[row]), **dict(zip(rows.names, values, strict=True))}
