"""What a followed series needs beside its messages: history, and the clock.

Fetched is what no connection saw whole, and what the clock says to be closed while the connection
is silent: silence alone tells nothing, since a connection may hang in the middle of a candle.
"""

from __future__ import annotations

import asyncio

from ohlcache.candles import Interval, IntervalSet
from ohlcache.candles.interval import union
from ohlcache.drive import drive_async
from ohlcache.errors import FetchError, SourceError, SourceUnavailable
from ohlcache.history.fetcher import is_worth_retrying
from ohlcache.history.live.closed import Candles
from ohlcache.history.live.following import Following
from ohlcache.history.live.listener import Listener

_LONGEST_SLEEP = 10.0  # seconds; a clock that was set right, or slept, is noticed after these
_ASK_AGAIN = 1.0  # seconds until a source is asked again for what it has not published yet


class Keeper:
    """Keeps a series complete while a listener listens."""

    def __init__(self, following: Following, listener: Listener) -> None:
        self._following = following
        self._listener = listener
        self._series = following.series
        self._counts = following.around.counts
        self._is_unsettled = False
        self._asked_until = 0  # beyond a hole

    async def keep(self) -> None:
        """Do what is to be done whenever it is."""
        while True:
            self._following.woken.clear()
            self._is_unsettled = False
            await self._tell_time()
            await self._repair()
            candles = self._listener.candles
            if candles is not None:
                await self._close(candles)
            await self._fetch_doubtful()
            await self._pause()

    async def _tell_time(self) -> None:
        try:
            await self._following.tell_time()
        except Exception as error:
            if not is_worth_retrying(error):
                raise

    async def _pause(self) -> None:
        """Sleep until a candle may be closed, or something happens."""
        following, grid = self._following, self._following.grid
        waited = following.now() - following.grace
        until_close = (grid.next(grid.floor(waited)) - waited) / 1000
        seconds = min(until_close, _ASK_AGAIN if self._is_unsettled else _LONGEST_SLEEP)
        sleep = asyncio.ensure_future(following.around.sleep(seconds))
        wake = asyncio.create_task(following.woken.wait())
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
        following, edge = self._following, self._following.edge
        candles = self._listener.candles
        until = self._closed_by_clock()
        if candles is not None:
            until = min(until, candles.known_from)
        if edge.time >= until:
            return
        reached, lost_until = await self._fetched(edge.time, until)
        if lost_until <= reached < until and candles is not None:
            reached, lost_until = await self._passed_over(Interval(reached, until))
        self._counts["repaired"] += reached > edge.time
        given_up_until = 0
        if reached < lost_until and candles is not None:
            self._counts["unrepaired"] += 1
            given_up_until = lost_until
        self._is_unsettled = max(reached, lost_until) < until
        async with following.storing:
            await following.settle(given_up_until)

    async def _close(self, candles: Candles) -> None:
        """Have stored what is closed by now, though no further message shows it.

        What only the clock says to be over, history has to tell.
        """
        following, listener = self._following, self._listener
        async with following.storing:
            await listener.store_closed(candles)
            start = candles.closed_until
        until = self._closed_by_clock()
        if until <= start or not self._series.has_history:
            return
        reached, lost_until = await self._fetched(start, until)
        self._counts["confirmed"] += reached > start
        self._is_unsettled |= max(reached, lost_until) < until
        async with following.storing:
            told = candles.leave(reached)
            if listener.candles is candles:  # else it was lost meanwhile, in the middle of one
                await listener.store_lacking(told)
            await following.settle()

    async def _fetched(self, start: int, until: int) -> tuple[int, int]:
        """Have a range fetched: how far everything is known then, and up to where no more will be.

        Nothing will be of the range where history failed.
        """
        following, series = self._following, self._series
        try:
            walk = series.repair(following.grid, start, until)
            reached = await drive_async(walk, following.around.threads)
            return reached, await following.blocking(
                series.told_from, following.grid, reached, until
            )
        except SourceError as error:
            following.count_error(error)
            return await following.blocking(series.known_until, start), until

    async def _passed_over(self, hole: Interval) -> tuple[int, int]:
        """What ``_fetched`` gives, once the venue has published what follows a hole.

        Asked once for each candle that follows.
        """
        until = self._closed_by_clock()
        if until <= max(hole.end, self._asked_until):
            return hole.start, hole.start
        self._asked_until = until
        left = await self._fetched_again(hole, until)
        reached = await self._following.blocking(self._series.known_until, hole.start)
        return reached, reached if left else hole.end

    async def _fetch_doubtful(self) -> None:
        following = self._following
        doubtful, following.doubtful = following.doubtful, ()
        for range_ in doubtful:
            left = await self._fetched_again(range_, range_.end)
            following.doubtful = union(following.doubtful, left)  # not at once: no need to wake

    async def _fetched_again(self, range_: Interval, until: int) -> IntervalSet:
        """Have a range fetched that the store may know; what may still become final of it."""
        following = self._following
        try:
            return await following.blocking(self._series.fetch_again, following.grid, range_, until)
        except SourceError as error:
            following.count_error(error)
            is_passing = isinstance(error, SourceUnavailable | FetchError)
            return (range_,) if is_passing else ()

    def _closed_by_clock(self) -> int:
        """Up to where candles are over; for a stream that is late, as late as its messages are."""
        following = self._following
        return following.grid.floor(following.now() - self._listener.behind - following.grace)
