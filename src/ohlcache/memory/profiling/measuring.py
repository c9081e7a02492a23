"""The memory of one function, measured before and after each of its running parts.

A part is what runs without giving way: a whole call of a plain function; of a generator or
coroutine, what runs between two suspensions.

Growth is that of the process, so what overlaps is seen by all it overlaps with. Parts of the
*same* function that overlap (in threads, or nested in each other) are taken as one period, whose
growth counts once.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from ohlcache.memory.profiling.growth import Growth
from ohlcache.memory.profiling.look import Findings, Look
from ohlcache.memory.profiling.resident import highest_rss_bytes, rss_bytes
from ohlcache.memory.profiling.tracing import Stretch, tracing

_MOST_OVERLAPPING = 64  # parts in a period; where they overlap without end it is cut


@dataclass(slots=True)
class Part:
    """A part under way. rss: before it, None where it could not be read."""

    rss: int | None
    highest: int
    stretch: Stretch | None = None
    look: Look | None = None


class Measuring:
    """What is known of one function."""

    def __init__(self, *, track_objects: bool) -> None:
        self.track_objects = track_objects
        self.calls = 0
        self.parts = 0
        self.peak_rss = 0
        self.peak_rise = 0
        self.python_peak = 0
        self.python_retained = 0
        self.unread = 0
        self.failed_looks = 0
        self.growth = Growth()
        self.findings = Findings()
        self._lock = threading.RLock()  # a destructor may call the function meanwhile
        self._under_way = 0
        self._period_began: int | None = None  # RSS
        self._in_period = 0

    def begin(self, *, is_call: bool = True) -> Part:
        """A part begins; the first of a call, or one that goes on after a suspension."""
        part = Part(rss_bytes(), highest_rss_bytes())
        with self._lock:
            self.calls += is_call
            self.parts += 1
            number = self.parts
            if self._under_way == 0:
                self._period_began = part.rss
                self._in_period = 0
            self._under_way += 1
        if self.track_objects:
            if number & (number - 1) == 0:  # 1, 2, 4, 8, …: their cost vanishes among the others
                part.look = self._begun_look()
            part.stretch = tracing.begin()
        return part

    def end(self, part: Part) -> None:
        """It has ended, however that was."""
        traced = None if part.stretch is None else tracing.end(part.stretch)
        if part.look is not None:
            self._end_look(part.look)
        rss, highest = rss_bytes(), highest_rss_bytes()
        with self._lock:
            self._under_way -= 1
            self._in_period += 1
            if self._under_way == 0 or self._in_period >= _MOST_OVERLAPPING:
                self._end_period(rss)
            if part.stretch is not None and traced is not None:
                peak = part.stretch.peak - part.stretch.before
                self.python_peak = max(self.python_peak, peak)
                self.python_retained += traced - part.stretch.before
            if rss is None or part.rss is None:
                self.unread += 1
                return
            peak = max(part.rss, rss, highest if highest > part.highest else 0)
            self.peak_rss = max(self.peak_rss, peak)
            self.peak_rise = max(self.peak_rise, peak - part.rss)

    def _end_period(self, rss: int | None) -> None:
        if rss is not None and self._period_began is not None:
            self.growth.add(self.calls, rss - self._period_began)
        self._period_began = rss
        self._in_period = 0

    def _begun_look(self) -> Look | None:
        try:
            return Look.begin()
        except Exception:  # noqa: BLE001  # the function must run whatever happens to its profile
            self.failed_looks += 1
            return None

    def _end_look(self, look: Look) -> None:
        try:
            self.findings = look.end()
        except Exception:  # noqa: BLE001  # as above
            self.failed_looks += 1
