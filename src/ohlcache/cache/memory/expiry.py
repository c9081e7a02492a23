"""Which entries have expired: a heap of moments.

The heap names keys and not entries, so that it keeps no value alive. What it says of a key that
was removed or given another expiry since is out of date; the tier compares. Out of date moments
leave when they come to the top, and all at once when they are two thirds of the heap.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Hashable, Mapping
from itertools import count

from ohlcache.cache.memory.entry import Entry

_MOST = 3  # moments for each entry held
_SLACK = 64


class Expiry:
    """Keys in the order in which they expire; O(log n) for each."""

    def __init__(self) -> None:
        self.first = math.inf  # the earliest moment, which may be out of date
        self._heap: list[tuple[float, int, Hashable]] = []
        self._numbers = count()  # so that keys are never compared

    def add(self, entry: Entry, entries: Mapping[Hashable, Entry]) -> None:
        """An entry that expires; ``entries`` are all that are held."""
        heap = self._heap
        if len(heap) > _MOST * len(entries) + _SLACK:
            heap[:] = [
                (one.expires, next(self._numbers), one.key)
                for one in entries.values()
                if one.expires != math.inf
            ]
            heapq.heapify(heap)
        heapq.heappush(heap, (entry.expires, next(self._numbers), entry.key))
        self.first = heap[0][0]

    def pop(self) -> Hashable:
        """The key of the first moment; there is one if ``first`` is not infinite."""
        key = heapq.heappop(self._heap)[2]
        self.first = self._heap[0][0] if self._heap else math.inf
        return key

    def clear(self) -> None:
        """Name no key."""
        self._heap.clear()
        self.first = math.inf
