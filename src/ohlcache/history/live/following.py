"""What the two activities that follow one series share: where it stands, time, and threads."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, TypeVar

import stamina

from ohlcache.candles import Grid, Interval, IntervalSet
from ohlcache.candles.interval import union
from ohlcache.errors import StoreError
from ohlcache.history.fetcher import is_worth_retrying
from ohlcache.history.live.closed import Row
from ohlcache.history.live.edge import Edge
from ohlcache.history.live.followed import FollowedSeries
from ohlcache.history.live.forming import FormingCandles

Result = TypeVar("Result")

_LONGEST_WAIT = 30.0  # seconds between attempts
_QUICK = 10  # ms that an answer of the venue's clock may take to be believed at once
_MOST_ANSWERS = 3  # the quickest is believed


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the subscriptions of a store share. ``clock`` gives ms since the epoch."""

    clock: Callable[[], int]
    sleep: Callable[[float], Awaitable[None]]
    threads: Executor
    forming: FormingCandles
    counts: Counter[str]


class Following:
    """One series that is followed, for the event loop that it was made in.

    storing: held while candles are stored, so that they come in order. doubtful: ranges that are
    stored and have to be fetched again. woken: set when the keeper has something to do.
    """

    grid: Grid

    def __init__(
        self,
        series: FollowedSeries,
        venue_clock: Callable[[], int],
        grace: int,
        around: Surroundings,
    ) -> None:
        """``venue_clock`` gives the venue's time in ms, and may block.

        ``grace``: ms after its end in which trades of a candle may still come.
        """
        self.series = series
        self.grace = grace
        self.around = around
        self.edge = Edge()
        self.storing = asyncio.Lock()
        self.woken = asyncio.Event()
        self.doubtful: IntervalSet = ()
        self._venue_clock = venue_clock
        self._ahead = 0  # ms of the venue's clock before ours
        self._loop = asyncio.get_running_loop()

    async def begin(self) -> None:
        """Find out where the series stands."""
        async for attempt in attempts():
            with attempt:
                await self.tell_time()
        now = self.now()
        self.grid = await self.blocking(self.series.grid, now)
        self.edge.begin(await self.blocking(self.series.stored_until), self.grid.floor(now))

    async def blocking(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """What a function gives that blocks."""
        try:
            future = self._loop.run_in_executor(self.around.threads, function, *arguments)
        except RuntimeError as error:
            raise StoreError(
                f"the store of {self.series.key} was closed: open it again to follow"
            ) from error
        return await future

    def now(self) -> int:
        """The venue's time in ms, as it was last told."""
        return self.around.clock() + self._ahead

    async def tell_time(self) -> None:
        """Ask for the venue's time; the time told before stays where that fails."""
        try:
            self._ahead = await self.blocking(self._measured_ahead)
        except Exception as error:
            if is_worth_retrying(error):
                self.count_error(error)
            raise

    def _measured_ahead(self) -> int:
        """By Cristian's algorithm (1989): a quick answer is off by half of its time at most."""
        clock = self.around.clock
        answers: list[tuple[int, int]] = []
        while len(answers) < _MOST_ANSWERS and (not answers or answers[-1][0] > _QUICK):
            sent = clock()
            told = self._venue_clock()
            took = clock() - sent
            answers.append((took, told - sent - took // 2))
        return min(answers)[1]

    def show_forming(self, time: int, row: Row) -> None:
        """Have the candle that opens at ``time`` readable until the venue's clock is past it."""
        over = self.grid.next(time) - self._ahead
        self.around.forming.put(self.series.key, time, over, row)

    async def settle(self, given_up_until: int = 0) -> None:
        """Take the edge to where the coverage ends; while ``storing`` is held.

        Candles before ``given_up_until`` are had from nobody.
        """
        start = max(self.edge.time, given_up_until)
        await self.edge.settle(await self.blocking(self.series.known_until, start))

    def doubt(self, range_: Interval) -> None:
        """Have a range that is stored fetched again."""
        if self.series.has_history:
            self.doubtful = union(self.doubtful, [range_])
            self.woken.set()

    def count_error(self, error: Exception) -> None:
        """One more failure of the stream or of the history."""
        self.around.counts[f"error:{type(error).__name__}"] += 1


def attempts() -> AsyncIterator[stamina.Attempt]:
    """Attempts without end, further and further apart, at what another one may mend."""
    return aiter(
        stamina.retry_context(
            on=is_worth_retrying, attempts=None, timeout=None, wait_max=_LONGEST_WAIT
        )
    )
