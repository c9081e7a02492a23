"""Which entries have expired: a heap of moments that is only kept when one may have come.

A set only appends its key to the ``newcomers`` and lowers ``first``, the earliest moment there may
be (the tier writes that out: a call would take a tenth of the time of a set). Newcomers enter the
heap when ``first`` has come; most entries of a full cache are evicted before and never do.

Both name keys and not entries, so that they keep no value alive. What they say of a key that was
removed or given another expiry since is out of date: it is found out by comparing, and leaves when
its moment comes or when it is two thirds of all.
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
    """Keys in the order in which they expire; O(1) for each that comes, O(log n) as it expires.

    entries: all that are held, which the tier changes.
    first: no entry expires before.
    newcomers: keys of entries that expire and are not in the heap; when they are more than
        ``most_newcomers`` it is time to begin anew.
    """

    def __init__(self, entries: Mapping[Hashable, Entry]) -> None:
        self._entries = entries
        self._numbers = count()  # so that keys are never compared
        self.clear()

    def clear(self) -> None:
        """Name no key."""
        self.first = math.inf  # nothing has expired before
        self.newcomers: list[Hashable] = []
        self.most_newcomers = _SLACK
        self._heap: list[tuple[float, int, Hashable]] = []

    def pop(self, now: float) -> Entry | None:
        """The entry that expired first, or None if none has."""
        if self.newcomers:
            self._sort_in()
        heap, expired = self._heap, None
        while heap and heap[0][0] <= now and expired is None:
            moment, _, key = heapq.heappop(heap)
            entry = self._entries.get(key)
            if entry is not None and entry.expires == moment:
                expired = entry
        self.first = heap[0][0] if heap else math.inf
        return expired

    def _sort_in(self) -> None:
        if len(self._heap) > _MOST * len(self._entries) + _SLACK:
            self.begin_anew()
        for key in self.newcomers:
            entry = self._entries.get(key)
            if entry is not None and entry.expires != math.inf:
                heapq.heappush(self._heap, (entry.expires, next(self._numbers), key))
        self.newcomers.clear()

    def begin_anew(self) -> None:
        """Every entry is a newcomer, and nothing is out of date."""
        self._heap.clear()
        expiring = [one for one in self._entries.values() if one.expires != math.inf]
        self.newcomers = [one.key for one in expiring]
        self.most_newcomers = _MOST * len(self._entries) + _SLACK
        self.first = min((one.expires for one in expiring), default=math.inf)
