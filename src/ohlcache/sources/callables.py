"""A function as a source of candles.

Whoever has a way to get candles needs no class: a function of (symbol, timeframe, start, end) will
do, with or without ``async``. Coroutines run on one event loop in a thread of the source's own,
so that a client session made in one call can be used in the next; the loop starts with the first
coroutine and ends with :meth:`CallableSource.close`.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError
from inspect import isawaitable
from typing import Any

from ohlcache.candles.block import Block
from ohlcache.errors import InvalidArgument, SourceError
from ohlcache.sources.protocol import Capabilities, Source

FetchFunction = Callable[[str, str, int, int], Any]

_ANY = Capabilities()
_ACCEPTED = (
    "give a source (an object with venue, capabilities, now() and fetch()) or a function "
    "(symbol, timeframe, start_ms, end_ms) that returns a frame, an Arrow table or ccxt rows; "
    "an exchange is CcxtSource('binance')"
)


class CallableSource:
    """Adapts ``function(symbol, timeframe, start_ms, end_ms)``, plain or async.

    It is asked for candles that open in [start_ms, end_ms) and returns a frame, an Arrow table,
    ccxt rows, a Block, or None where it has none. What it raises goes to the caller as it is;
    raise ``ohlcache.errors.SourceUnavailable`` for what is worth another try.
    """

    def __init__(
        self,
        function: FetchFunction,
        *,
        venue: str = "local",
        capabilities: Capabilities = _ANY,
        clock: Callable[[], int] | None = None,
    ) -> None:
        """``clock`` gives the venue's time, ms since the epoch; None: this machine's clock.

        Raises InvalidArgument where the function cannot be called.
        """
        if not callable(function) or isinstance(function, type):
            raise InvalidArgument(f"function is {function!r}: {_ACCEPTED}")
        self._function = function
        self._venue = venue
        self._capabilities = capabilities
        self._clock = clock
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._is_closed = False

    @property
    def venue(self) -> str:
        """The name under which its series are stored."""
        return self._venue

    @property
    def capabilities(self) -> Capabilities:
        """What was given, or those of a source without any limit, one call at a time."""
        return self._capabilities

    def now(self) -> int:
        """The clock, ms since the epoch."""
        return time.time_ns() // 1_000_000 if self._clock is None else self._clock()

    def fetch(self, symbol: str, timeframe: str, start: int, end: int) -> Any:
        """What the function returns for [start, end), ms; None becomes no candles.

        Raises what the function raises, and SourceError once the source is closed.
        """
        if self._is_closed:
            raise self._closed_error()
        answer = self._function(symbol, timeframe, start, end)
        if isawaitable(answer):
            answer = self._run(answer)
        return Block.empty() if answer is None else answer

    def close(self) -> None:
        """Cancel calls under way and end the event loop; more calls are refused. Idempotent."""
        with self._lock:
            self._is_closed = True
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()

    def _run(self, awaitable: Awaitable[Any]) -> Any:
        async def wait() -> Any:
            return await awaitable

        coroutine = wait()
        with self._lock:
            if self._is_closed:
                coroutine.close()
                raise self._closed_error()
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=_serve, args=(self._loop,), name=f"ohlcache-{self._venue}", daemon=True
                )
                self._thread.start()
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except CancelledError as error:
            raise SourceError(
                f"source {self._venue!r} was closed, or cancelled its own call: ask again"
            ) from error

    def _closed_error(self) -> SourceError:
        return SourceError(f"source {self._venue!r} is closed: open it again to fetch more")


def as_source(source: Source | FetchFunction) -> Source:
    """The source itself, or a function wrapped as one under the venue "local".

    Raises InvalidArgument, telling what is accepted, for anything else.
    """
    if isinstance(source, type):
        raise InvalidArgument(
            f"source is the class {source.__name__}: make an object of it, {source.__name__}()"
        )
    if isinstance(source, Source):
        return source
    if callable(source):
        return CallableSource(source)
    raise InvalidArgument(f"source is {source!r}: {_ACCEPTED}")


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    """Run a loop until it is stopped, then cancel and await what is left, as asyncio.run does."""
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
