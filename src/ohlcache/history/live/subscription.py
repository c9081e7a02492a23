"""Following one series: one task that takes what a stream gives and stores what closes.

Two activities share the work, a *listener* that stores what the messages of a connection show to be
closed, and a *keeper* that has fetched what they do not. Whoever follows reads the candles that are
settled from the store, so a slow consumer costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ohlcache.history.live.followed import FollowedSeries
from ohlcache.history.live.following import Following, Surroundings
from ohlcache.history.live.keeper import Keeper
from ohlcache.history.live.listener import Listener
from ohlcache.sources.live import Stream


class Subscription:
    """A stream whose closed candles are stored; for the event loop that it was made in."""

    def __init__(
        self,
        series: FollowedSeries,
        stream: Stream,
        venue_clock: Callable[[], int],
        grace: int,
        around: Surroundings,
    ) -> None:
        """``venue_clock``, ``grace``: see Following."""
        self.followers = 0
        self.failure: BaseException | None = None
        self.following = Following(series, venue_clock, grace, around)
        self.edge = self.following.edge
        self._listener = Listener(self.following, stream)
        self._keeper = Keeper(self.following, self._listener)
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._run(), name=f"follow {series.key}")

    async def end(self) -> None:
        """Close the connection and wait until nothing of it is left."""
        self._task.cancel()
        await asyncio.wait([self._task])

    def end_soon(self) -> None:
        """The same from any thread, without waiting."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._task.cancel)

    async def _run(self) -> None:
        try:
            await self.following.begin()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listener.listen())
                group.create_task(self._keeper.keep())
        except ExceptionGroup as failures:
            self.failure = failures.exceptions[0]
        except Exception as error:  # whoever follows raises it  # noqa: BLE001
            self.failure = error
        finally:
            self.following.around.forming.drop(self.following.series.key)
            await self.edge.end()
