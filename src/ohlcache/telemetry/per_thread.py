"""Numbers that each thread keeps by itself, so that counting takes no lock and loses nothing.

A forked child begins to count anew: in a sum over processes what its parent counted before would
be in it twice.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar
from weakref import WeakSet

from ohlcache.telemetry.locking import bookkeeping

_FEW = 64  # threads that are not worth looking after

Part = TypeVar("Part")


class PerThread(Generic[Part]):
    """A part for each thread. ``fold``: adds the first to the second, once its thread has ended.

    local: has this thread's part as ``part``, if the thread has one already; quicker than ``own``.
    """

    def __init__(self, make: Callable[[], Part], fold: Callable[[Part, Part], None]) -> None:
        self._make = make
        self._fold = fold
        self._begin()
        with bookkeeping:
            _all.add(self)

    def _begin(self) -> None:
        self.local = threading.local()
        self._parts: list[tuple[threading.Thread, Part]] = []
        self._ended = self._make()
        self._most_parts = _FEW

    @property
    def own(self) -> Part:
        """The part of this thread."""
        try:
            part: Part = self.local.part
        except AttributeError:
            part = self.local.part = self._make()
            with bookkeeping:
                self._parts.append((threading.current_thread(), part))
                if len(self._parts) >= self._most_parts:
                    self._fold_ended()
                    self._most_parts = _FEW + 2 * len(self._parts)
        return part

    def total(self) -> Part:
        """All parts together, as a new one."""
        total = self._make()
        with bookkeeping:
            self._fold_ended()
            for _, part in self._parts:
                self._fold(part, total)
            self._fold(self._ended, total)
        return total

    def _fold_ended(self) -> None:
        running = []
        for thread, part in self._parts:
            if thread.is_alive():
                running.append((thread, part))
            else:
                self._fold(part, self._ended)
        self._parts = running


_all: WeakSet[PerThread[Any]] = WeakSet()


def _begin_all() -> None:
    for one in list(_all):
        one._begin()  # its own class


os.register_at_fork(after_in_child=_begin_all)
