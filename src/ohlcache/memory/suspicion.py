"""Naming what grows, once there is a leak: looking for it costs too much to do it before."""

from __future__ import annotations

from collections.abc import Callable

from ohlcache.memory.sites import AllocationSite
from ohlcache.memory.suspects import Suspect, Suspects

_BETWEEN = 60.0  # seconds between two looks of a tenth of a second or more each


class Suspicion:
    """Compares what there is with what there was when a leak was first seen."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._suspects = Suspects()
        self._next_look = 0.0
        self._named: tuple[Suspect | AllocationSite, ...] = ()

    def named(self) -> tuple[Suspect | AllocationSite, ...]:
        """Types and, where allocations are traced, lines that grew since this was first asked.

        None when it is asked first; then what is told is brought up to date once a minute.
        """
        if self._clock() < self._next_look:
            return self._named
        if self._suspects.is_marked:
            self._named = (*self._suspects.growth(), *self._suspects.sites())
        else:
            self._suspects.mark()
        self._next_look = self._clock() + _BETWEEN
        return self._named
