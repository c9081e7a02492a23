"""``tracemalloc`` for several at a time: traced while anyone needs it, with a peak for each.

There is one peak for the process. Whenever anyone begins or ends, the peak since the last such
moment is handed to all who are under way, and begun anew. So each gets the highest of its own
time, whatever is nested in it or runs beside it.
"""

from __future__ import annotations

import os
import threading
import tracemalloc


class Stretch:
    """From ``begin`` to ``end``: Python memory in bytes, of all threads."""

    __slots__ = ("before", "peak")

    def __init__(self, before: int) -> None:
        self.before = before
        self.peak = before


class Tracing:
    """Who is tracing. tracemalloc is stopped with the last, unless others had started it."""

    def __init__(self) -> None:
        self._be_idle()

    def _be_idle(self) -> None:
        self._lock = threading.RLock()  # a destructor may run a profiled function meanwhile
        self._under_way: set[Stretch] = set()
        self._is_ours = False

    def renew_after_fork(self) -> None:
        """Have nothing under way: those who were tracing are threads that the child has not."""
        if self._under_way and self._is_ours and tracemalloc.is_tracing():
            tracemalloc.stop()
        self._be_idle()

    def begin(self) -> Stretch:
        """Trace from now on."""
        with self._lock:
            if not self._under_way:
                self._is_ours = not tracemalloc.is_tracing()
            if not tracemalloc.is_tracing():
                tracemalloc.start()
            stretch = Stretch(self._share_peak())
            self._under_way.add(stretch)
            return stretch

    def end(self, stretch: Stretch) -> int | None:
        """The memory at the end; ``stretch.peak`` is the highest in between.

        None where someone has stopped tracemalloc meanwhile.
        """
        with self._lock:
            was_traced = tracemalloc.is_tracing()
            now = self._share_peak()
            self._under_way.discard(stretch)
            if not self._under_way and self._is_ours and tracemalloc.is_tracing():
                tracemalloc.stop()
            return now if was_traced else None

    def _share_peak(self) -> int:
        """Hand on the peak, and give the memory at present."""
        now, peak = tracemalloc.get_traced_memory()
        for stretch in self._under_way:
            stretch.peak = max(stretch.peak, peak)
        if tracemalloc.is_tracing():
            tracemalloc.reset_peak()
        return now


tracing = Tracing()  # of the process, as tracemalloc is
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=tracing.renew_after_fork)
