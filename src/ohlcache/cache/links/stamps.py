"""Stamps given by this process, for states that no shared tier has stamped."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Stamps:
    """Microseconds of the wall clock, and always more than the last one given."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._lock = threading.Lock()
        self._last = 0

    def next(self) -> int:
        """A stamp that is larger than every one before."""
        with self._lock:
            self._last = max(int(self._wall() * 1e6), self._last + 1)
            return self._last
