"""Up to where the candles of a followed series are closed, who says so, and waiting for it.

Three things follow on each other, and none is taken for another:

1. A candle is *over* when the venue's clock (``Following.now``) is past its end. Whatever a message
   says, nothing is closed before: what a message that is ahead of the clock tells is cut there.
2. It is *closed* when it is over and either a connection that saw all of it says so
   (``Candles.close``), or the venue's history gives it or something after it, or has lacked it
   for so long that it will not come (``Fetcher.settled``). That the clock is past it says nothing
   of what it holds. Each closing is one transaction of rows and coverage, which the store cuts at
   the clock once more: its coverage is the only record of what is closed.
3. It is *settled* when it and all before it are covered, or are given up as had from nobody.
   ``Edge.time`` follows the coverage, and is what followers read up to.
"""

from __future__ import annotations

import asyncio


class Edge:
    """Candles before ``time`` (ms) are settled: stored, or known to be had from nobody.

    For the event loop that it was made in.
    """

    def __init__(self) -> None:
        self.time = 0
        self.is_over = False
        self._new_from: int | None = None  # where a series begins that is not stored
        self._earlier: int | None = None  # where the first message let it begin instead
        self._changed = asyncio.Condition()
        self._begun = asyncio.get_running_loop().create_future()

    # -- for those who settle candles -----------------------------------------------------------

    def begin(self, stored_until: int | None, forming: int) -> None:
        """Go on where the stored history ends; a new one begins with the forming candle."""
        self.time = forming if stored_until is None else min(stored_until, forming)
        self._new_from = forming if stored_until is None else None
        self._begun.set_result(None)

    def begin_earlier(self, known_from: int) -> None:
        """Begin a new series with what its first connection knows, if that is before the clock."""
        if self._earlier is None and self.time == self._new_from and known_from < self.time:
            self.time = self._earlier = known_from

    async def settle(self, until: int) -> None:
        """Candles before ``until`` are settled too."""
        if until > self.time:
            self.time = until
            async with self._changed:
                self._changed.notify_all()

    async def end(self) -> None:
        """No more will be settled."""
        self.is_over = True
        if not self._begun.done():
            self._begun.set_result(None)
        async with self._changed:
            self._changed.notify_all()

    # -- for those who wait ---------------------------------------------------------------------

    async def begun(self) -> None:
        """Wait until it is known where following begins, or that it cannot."""
        await asyncio.shield(self._begun)

    async def reached_beyond(self, time: int) -> bool:
        """Wait until candles from ``time`` on are settled; False when none will be."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.time > time or self.is_over)
        return self.time > time

    async def beginning(self, time: int) -> int:
        """Wait for the first candle from ``time`` on; where it is, which may be earlier."""

        def begins() -> int:
            earlier = self._earlier if time == self._new_from else None
            return time if earlier is None else earlier

        async with self._changed:
            await self._changed.wait_for(lambda: self.time > begins() or self.is_over)
        return begins()
