"""Numbers that each thread keeps by itself, so that counting takes no lock and loses nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from ohlcache.telemetry.locking import bookkeeping

Part = TypeVar("Part")


class PerThread(Generic[Part]):
    """A part for each thread. ``fold``: adds the first to the second, once its thread has ended."""

    def __init__(self, make: Callable[[], Part], fold: Callable[[Part, Part], None]) -> None:
        self._make = make
        self._fold = fold
        self._local = threading.local()
        self._parts: list[tuple[threading.Thread, Part]] = []
        self._ended = make()

    @property
    def own(self) -> Part:
        """The part of this thread."""
        try:
            part: Part = self._local.part
        except AttributeError:
            part = self._local.part = self._make()
            with bookkeeping:
                self._parts.append((threading.current_thread(), part))
        return part

    def total(self) -> Part:
        """All parts together, as a new one."""
        total = self._make()
        with bookkeeping:
            running = []
            for thread, part in self._parts:
                if thread.is_alive():
                    running.append((thread, part))
                    self._fold(part, total)
                else:
                    self._fold(part, self._ended)
            self._parts = running
            self._fold(self._ended, total)
        return total
