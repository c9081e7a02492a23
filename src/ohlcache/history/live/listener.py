"""The connection of a followed series: its messages become candles, stored as soon as they close.

It never waits for a source, so that no connection is lost because nobody read from it. One that is
lost is made anew; what is missing by then is for the keeper to fetch.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from ohlcache.candles import Interval, to_iso
from ohlcache.candles.instant import EARLIEST
from ohlcache.errors import SourceUnavailable
from ohlcache.history.fetcher import is_worth_retrying
from ohlcache.history.live.closed import Candles, Closed
from ohlcache.history.live.following import Following, attempts
from ohlcache.history.live.traded import TradedCandles
from ohlcache.history.live.updates import UpdatedCandles
from ohlcache.history.reports import WriteReport
from ohlcache.sources.live import CandleUpdate, Stream, Trade, message_of

_MOST_AHEAD = 300_000  # ms that a message may be ahead of the clock


class Listener:
    """Listens to a stream. ``candles``: those of the connection, from its first message on.

    behind: how late the newest message was, in ms after its candle's end.
    """

    def __init__(self, following: Following, stream: Stream) -> None:
        self.candles: Candles | None = None
        self.behind = 0
        self._heard = EARLIEST  # the time of the newest message
        self._following = following
        self._stream = stream
        self._series = following.series
        self._forming = following.around.forming
        self._counts = following.around.counts

    async def listen(self) -> None:
        """Keep a connection. Raises what another one would not mend."""
        ended: Exception | None = None
        while True:
            async for attempt in attempts():
                with attempt:
                    if ended is not None:
                        # The end of a connection that had worked is the first of its failures.
                        error, ended = ended, None
                        raise error
                    ended = await self._connection()

    async def _connection(self) -> Exception:
        """Take messages until the connection is lost: the error of one that had worked.

        One that gave no message, or that need not be tried again, raises its error.
        """
        await self._following.tell_time()
        opened_at = self._following.now()
        messages = self._stream.watch(self._series.key.symbol, str(self._series.key.timeframe))
        try:
            async for raw in messages:
                await self._take(message_of(raw), opened_at)
            raise SourceUnavailable("the stream ended")
        except Exception as error:
            self._following.count_error(error)
            if self.candles is None or not is_worth_retrying(error):
                raise
            return error
        finally:
            try:
                await self._close(messages)
            finally:
                await self._lose_connection()

    async def _close(self, messages: AsyncIterator[Any]) -> None:
        """Close a connection, which is over even where that fails, as of a broken socket."""
        close = getattr(messages, "aclose", None)
        if close is None:
            return
        try:
            await close()
        except Exception as error:  # a stream may raise anything  # noqa: BLE001
            self._following.count_error(error)

    async def _take(self, message: CandleUpdate | Trade, opened_at: int) -> None:
        now, grid = self._following.now(), self._following.grid
        ahead = message.time - now
        if ahead > _MOST_AHEAD:
            raise SourceUnavailable(
                f"the stream gives the time {to_iso(message.time)}, {ahead / 1000:.0f} s from now: "
                "set this machine's clock, or mend the stream"
            )
        if self.candles is None:
            self.candles = self._new_candles(message, opened_at)
            self._counts["connections"] += 1
            self._following.edge.begin_earlier(self.candles.known_from)
            self._following.woken.set()
        heard = min(message.time, now)
        if heard >= self._heard:
            self._heard = heard
            self.behind = max(0, now - grid.next(grid.floor(heard)))
        candles = self.candles
        candles.take(message, now)
        forming = candles.forming
        if forming is not None:
            self._following.show_forming(*forming)
        async with self._following.storing:
            await self.store_closed(candles)

    def _new_candles(self, message: CandleUpdate | Trade, opened_at: int) -> Candles:
        following = self._following
        if isinstance(message, Trade):
            return TradedCandles(following.grid, following.grace, message, opened_at)
        return UpdatedCandles(following.grid, message)

    async def _lose_connection(self) -> None:
        candles, self.candles = self.candles, None
        self.behind = 0
        self._heard = EARLIEST
        self._forming.drop(self._series.key)
        if candles is None:
            return
        self._counts["ignored"] += candles.ignored
        self._counts["drops"] += 1
        if not self._series.has_history:
            async with self._following.storing:
                now = self._following.now()
                await self._store(candles, candles.last_words(now), now)
        self._following.woken.set()

    # -- storing, under the lock ----------------------------------------------------------------

    async def store_closed(self, candles: Candles) -> None:
        """Store what messages say to be closed by now; the clock may have withheld some of it."""
        now = self._following.now()
        await self._store(candles, candles.close(now), now)

    async def store_lacking(self, closed: Closed | None) -> None:
        """Store of what messages told what the history has left out."""
        if closed is not None and len(closed.rows):
            lacking = await self._following.blocking(self._series.lacking, closed)
            await self._store_rows(lacking, self._following.now())

    async def _store(self, candles: Candles, closed: Closed | None, now: int) -> None:
        late, candles.late = candles.late, {}
        if closed is not None:
            await self._store_rows(closed, now)
            await self._following.settle()
        if late:
            await self._store_late(late, now)

    async def _store_rows(self, closed: Closed, now: int) -> None:
        self._count(await self._following.blocking(self._series.add, closed, now))
        self._forming.drop(self._series.key, closed.covered.end)

    async def _store_late(self, late: dict[int, CandleUpdate | None], now: int) -> None:
        following = self._following
        self._counts["late"] += len(late)
        updates = [update for update in late.values() if update is not None]
        is_final = not self._series.has_history
        final = [update for update in updates if update.closed or is_final]
        if final:
            self._count(await following.blocking(self._series.correct, final, now))
        for time in late.keys() - {update.time for update in final}:
            following.doubt(Interval(time, following.grid.next(time)))

    def _count(self, report: WriteReport) -> None:
        self._counts["candles"] += report.added
        self._counts["revised"] += report.updated
        self._counts["rejected"] += report.rejected
