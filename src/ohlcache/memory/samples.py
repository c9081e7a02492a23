"""The memory of hours in fixed memory: the newest samples all, the older ones thinned."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

RECENT, OLDER, THINNING = 360, 1440, 6  # at 10 s a sample: an hour, and a day of minutes


class Sample(NamedTuple):
    """rss: bytes at a moment, in seconds of a clock that never goes back.

    held: bytes of that which parts of the process account for.
    """

    at: float
    rss: int
    held: int = 0


class Samples:
    """At most RECENT + OLDER samples. Added to by one thread at a time, read by any.

    Of those that are no longer recent every sixth is kept as it is: a mean, median or minimum of
    six would spread otherwise than what is recent, and look like a change.
    """

    def __init__(self) -> None:
        self._recent: deque[Sample] = deque(maxlen=RECENT)
        self._older: deque[Sample] = deque(maxlen=OLDER)
        self.taken = 0

    def add(self, sample: Sample) -> None:
        """The newest sample."""
        if len(self._recent) == RECENT and self.taken % THINNING == 0:
            self._older.append(self._recent[0])
        self._recent.append(sample)
        self.taken += 1

    def recent(self) -> list[Sample]:
        """The newest, at most RECENT, oldest first."""
        return list(self._recent)

    def all(self) -> list[Sample]:
        """All that are kept, oldest first."""
        return [*self._older, *self._recent]
