"""What can give memory back, and word of memory that is about to be taken.

It stands between the parts that hold much memory (cache, candles in memory; later pools and
slices) and whoever watches over the memory of the process: they need not know each other.

    offer("drop decoded candles", DECODED, self.drop)  # by a part
    account(self.held_bytes)                           # by a part
    announce(nbytes)                                   # by a part, before it grows
    watch(self.make_room)                              # by the watcher
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import NamedTuple
from weakref import WeakMethod

Free = Callable[[int], int]
Account = Callable[[], int]
Watcher = Callable[[int], None]

# The order in which memory is taken back: what costs its owner least to miss goes first.
COMPRESS, EVICT, DECODED = 10, 20, 30


class Reclaimer(NamedTuple):
    """A way to get memory back.

    free: takes the bytes wanted, gives the bytes that it let go of by its own account.
    """

    name: str
    order: int
    free: Free


_lock = threading.RLock()  # a finaliser may run, and offer memory, anywhere
_offers: list[tuple[str, int, WeakMethod[Free]]] = []
_accounts: list[WeakMethod[Account]] = []
_watchers: tuple[Watcher, ...] = ()

os.register_at_fork(
    before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
)


def offer(name: str, order: int, free: Free) -> None:
    """Offer to free memory. ``free`` is a method of an object, and is forgotten with it."""
    with _lock:
        _offers.append((name, order, WeakMethod(free)))


def offers() -> list[Reclaimer]:
    """What can give memory back, in the order to ask."""
    found, living = [], []
    with _lock:
        for entry in _offers:
            name, order, reference = entry
            free = reference()
            if free is not None:
                living.append(entry)
                found.append(Reclaimer(name, order, free))
        _offers[:] = living
    return sorted(found, key=lambda reclaimer: reclaimer.order)


def account(held: Account) -> None:
    """Tell by ``held``, a method that is forgotten with its object, the bytes held on purpose.

    It is asked every few seconds by whoever watches the memory, so it must be quick and wait for
    nobody.
    """
    with _lock:
        _accounts.append(WeakMethod(held))


def held_bytes() -> int:
    """The bytes that all parts together hold on purpose, by their own account."""
    living, held = [], 0
    with _lock:
        for reference in _accounts:
            ask = reference()
            if ask is not None:
                living.append(reference)
                held += ask()
        _accounts[:] = living
    return held


def announce(nbytes: int) -> None:
    """So many bytes are about to be taken; returns when the watchers, if any, have made room."""
    for watcher in _watchers:
        watcher(nbytes)


def is_watched() -> bool:
    """Whether anybody wants to know what is about to be taken."""
    return bool(_watchers)


def watch(watcher: Watcher) -> None:
    """Have announcements come to ``watcher``, in the thread that makes them."""
    global _watchers  # noqa: PLW0603  # of the process is what this is about
    with _lock:
        _watchers = (*_watchers, watcher)


def unwatch(watcher: Watcher) -> None:
    """Have them come to it no more; nothing happens where they do not."""
    global _watchers  # noqa: PLW0603  # as above
    with _lock:
        _watchers = tuple(one for one in _watchers if one != watcher)
