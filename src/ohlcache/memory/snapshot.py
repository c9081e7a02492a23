"""The memory of the process, its interpreter and the machine at one moment."""

from __future__ import annotations

import gc
import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from ohlcache.memory.limits import Limit
from ohlcache.memory.usage import Usage

# USS is counted page by page: a millisecond for each 100 MB. At most this share of the time.
_USS_SHARE = 0.0001


@dataclass(frozen=True, slots=True)
class Garbage:
    """The garbage collector. By generation, from the youngest.

    tracked: objects that came since the last collection of the generation.
    collections, collected, uncollectable: since the process began.
    """

    tracked: tuple[int, ...]
    collections: tuple[int, ...]
    collected: tuple[int, ...]
    uncollectable: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class MemorySnapshot:
    """The memory at one moment; sizes in bytes.

    rss_bytes: what the process has in main memory; uss_bytes: what of it no other process shares,
        None where it was not counted: that takes long in a large process, so it is done seldom
        unless asked for.
    heap_blocks: pieces of memory that Python objects take; heap_bytes: their size, while
        ``tracemalloc`` is tracing.
    limit_bytes, limit_source: the limit in force and what set it.
    used_ratio: RSS in parts of the limit.
    system_total_bytes, system_available_bytes, swap_used_bytes: of the machine.
    rating: "Excellent", "Good", "Warning" or "Critical", by use alone; ``health()`` also looks at
        how it develops.
    """

    at: datetime
    rss_bytes: int
    uss_bytes: int | None
    heap_blocks: int
    heap_bytes: int | None
    garbage: Garbage
    limit_bytes: int
    limit_source: str
    used_ratio: float
    system_total_bytes: int
    system_available_bytes: int
    swap_used_bytes: int
    rating: str


class Uss:
    """Reads USS as often as a small share of the time allows."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._next = 0.0

    def when_due(self) -> int | None:
        """USS in bytes; None when it was read not long ago or cannot be read."""
        return self.read() if self._clock() >= self._next else None

    def read(self) -> int | None:
        """USS in bytes, whatever it takes; None where the system does not tell it."""
        import psutil

        began = time.perf_counter()
        try:
            uss: int = psutil.Process().memory_full_info().uss
        except (psutil.Error, AttributeError):
            return None
        finally:
            self._next = self._clock() + (time.perf_counter() - began) / _USS_SHARE
        return uss


def take(usage: Usage, uss: int | None, limit: Limit, rating: str) -> MemorySnapshot:
    """What can be read now, with what is known already."""
    import psutil

    machine = psutil.virtual_memory()
    return MemorySnapshot(
        at=datetime.now(UTC),
        rss_bytes=usage.rss,
        uss_bytes=uss,
        heap_blocks=sys.getallocatedblocks(),
        heap_bytes=tracemalloc.get_traced_memory()[0] if tracemalloc.is_tracing() else None,
        garbage=_garbage(),
        limit_bytes=limit.bytes,
        limit_source=limit.source,
        used_ratio=usage.rss / limit.bytes,
        system_total_bytes=machine.total,
        system_available_bytes=machine.available,
        swap_used_bytes=psutil.swap_memory().used,
        rating=rating,
    )


def _garbage() -> Garbage:
    stats = gc.get_stats()
    return Garbage(
        gc.get_count(),
        tuple(one["collections"] for one in stats),
        tuple(one["collected"] for one in stats),
        tuple(one["uncollectable"] for one in stats),
    )
