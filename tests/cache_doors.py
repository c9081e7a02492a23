"""Doors, clocks and waiting: what the tests of the cache share."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections.abc import Callable

from ohlcache.cache import CacheManager

PATIENCE = 10.0  # seconds until a test gives up waiting for what takes milliseconds


class FakeClock:
    """Time that passes when a test says so: both clocks of ``ohlcache.cache.Clock``."""

    def __init__(self) -> None:
        self._begun = time.time()
        self._passed = 0.0

    def advance(self, seconds: float) -> None:
        self._passed += seconds

    def wall(self) -> float:
        return self._begun + self._passed

    def monotonic(self) -> float:
        return 1_000.0 + self._passed


class SyncDoor:
    """Calls the methods of a cache as they are."""

    is_async = False

    def __call__(self, cache: CacheManager, method: str, *args, **kwargs):
        return getattr(cache, method)(*args, **kwargs)

    def loader(self, load: Callable) -> Callable:
        return load

    def close(self) -> None: ...


class AsyncDoor:
    """Calls their async doors, in one event loop that runs all the time in a thread."""

    is_async = True

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._used: dict[CacheManager, None] = {}

    def __call__(self, cache: CacheManager, method: str, *args, **kwargs):
        self._used[cache] = None
        walk = getattr(cache, f"a{method}")(*args, **kwargs)
        return asyncio.run_coroutine_threadsafe(walk, self._loop).result(60)

    def loader(self, load: Callable) -> Callable:
        @functools.wraps(load, updated=())
        async def load_async(*args):
            return load(*args)

        return load_async

    def close(self) -> None:
        for cache in list(self._used):  # whose connections belong to the loop
            self(cache, "close")
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def until_live(*caches: CacheManager) -> None:
    """Wait until every tier tells of changes."""
    wait_until(
        lambda: all(
            figures["is_live"]
            for cache in caches
            for name, figures in cache.stats().items()
            if name in ("l2", "l3")
        )
    )


def wait_until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not come"
        time.sleep(0.001)
