"""The memory of one function, measured before and after each of its running parts.

A part is what runs without giving way: a whole call of a plain function; of a generator or
coroutine, what runs between two suspensions.

Growth is that of the process, so what overlaps is seen by all it overlaps with. Parts of the
*same* function that overlap (in threads, or nested in each other) are taken as one period, whose
growth counts once. Looks are taken outside of all that is measured.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
from dataclasses import dataclass
from weakref import WeakSet

from ohlcache.memory.profiling.growth import Growth
from ohlcache.memory.profiling.keeping import Keeping
from ohlcache.memory.profiling.look import Findings, Look
from ohlcache.memory.profiling.resident import highest_rss_bytes, rss_bytes
from ohlcache.memory.profiling.watch import Watch

_MOST_OVERLAPPING = 64  # parts in a period; where they overlap without end it is cut


@dataclass(slots=True, eq=False)
class Part:
    """A part under way. rss: before it, None where it could not be read."""

    rss: int | None
    highest: int
    look: Look | None


class Measuring:
    """What is known of one function."""

    def __init__(self, *, track_objects: bool) -> None:
        self.track_objects = track_objects
        self.calls = 0
        self.parts = 0
        self.peak_rss = 0
        self.peak_rise = 0
        self.python_peak = 0
        self.unread = 0
        self.failed_looks = 0
        self.growth = Growth()  # of RSS
        self.keeping = Keeping()
        self._blocks_of_looks = 0
        self.findings = Findings()
        self.be_idle()
        _all.add(self)

    def be_idle(self) -> None:
        """Have no part under way, as in a forked child; what was measured is kept."""
        self._lock = threading.RLock()  # a destructor may call the function meanwhile
        self._under_way: set[Part] = set()
        self._period_began: int | None = None  # RSS
        self._watch: Watch | None = None
        self._in_period = 0
        self.keeping.renew()

    def begin(self, *, is_call: bool = True) -> Part:
        """A part begins; the first of a call, or one that goes on after a suspension."""
        with self._lock:
            self.calls += is_call
            self.parts += 1
            number = self.parts
        look = self._begun_look() if self.track_objects and _is_looked_into(number) else None
        part = Part(rss_bytes(), highest_rss_bytes(), look)
        with self._lock:
            self._under_way.add(part)
            if len(self._under_way) == 1:
                self._begin_period(part.rss)
        return part

    def end(self, part: Part) -> None:
        """It has ended, however that was."""
        with self._lock:
            self._under_way.discard(part)
            self._in_period += 1
            if not self._under_way or self._in_period >= _MOST_OVERLAPPING:
                self._end_watch()
                rss, highest = rss_bytes(), highest_rss_bytes()
                self._end_period(rss)
                if self._under_way:
                    self._begin_period(rss)
            else:
                rss, highest = rss_bytes(), highest_rss_bytes()
            self._count(part, rss, highest)
        self._end_look(part)

    def _count(self, part: Part, rss: int | None, highest: int) -> None:
        if rss is None or part.rss is None:
            self.unread += 1
            return
        peak = max(part.rss, rss, highest if highest > part.highest else 0)
        self.peak_rss = max(self.peak_rss, peak)
        self.peak_rise = max(self.peak_rise, peak - part.rss)

    def _begin_period(self, rss: int | None) -> None:
        self._period_began = rss
        self._in_period = 0
        if self.track_objects:
            self.keeping.begin(self.calls, sys.getallocatedblocks() - self._blocks_of_looks)
            self._watch = Watch()

    def _end_watch(self) -> None:
        if self._watch is None:
            return
        left = self._watch.end()
        self._watch = None
        if left is not None:
            self.python_peak = max(self.python_peak, left.peak)
            self.keeping.end(self.calls, left)

    def _end_period(self, rss: int | None) -> None:
        if rss is not None and self._period_began is not None:
            self.growth.add(self.calls, rss - self._period_began)
        self._period_began = None

    def _begun_look(self) -> Look | None:
        before = _blocks_without_garbage()
        try:
            return Look.begin()
        except Exception:  # noqa: BLE001  # the function must run whatever happens to its profile
            self.failed_looks += 1
            return None
        finally:
            self._blocks_of_looks += _blocks_without_garbage() - before

    def _end_look(self, part: Part) -> None:
        if part.look is None:
            return
        before = _blocks_without_garbage()
        try:
            self.findings = part.look.end()
        except Exception:  # noqa: BLE001  # as above
            self.failed_looks += 1
        finally:
            part.look = None
            self._blocks_of_looks += _blocks_without_garbage() - before


def _is_looked_into(number: int) -> bool:
    """1, 2, 4, 8, …: the cost vanishes among the others."""
    return number & (number - 1) == 0


def _blocks_without_garbage() -> int:
    """Nor free lists, which a collection empties: both would count as what a look took or gave."""
    gc.collect()
    return sys.getallocatedblocks()


_all: WeakSet[Measuring] = WeakSet()


def _be_idle() -> None:
    for measuring in list(_all):
        measuring.be_idle()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_be_idle)
