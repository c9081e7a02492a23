"""Whether what a process holds may be served without asking.

While the tier that coordinates a category tells of every change, an entry is trusted when it was
kept in the present *epoch*. A version that changed begins a new epoch of the same *era*: entries
compare their versions once and go on. A lost connection begins a new era: whatever was held may
have changed meanwhile, and is compared with the tier before it is served again.
"""

from __future__ import annotations

import itertools
import threading

_eras = itertools.count()  # of all trusts: a forked child's never look like its parent's


class Epoch:
    """A time in which nothing happened that concerns all entries."""

    __slots__ = ("era", "is_live")

    def __init__(self, era: int, is_live: bool) -> None:
        self.era = era
        self.is_live = is_live


NOT_LIVE = Epoch(-1, is_live=False)  # an epoch in which nothing is trusted


class Trust:
    """The present epoch of one coordinating tier; without one it is always live."""

    def __init__(self, is_live: bool) -> None:
        self._lock = threading.Lock()
        self.losses = 0
        self.epoch = Epoch(next(_eras), is_live)

    def begin_epoch(self) -> None:
        """Have every entry compare its versions once more."""
        with self._lock:
            self.epoch = Epoch(self.epoch.era, self.epoch.is_live)

    def lose(self) -> None:
        """Changes may be missed from now on."""
        with self._lock:
            self.losses += 1
            self.epoch = Epoch(next(_eras), is_live=False)

    def resume(self) -> None:
        """Every change is heard from now on."""
        with self._lock:
            self.epoch = Epoch(next(_eras), is_live=True)
