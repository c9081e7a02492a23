"""Least frequently used: the entry with the fewest uses goes first, of equals the oldest.

A heap orders entries by the uses they had when it looked at them last. Hits only make an entry's
uses more, so the top is the true minimum once it is up to date: one that is not goes back with its
present uses (a lazy heap; O(log n) for each entry that was used since it was last at the top).
An entry that was removed or replaced stays in the heap by its number until it comes to the top or
the heap is rebuilt, at the latest when half of it is of that kind.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from itertools import count

from ohlcache.cache.memory.entry import Entry

_SLACK = 64


class LFU:
    """Exact frequency over the time an entry is held."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Hashable]] = []  # uses, number, key
        self._held: dict[Hashable, tuple[int, Entry]] = {}  # key: number, entry
        self._numbers = count()

    def add(self, entry: Entry, now: float) -> None:  # noqa: ARG002
        """No uses yet."""
        self._push(entry, next(self._numbers))

    def replace(self, old: Entry, new: Entry, now: float) -> None:  # noqa: ARG002
        """Its uses go on counting; this is one."""
        new.seen = old.seen - old.hits - 1
        self._held[old.key] = (self._held[old.key][0], new)

    def convert(self, old: Entry, new: Entry) -> None:
        """The place stays."""
        self._held[old.key] = (self._held[old.key][0], new)

    def remove(self, entry: Entry) -> None:
        """It stays in the heap until it comes to the top or too much is of that kind."""
        del self._held[entry.key]
        if len(self._heap) > 2 * len(self._held) + _SLACK:
            self._heap = [(_uses(one), number, key) for key, (number, one) in self._held.items()]
            heapq.heapify(self._heap)

    def evict(self) -> Entry:
        """The one with the fewest uses."""
        heap, held = self._heap, self._held
        while True:
            uses, number, key = heap[0]
            current, entry = held.get(key, (-1, None))
            if entry is None or current != number:
                heapq.heappop(heap)
            elif _uses(entry) > uses:
                heapq.heapreplace(heap, (_uses(entry), number, key))
            else:
                heapq.heappop(heap)
                del held[key]
                return entry

    def spare(self, entry: Entry) -> None:
        """With the uses it has: it is chosen again as soon as it is the least used."""
        self._push(entry, next(self._numbers))

    def clear(self) -> None:
        """Hold nothing."""
        self._heap.clear()
        self._held.clear()

    def stats(self) -> dict[str, object]:
        """Nothing to tell."""
        return {}

    def _push(self, entry: Entry, number: int) -> None:
        self._held[entry.key] = (number, entry)
        heapq.heappush(self._heap, (_uses(entry), number, entry.key))


def _uses(entry: Entry) -> int:
    return entry.hits - entry.seen
