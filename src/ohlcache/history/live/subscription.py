"""Following one series: one task that takes what a stream gives and stores what closes.

Two activities share the work. The *reader* keeps a connection, takes its messages and stores
candles as soon as the messages show them to be closed; it never waits for a source, so that no
connection is lost because nobody read from it. The *keeper* has fetched what no connection saw
whole, and what the clock says to be closed while the connection is silent: silence alone tells
nothing, since a connection may hang in the middle of a candle. Candles before ``edge`` are settled:
stored, or known to be had from nobody. Whoever follows reads them from the store, so a slow
consumer costs nothing.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, TypeVar

import stamina

from ohlcache.candles import Grid, Interval, IntervalSet, to_iso
from ohlcache.candles.interval import union
from ohlcache.drive import drive_async
from ohlcache.errors import SourceError, SourceUnavailable, StoreError
from ohlcache.history.fetcher import is_worth_retrying
from ohlcache.history.live.closed import Candles, Closed
from ohlcache.history.live.followed import FollowedSeries
from ohlcache.history.live.forming import FormingCandles
from ohlcache.history.live.traded import TradedCandles
from ohlcache.history.live.updates import UpdatedCandles
from ohlcache.history.reports import WriteReport
from ohlcache.sources.live import CandleUpdate, Stream, Trade, message_of

_LONGEST_WAIT = 30.0  # seconds between attempts to connect
_LONGEST_SLEEP = 10.0  # seconds; a clock that was set right, or slept, is noticed after these
_ASK_AGAIN = 1.0  # seconds until a source is asked again for what it has not published yet
_MOST_AHEAD = 300_000  # ms that a message may be ahead of the clock

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the subscriptions of a store share. ``clock`` gives ms since the epoch."""

    clock: Callable[[], int]
    sleep: Callable[[float], Awaitable[None]]
    threads: Executor
    forming: FormingCandles
    counts: Counter[str]


class Subscription:
    """A stream whose closed candles are stored; for the event loop that it was made in."""

    def __init__(
        self, series: FollowedSeries, stream: Stream, grace: int, around: Surroundings
    ) -> None:
        """``grace``: ms after its end in which trades of a candle may still come."""
        self.series = series
        self.followers = 0
        self.edge = 0
        self.failure: BaseException | None = None
        self.is_over = False
        self._stream = stream
        self._grace = grace
        self._around = around
        self._candles: Candles | None = None  # of the connection, from its first message on
        self._behind = 0  # of the newest message, in ms after its candle's end
        self._new_from: int | None = None  # where a series begins that is not stored
        self._earlier: int | None = None  # where the first message let it begin instead
        self._doubtful: IntervalSet = ()
        self._is_unsettled = False
        self._ahead = 0  # of the venue's clock, before ours
        self._storing = asyncio.Lock()
        self._wake = asyncio.Event()
        self._changed = asyncio.Condition()
        self._begun = asyncio.get_running_loop().create_future()
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._run(), name=f"follow {series.key}")

    async def begun(self) -> None:
        """Wait until it is known where following begins, or that it cannot."""
        await asyncio.shield(self._begun)

    async def reached_beyond(self, time: int) -> bool:
        """Wait until candles from ``time`` on are settled; False when none will be."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.edge > time or self.is_over)
        return self.edge > time

    async def beginning(self, time: int) -> int:
        """Wait for the first candle from ``time`` on; where it is, which may be earlier."""

        def begins() -> int:
            earlier = self._earlier if time == self._new_from else None
            return time if earlier is None else earlier

        async with self._changed:
            await self._changed.wait_for(lambda: self.edge > begins() or self.is_over)
        return begins()

    async def end(self) -> None:
        """Close the connection and wait until nothing of it is left."""
        self._task.cancel()
        await asyncio.wait([self._task])

    def end_soon(self) -> None:
        """The same from any thread, without waiting."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._task.cancel)

    async def blocking(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """What a function gives that blocks."""
        try:
            future = self._loop.run_in_executor(self._around.threads, function, *arguments)
        except RuntimeError as error:
            raise StoreError(
                f"the store of {self.series.key} was closed: open it again to follow"
            ) from error
        return await future

    # -- the task -------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            await self._begin()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read())
                group.create_task(self._keep())
        except ExceptionGroup as failures:
            self.failure = failures.exceptions[0]
        except Exception as error:  # whoever follows raises it  # noqa: BLE001
            self.failure = error
        finally:
            self.is_over = True
            self._around.forming.drop(self.series.key)
            if not self._begun.done():
                self._begun.set_result(None)
            async with self._changed:
                self._changed.notify_all()

    async def _begin(self) -> None:
        """Go on where the stored history ends; a new one begins with the forming candle."""
        await self._tell_time()
        now = self._now()
        self._grid: Grid = await self.blocking(self.series.grid, now)
        forming = self._grid.floor(now)
        stored = await self.blocking(self.series.stored_until)
        self.edge = forming if stored is None else min(stored, forming)
        self._new_from = forming if stored is None else None
        self._begun.set_result(None)

    def _now(self) -> int:
        return self._around.clock() + self._ahead

    async def _tell_time(self) -> None:
        self._ahead = await self.blocking(self._measured_ahead)

    def _measured_ahead(self) -> int:
        told = self.series.venue_time()
        return 0 if told is None else told - self._around.clock()

    async def _settle(self, until: int) -> None:
        if until > self.edge:
            self.edge = until
            async with self._changed:
                self._changed.notify_all()

    async def _store(self, candles: Candles, closed: Closed | None) -> None:
        """Store candles; the caller holds the lock, so that they come in order."""
        late, candles.late = candles.late, {}
        if closed is not None:
            self._count(await self.blocking(self.series.add, closed))
            self._around.forming.drop(self.series.key, closed.covered.end)
            if self.edge >= closed.covered.start:
                await self._settle(closed.covered.end)
        if late:
            self._around.counts["late"] += len(late)
            updates = [update for update in late.values() if update is not None]
            is_final = not self.series.has_history
            final = [update for update in updates if update.closed or is_final]
            if final:
                self._count(await self.blocking(self.series.correct, final))
            for time in late.keys() - {update.time for update in final}:
                self._doubt(Interval(time, self._grid.next(time)))

    def _doubt(self, range_: Interval) -> None:
        """Have a range that is stored fetched again."""
        if self.series.has_history:
            self._doubtful = union(self._doubtful, [range_])
            self._wake.set()

    def _count(self, report: WriteReport) -> None:
        counts = self._around.counts
        counts["candles"] += report.added
        counts["revised"] += report.updated
        counts["rejected"] += report.rejected

    # -- the reader -----------------------------------------------------------------------------

    async def _read(self) -> None:
        ended: Exception | None = None
        while True:
            async for attempt in stamina.retry_context(
                on=is_worth_retrying, attempts=None, timeout=None, wait_max=_LONGEST_WAIT
            ):
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
        await self._tell_time()
        opened_at = self._now()
        messages = self._stream.watch(self.series.key.symbol, str(self.series.key.timeframe))
        try:
            async for raw in messages:
                await self._take(message_of(raw), opened_at)
            raise SourceUnavailable("the stream ended")
        except Exception as error:
            self._around.counts[f"error:{type(error).__name__}"] += 1
            if self._candles is None or not is_worth_retrying(error):
                raise
            return error
        finally:
            await _close(messages)
            await self._lose_connection()

    async def _take(self, message: CandleUpdate | Trade, opened_at: int) -> None:
        ahead = message.time - self._now()
        if ahead > _MOST_AHEAD:
            raise SourceUnavailable(
                f"the stream gives the time {to_iso(message.time)}, {ahead / 1000:.0f} s from now: "
                "set this machine's clock, or mend the stream"
            )
        if self._candles is None:
            self._candles = self._new_candles(message, opened_at)
            self._around.counts["connections"] += 1
            self._begin_earlier(self._candles.known_from)
            self._wake.set()
        self._behind = max(0, self._now() - self._grid.next(self._grid.floor(message.time)))
        candles = self._candles
        candles.take(message)
        forming = candles.forming
        if forming is not None:
            time, row = forming
            self._around.forming.put(self.series.key, time, self._grid.next(time), row)
        async with self._storing:
            closed = candles.close()
            if closed is not None or candles.late:
                await self._store(candles, closed)

    def _new_candles(self, message: CandleUpdate | Trade, opened_at: int) -> Candles:
        if isinstance(message, Trade):
            return TradedCandles(self._grid, self._grace, message, opened_at)
        return UpdatedCandles(self._grid, message)

    def _begin_earlier(self, known_from: int) -> None:
        """Begin a new series with what its first connection knows, if that is before the clock."""
        if self._earlier is None and self.edge == self._new_from and known_from < self.edge:
            self.edge = self._earlier = known_from

    async def _lose_connection(self) -> None:
        candles, self._candles = self._candles, None
        self._behind = 0
        self._around.forming.drop(self.series.key)
        if candles is None:
            return
        self._around.counts["ignored"] += candles.ignored
        self._around.counts["drops"] += 1
        if not self.series.has_history:
            async with self._storing:
                await self._store(candles, candles.last_words())
        self._wake.set()

    # -- the keeper -----------------------------------------------------------------------------

    async def _keep(self) -> None:
        while True:
            self._wake.clear()
            await self._tell_time()
            await self._repair()
            candles = self._candles
            if candles is not None and self.series.has_history:
                await self._confirm(candles)
            if self._doubtful:
                await self._fetch_doubtful()
            await self._pause()

    async def _pause(self) -> None:
        """Sleep until a candle may be closed, or something happens."""
        waited = self._now() - self._grace
        until_close = (self._grid.next(self._grid.floor(waited)) - waited) / 1000
        seconds = min(until_close, _ASK_AGAIN if self._is_unsettled else _LONGEST_SLEEP)
        sleep = asyncio.ensure_future(self._around.sleep(seconds))
        wake = asyncio.create_task(self._wake.wait())
        try:
            await asyncio.wait([sleep, wake], return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleep.cancel()
            wake.cancel()
            await asyncio.gather(sleep, wake, return_exceptions=True)

    async def _repair(self) -> None:
        """Bring the edge to where the connection knows everything, from the venue's history.

        Without a connection history alone takes the edge on, as far as candles are closed. What it
        cannot give is left uncovered, once a connection has gone beyond it.
        """
        candles = self._candles
        until = self._closed_by_clock()
        if candles is not None:
            until = min(until, candles.known_from)
        self._is_unsettled = False
        if self.edge >= until:
            return
        try:
            reached = await drive_async(
                self.series.repair(self._grid, self.edge, until), self._around.threads
            )
        except SourceError as error:
            self._around.counts[f"error:{type(error).__name__}"] += 1
            reached = await self.blocking(self.series.known_until, self.edge)
            is_hopeless = True
        else:
            is_hopeless = not self.series.has_history
        self._around.counts["repaired"] += reached > self.edge
        if reached < until:
            if candles is not None and is_hopeless:
                self._around.counts["unrepaired"] += 1
                reached = until
            else:
                self._is_unsettled = not is_hopeless
        async with self._storing:  # what the reader stored meanwhile did not move the edge
            await self._settle(await self.blocking(self.series.known_until, reached))

    async def _confirm(self, candles: Candles) -> None:
        """Have history tell what only the clock says to be closed."""
        until = self._closed_by_clock()
        async with self._storing:  # what messages had closed by then is stored
            start = candles.closed_until
        if until <= start:
            return
        try:
            reached = await drive_async(
                self.series.repair(self._grid, start, until), self._around.threads
            )
        except SourceError as error:
            self._around.counts[f"error:{type(error).__name__}"] += 1
            reached = await self.blocking(self.series.known_until, start)
        self._around.counts["confirmed"] += reached > start
        self._is_unsettled |= reached < until
        async with self._storing:
            candles.leave(reached)
            if self.edge >= start:
                await self._settle(reached)

    def _closed_by_clock(self) -> int:
        """Up to where candles are over; for a stream that is late, as late as its messages are."""
        return self._grid.floor(self._now() - self._behind - self._grace)

    async def _fetch_doubtful(self) -> None:
        doubtful, self._doubtful = self._doubtful, ()
        for range_ in doubtful:
            try:
                left = await self.blocking(self.series.fetch_again, self._grid, range_)
            except SourceError as error:
                self._around.counts[f"error:{type(error).__name__}"] += 1
                left = (range_,)
            self._doubtful = union(self._doubtful, left)


async def _close(messages: AsyncIterator[Any]) -> None:
    close = getattr(messages, "aclose", None)
    if close is not None:
        await close()
