"""What is known of the memory at present: use, limit, marks, level, and samples of the past.

A *look* reads what the process takes and costs some microseconds. A *sample*, at the interval of
the settings, also asks the system for its limits and the parts for what they hold, and is kept; it
comes after the look, which must not wait for anybody.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

from ohlcache.memory.limits import Bound, Limit, limit_in_force
from ohlcache.memory.marks import Level, Marks
from ohlcache.memory.pacing import LEAST_SECONDS, Pacing
from ohlcache.memory.samples import Sample, Samples
from ohlcache.memory.snapshot import Uss
from ohlcache.memory.usage import ReadUsage, Usage
from ohlcache.settings import MemorySettings

_log = logging.getLogger(__name__)
_MB = 2**20


class Monitor:
    """Looks at the memory. ``look`` is called by one thread; everything may be read by any."""

    def __init__(
        self,
        settings: MemorySettings,
        read: ReadUsage,
        clock: Callable[[], float],
        bounds: Callable[[Usage], list[Bound]],
        held: Callable[[], int],
    ) -> None:
        self.read = read
        self.clock = clock
        self._find_bounds = bounds
        self._held = held
        self.begin(settings)

    def begin(self, settings: MemorySettings) -> None:
        """Begin anew under these settings; what was of before is forgotten."""
        self.samples = Samples()
        self.uss: int | None = None
        self._uss = Uss(self.clock)
        self.level = Level.NORMAL
        self.looks = 0
        self.settle(settings)

    def settle(self, settings: MemorySettings) -> None:
        """Go on under other settings."""
        self.settings = settings
        self._pacing = Pacing(settings.interval_seconds)
        self._next_sample = -math.inf
        self.refresh()

    def look(self) -> Usage:
        """What the process takes now; the level is that of it."""
        usage = self.read()
        self.looks += 1
        self.marks_for(usage)
        self._note_level(usage.rss)
        return usage

    def sample(self, usage: Usage) -> None:
        """Keep what a look found, if it is time for that."""
        now = self.clock()
        if now >= self._next_sample:
            self._next_sample = now + self.settings.interval_seconds
            self._bounds = self._find_bounds(usage)
            self.samples.add(Sample(now, usage.rss, self._held()))
            self.read_uss()

    def delay_after(self, usage: Usage) -> float:
        """The seconds from a look until the next."""
        now = self.clock()
        delay = self._pacing.next_delay(now, usage.rss, self.marks.warning)
        return min(delay, max(LEAST_SECONDS, self._next_sample - now))

    def refresh(self) -> Usage:
        """What the process takes now, with all that it is compared with as of now."""
        usage = self.read()
        self._bounds = self._find_bounds(usage)
        self.marks_for(usage)
        return usage

    def marks_for(self, usage: Usage) -> Marks:
        """The marks while the process takes this; they become those in force."""
        settings = self.settings
        self.limit: Limit = limit_in_force(int(settings.limit_mb * _MB), usage, self._bounds)
        self.marks = Marks.of(self.limit.bytes, settings.warning, settings.critical)
        return self.marks

    def read_uss(self) -> int | None:
        """USS if it was not read for long enough."""
        uss = self._uss.when_due()
        self.uss = self.uss if uss is None else uss
        return uss

    def warn_of_low_limit(self) -> None:
        """Log it, if more than the limit is in use already."""
        usage = self.refresh()
        if usage.rss > self.limit.bytes:
            _log.warning(
                "%s is %.0f MB, and %.0f MB are in use already: memory is reclaimed all the time, "
                "raise it",
                self.limit.source,
                self.limit.bytes / _MB,
                usage.rss / _MB,
            )

    def _note_level(self, rss: int) -> None:
        before, self.level = self.level, self.marks.level(rss, self.level)
        if self.level != before:
            _log.log(
                logging.WARNING if self.level > before else logging.INFO,
                "memory is at level %s: %.0f MB in use of %.0f MB (%s)",
                self.level.name.lower(),
                rss / _MB,
                self.limit.bytes / _MB,
                self.limit.source,
            )
