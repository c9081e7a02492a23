"""Which keys changed recently, so that nothing older is kept in memory afterwards.

Between the moment at which a state of a key is read or written in a shared tier and the moment at
which it is kept in memory, word of a newer state may arrive. Whoever is about to keep a state takes
a mark before the I/O; keeping is refused when a newer state has become known since the mark.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

_MOST = 10_000  # keys remembered; a mark older than the forgotten ones refuses

ALWAYS_NEWER = 2**53  # the stamp of a change of which only the fact is known (year 2255)


class _Known(NamedTuple):
    number: int
    stamp: int


class Changes:
    """Recent changes of the keys of one category. Its user holds the category's lock."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._number = 0
        self._forgotten = 0
        self._recent: OrderedDict[str, _Known] = OrderedDict()

    def mark(self) -> int:
        """This moment. Safe without the lock."""
        return self._number

    def note(self, key: str, stamp: int) -> None:
        """The key has a state of this stamp."""
        known = self._recent.get(key)
        if known is not None and known.stamp > stamp:
            stamp = known.stamp
        self._number += 1
        self._recent[key] = _Known(self._number, stamp)
        self._recent.move_to_end(key)
        if len(self._recent) > self._most:
            self._forgotten = self._recent.popitem(last=False)[1].number

    def allow(self, key: str, mark: int, stamp: int) -> bool:
        """Whether a state of this stamp, read or written since the mark, is still the newest."""
        if mark < self._forgotten:
            return False
        known = self._recent.get(key)
        return known is None or known.number <= mark or known.stamp <= stamp
