"""How long garbage collection holds up the process, measured at each collection.

CPython calls ``gc.callbacks`` before and after every collection, in the thread that happened to
allocate, and collections never overlap. That thread may be anywhere, also inside a lock, so what
is called here takes none: there is one writer at a time, and readers copy. A collection costs
about 1.5 µs more.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from typing import Literal, NamedTuple

from ohlcache.telemetry.distribution import BUCKETS, Distribution, bucket_of

GENERATIONS = 3


class _Generation:
    """What is known of the collections of one generation."""

    __slots__ = ("buckets", "collected", "longest", "seconds", "uncollectable")

    def __init__(self) -> None:
        self.buckets = [0] * BUCKETS
        self.seconds = 0.0
        self.longest = 0.0
        self.collected = 0
        self.uncollectable = 0


class PauseTotals(NamedTuple):
    """Of all generations since measuring began: how many collections, their seconds together."""

    collections: int
    seconds: float


class GcPauses:
    """The pauses of garbage collection by generation, while started. A context manager."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        """clock: seconds, from any beginning."""
        self._clock = clock
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._generations = tuple(_Generation() for _ in range(GENERATIONS))
        self._began: float | None = None
        self._longest = 0.0
        self._starting = threading.RLock()  # a signal handler may stop what is being started

    def start(self) -> GcPauses:
        """Measure from now on; nothing happens where that is so already."""
        with self._starting:
            if self._called not in gc.callbacks:
                self._began = None
                gc.callbacks.append(self._called)
        return self

    def stop(self) -> None:
        """Measure no more; what was measured is kept."""
        with self._starting:
            if self._called in gc.callbacks:
                gc.callbacks.remove(self._called)

    def renew(self) -> None:
        """Be not started, and have measured nothing, as a forked child."""
        self._begin_anew()
        self.stop()

    def __enter__(self) -> GcPauses:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _called(self, phase: Literal["start", "stop"], info: dict[str, int]) -> None:
        if phase == "start":
            self._began = self._clock()
        elif self._began is not None:  # else: measuring began within this collection
            took = self._clock() - self._began
            self._began = None
            generation = self._generations[info["generation"]]
            generation.buckets[bucket_of(took)] += 1
            generation.seconds += took
            generation.collected += info["collected"]
            generation.uncollectable += info["uncollectable"]
            generation.longest = max(generation.longest, took)
            self._longest = max(self._longest, took)

    def distribution(self, generation: int) -> Distribution:
        """How the pauses of a generation (0, 1 or 2) are distributed, in seconds."""
        found = self._generations[generation]
        return Distribution(dict(enumerate(found.buckets)), found.seconds)

    def totals(self) -> PauseTotals:
        """Collections and seconds of all generations together."""
        count = sum(sum(generation.buckets) for generation in self._generations)
        return PauseTotals(count, sum(generation.seconds for generation in self._generations))

    def take_longest(self) -> float:
        """The longest pause in seconds since this was last asked; for one asker."""
        longest, self._longest = self._longest, 0.0
        return longest

    def stats(self) -> dict[str, object]:
        """For each generation: collections, seconds, quantiles, objects collected or not."""
        return {
            f"generation_{number}": {
                **self.distribution(number).figures(),
                "seconds": generation.seconds,
                "longest": generation.longest,
                "collected": generation.collected,
                "uncollectable": generation.uncollectable,
            }
            for number, generation in enumerate(self._generations)
        }
