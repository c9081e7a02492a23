"""Encoded chunks in Redis, within the size and the namespace of the cache's tier there.

A read waits for Redis at most one time-out: after a failure it is left alone (see
:class:`~ohlcache.cache.links.Breaker`) until a probe in the background has succeeded. Chunks are
written in the background too.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

from ohlcache.cache.links.breaker import Breaker
from ohlcache.cache.tiers import Change, SharedTier, Stored
from ohlcache.drive import Step, Walk, drive
from ohlcache.history.shared.lookup import Place
from ohlcache.telemetry import Counters

CATEGORY = "candles"

_TTL_MS = 7 * 24 * 3600 * 1000  # a chunk is replaced at last; what it was is of no use to anyone
_MOST_READ = 64  # chunks in one request: some 16 MB
_MOST_PENDING = 32 * 2**20  # bytes waiting to be written; what comes on top is left out


class RedisChunks:
    """A :class:`~ohlcache.history.shared.lookup.ChunkTier` for the chunks of one store."""

    def __init__(
        self,
        tier: SharedTier,
        identity: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``identity`` is that of the store; ``monotonic`` gives seconds."""
        self._tier = tier
        self._prefix = f"{CATEGORY}:{identity}"
        self._monotonic = monotonic
        self._begin()

    def _begin(self) -> None:
        self.counters = Counters()
        self._breaker = Breaker(self._monotonic)
        self._lock = threading.Lock()
        self._is_closed = False
        self._pending = 0
        self._background = ThreadPoolExecutor(1, thread_name_prefix="ohlcache-chunks")

    def renew(self) -> None:
        """Begin anew in a forked child, which has none of its parent's threads."""
        self._tier.renew_after_fork()
        self._begin()

    def name(self, series: int, place: Place) -> str:
        """See ChunkTier."""
        return (
            f"{self._prefix}:{series}:{place.start}:{place.revision}:{place.size}:"
            f"{place.checksum.hex()}"
        )

    def take(self, names: Sequence[str]) -> Mapping[str, bytes]:
        """See ChunkTier."""
        found: dict[str, bytes] = {}
        if not names or not self._is_in_use():
            return found
        for portion in _portions(names):
            states: dict[str, Stored] | None = self._ask(self._tier.read(portion))
            if states is None:
                break
            found.update(
                (name, state.data) for name, state in states.items() if state.data is not None
            )
        self.counters.count("hits", len(found))
        self.counters.count("misses", len(names) - len(found))
        return found

    def keep(self, chunks: Mapping[str, bytes]) -> None:
        """See ChunkTier."""
        if not chunks:
            return
        welcome: dict[str, bytes] = {}
        size = 0
        with self._lock:
            if self._breaker.is_closed and not self._is_closed:
                for name, data in chunks.items():
                    if self._pending + size + len(data) <= _MOST_PENDING:
                        welcome[name] = data
                        size += len(data)
                self._pending += size
                self._background.submit(self._write, welcome, size)
        self.counters.count("left out", len(chunks) - len(welcome))

    def correct(self, chunks: Mapping[str, bytes]) -> None:
        """See ChunkTier."""
        changes = [Change(name, data, _TTL_MS) for name, data in chunks.items()]
        is_written = self._ask(self._tier.write(changes, publish=False)) is not None
        self.counters.count("written" if is_written else "not written", len(chunks))

    def damaged(self, count: int) -> None:
        """See ChunkTier; what the store gives in their place is written over them."""
        if count:
            self.counters.count("damaged", count)

    def stats(self) -> dict[str, Any]:
        """Counters since opening, and ``works``: whether Redis is in use at present."""
        return {**self.counters.snapshot(), "works": self._breaker.is_closed}

    def close(self) -> None:
        """Leave out what is not written yet, and close the connections."""
        with self._lock:
            self._is_closed = True
        self._background.shutdown(wait=True, cancel_futures=True)
        self._tier.close()

    # -- Redis ----------------------------------------------------------------------------------

    def _is_in_use(self) -> bool:
        if self._breaker.is_closed:
            return True
        with self._lock:
            if not self._is_closed and self._breaker.probe_due():
                self._background.submit(self._probe)
        self.counters.count("skipped")
        return False

    def _ask(self, operation: Step) -> Any:
        """What the operation gives; None when it failed."""
        try:
            return drive(_asked(operation))
        except Exception as error:  # noqa: BLE001  # counted; a tier may raise anything
            self.counters.count(f"error:{type(error).__name__}")
            if not isinstance(error, self._tier.refusals):
                self._breaker.fail()
            return None

    def _write(self, chunks: Mapping[str, bytes], size: int) -> None:
        try:
            if self._breaker.is_closed:
                self.correct(chunks)
        finally:
            with self._lock:
                self._pending -= size

    def _probe(self) -> None:
        try:
            drive(_asked(self._tier.probe()))
        except Exception as error:  # noqa: BLE001  # counted; the next probe tries again
            self.counters.count(f"error:{type(error).__name__}")
            self._breaker.probe_failed()
        else:
            self._breaker.close()


def _asked(operation: Step) -> Walk[Any]:
    return (yield operation)


def _portions(names: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(names)
    while portion := list(islice(rest, _MOST_READ)):
        yield portion
