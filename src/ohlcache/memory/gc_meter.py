"""What a window of time brought: pauses, memory, work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ohlcache.memory.gc_pauses import GcPauses, PauseTotals
from ohlcache.memory.gc_trial import Window
from ohlcache.memory.usage import ReadUsage, read_usage


class Meter(Protocol):
    """What happens in windows of time."""

    def begin(self, now: float) -> None:
        """A window begins."""

    def end(self, now: float) -> Window:
        """It ends, and this is what happened in it."""


class PauseMeter:
    """Windows as :class:`GcPauses`, the RSS and a counter of work tell them."""

    def __init__(
        self,
        pauses: GcPauses,
        work: Callable[[], float] | None = None,
        read: ReadUsage = read_usage,
    ) -> None:
        """work: gives a number that grows with what the process gets done."""
        self._read = read
        self._pauses = pauses
        self._work = work
        self._began = 0.0
        self._totals = PauseTotals(0, 0.0)
        self._work_done: float | None = None

    def begin(self, now: float) -> None:
        """A window begins."""
        self._began = now
        self._totals = self._pauses.totals()
        self._pauses.take_longest()
        self._work_done = self._work() if self._work is not None else None

    def end(self, now: float) -> Window:
        """It ends, and this is what happened in it."""
        totals = self._pauses.totals()
        done = None
        if self._work is not None and self._work_done is not None:
            done = self._work() - self._work_done
        return Window(
            seconds=now - self._began,
            collections=totals.collections - self._totals.collections,
            pause_seconds=totals.seconds - self._totals.seconds,
            longest_pause_seconds=self._pauses.take_longest(),
            rss_bytes=self._read().rss,
            work=done,
        )
