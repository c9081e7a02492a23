"""When to look at the memory again: seldom at rest, often where it grows towards the warning mark.

A look costs some microseconds, and 0.3 ms where it wakes a processor that slept. It comes before
growth, going on as fast as it lately did, can have covered half of the way to the warning mark.
Growth may begin at any time, so a moderate rate is assumed at rest, too.
"""

from __future__ import annotations

import math

LEAST_SECONDS = 0.1
LEAST_AT_REST = 0.4  # seconds, where nothing grows: a look wakes the processor from its rest
_ASSUMED = 150 * 2**20  # bytes per second that growth may begin with
_AT_REST = 10 * 2**20  # bytes per second; up to here it counts as rest
_MEMORY = 0.8  # share of a higher rate that is still assumed at the next look


class Pacing:
    """The seconds between looks."""

    def __init__(self, interval_seconds: float) -> None:
        self._interval = interval_seconds
        self._last: tuple[float, int] | None = None
        self._rate = 0.0

    def next_delay(self, at: float, rss: int, mark: int) -> float:
        """How long to wait after a look that found ``rss``, with the warning at ``mark``."""
        if self._last is not None and at > self._last[0]:
            rate = (rss - self._last[1]) / (at - self._last[0])
            self._rate = max(rate, self._rate * _MEMORY, 0.0)
        self._last = (at, rss)
        room = max(0, mark - rss)
        if_growth_begins = max(LEAST_AT_REST, room / (2 * _ASSUMED))
        if_growth_goes_on = room / (2 * self._rate) if self._rate > _AT_REST else math.inf
        return min(self._interval, if_growth_begins, max(LEAST_SECONDS, if_growth_goes_on))
