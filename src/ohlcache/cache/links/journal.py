"""What a tier missed while it was out of order, to be made good when it works again."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from ohlcache.cache.links.versions import NAMESPACE, new_version
from ohlcache.cache.tiers import Change

_MOST_BYTES = 64 * 2**20
_PER_CHANGE = 200


class Journal:
    """Changes and versions for one tier, the last of each key and name.

    A change with a stamp is made only if the tier has nothing newer; one without (a removal of
    what nobody knows the state of) in any case.

    Of more than 64 MB only the fact is kept: the whole namespace then gets a new version.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changes: dict[str, Change] = {}
        self._versions: dict[str, str] = {}
        self._bytes = 0

    def add(self, changes: Sequence[Change], versions: Mapping[str, str]) -> None:
        """Remember changes (with their stamps) and versions that the tier did not take."""
        with self._lock:
            self._versions.update(versions)
            if NAMESPACE in self._versions:
                return  # nothing that was there before will be valid
            for change in changes:
                known = self._changes.pop(change.key, None)
                if known is not None:
                    self._bytes -= _size(known)
                newest = change if known is None else _newer(known, change)
                self._changes[change.key] = newest
                self._bytes += _size(newest)
            if self._bytes > _MOST_BYTES:
                self._changes.clear()
                self._bytes = 0
                self._versions[NAMESPACE] = new_version()

    def take(self) -> tuple[list[Change], dict[str, str]]:
        """All of it; the journal is empty afterwards."""
        with self._lock:
            changes, versions = list(self._changes.values()), self._versions
            self._changes, self._versions, self._bytes = {}, {}, 0
            return changes, versions

    def __len__(self) -> int:
        return len(self._changes) + len(self._versions)


def removal(key: str) -> Change:
    """The change that removes a key whatever its state."""
    return Change(key, None, None)


def _newer(known: Change, change: Change) -> Change:
    if not known.stamp or not change.stamp:
        return removal(change.key)
    return change if known.stamp <= change.stamp else known


def _size(change: Change) -> int:
    return _PER_CHANGE + len(change.key) + len(change.data or b"")
