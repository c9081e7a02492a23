"""Which keys changed recently, so that nothing older is kept in memory afterwards.

Between the moment at which a state of a key is read or written in a shared tier and the moment at
which it is kept in memory, word of a newer state may arrive. Whoever is about to keep a state takes
a mark before the I/O; keeping is refused when a newer state has become known since the mark.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

_MOST = 10_000  # keys remembered; of the others only what may refuse too much

ALWAYS_NEWER = 2**53  # the stamp of a change of which only the fact is known (year 2255)


NO_TIER = 1  # the stamp of a state that no shared tier has seen: anything from a tier is newer


class _Known(NamedTuple):
    number: int
    stamp: int


class Changes:
    """Recent changes of the keys of one category. Its user holds the category's lock."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._number = 0
        self._forgotten = _Known(0, 0)  # the last number and the largest stamp of them
        self._forgotten_unknown = 0  # the last number of those whose stamp is not known
        self._recent: OrderedDict[str, _Known] = OrderedDict()

    def mark(self) -> int:
        """This moment. Safe without the lock."""
        return self._number

    def note(self, key: str, stamp: int, since: int = 0) -> None:
        """The key has a state of this stamp, made by somebody who knew all changes up to since."""
        known = self._recent.get(key)
        if known is not None and known.number > since and known.stamp > stamp:
            stamp = known.stamp
        self._number += 1
        self._recent[key] = _Known(self._number, ALWAYS_NEWER if stamp == NO_TIER else stamp)
        self._recent.move_to_end(key)
        if len(self._recent) > self._most:
            self._forget(self._recent.popitem(last=False)[1])

    def allow(self, key: str, mark: int, stamp: int) -> bool:
        """Whether a state of this stamp, read or written since the mark, is still the newest."""
        if mark < self._forgotten_unknown:
            return False
        if mark < self._forgotten.number and stamp < self._forgotten.stamp:
            return False
        known = self._recent.get(key)
        if known is None:
            return True
        if known.number <= mark and (stamp == NO_TIER or known.stamp >= ALWAYS_NEWER):
            return True
        return known.stamp <= stamp

    def outdate(self, key: str, stamp: int) -> bool:
        """Whether a newer state than this one is known. Safe without the lock."""
        known = self._recent.get(key)
        return known is not None and stamp < known.stamp < ALWAYS_NEWER

    def _forget(self, oldest: _Known) -> None:
        if oldest.stamp >= ALWAYS_NEWER:
            self._forgotten_unknown = oldest.number
        else:
            largest = max(oldest.stamp, self._forgotten.stamp)
            self._forgotten = _Known(oldest.number, largest)
