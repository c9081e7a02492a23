"""Least recently used: the entry whose last use is the longest ago goes first.

The order is exact and does not depend on a clock: every hit moves its entry to the end of an
ordered dict, one step of the interpreter's that needs no lock of ours (some 60 ns a hit).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from contextlib import suppress
from typing import Any

from ohlcache.cache.memory.entry import Entry
from ohlcache.cache.memory.policy import unveil


class LRU:
    """Exact recency."""

    def __init__(self) -> None:
        self._order: OrderedDict[Hashable, Entry] = OrderedDict()
        self._reveal = self._use

    def add(self, entry: Entry, now: float) -> None:  # noqa: ARG002
        """The newest."""
        self._order[entry.key] = entry
        entry.reveal = self._reveal

    def replace(self, old: Entry, new: Entry, now: float) -> None:
        """A use of the key."""
        self.add(new, now)
        self._order.move_to_end(old.key)

    def convert(self, old: Entry, new: Entry) -> None:
        """The place stays."""
        self._order[old.key] = new
        new.reveal = self._reveal

    def remove(self, entry: Entry) -> None:
        """Its place closes."""
        del self._order[entry.key]

    def evict(self) -> Entry:
        """The one whose last use is the longest ago."""
        return self._order.popitem(last=False)[1]

    def spare(self, entry: Entry) -> None:
        """Behind all others: a large entry was compressed because it had proved useful."""
        self.add(entry, 0.0)

    def clear(self) -> None:
        """Hold nothing."""
        self._order.clear()

    def stats(self) -> dict[str, object]:
        """Nothing to tell."""
        return {}

    def _use(self, entry: Entry) -> Any:
        with suppress(KeyError):  # it left while this hit was under way
            self._order.move_to_end(entry.key)
        return unveil(entry)
