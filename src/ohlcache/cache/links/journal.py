"""What a tier missed while it was out of order, to be made good when it works again."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import NamedTuple

from ohlcache.cache.links.versions import NAMESPACE

_MOST_KEYS = 100_000


class Missed(NamedTuple):
    """What a tier has to be told.

    uncertain: keys of which nobody knows whether the tier made the change that it was asked for.
    untold: keys that changed without it.
    names: those whose version has changed.
    """

    uncertain: set[str]
    untold: set[str]
    names: set[str]


class Journal:
    """Keys and names that changed without one tier; values are not kept, only that they changed.

    Of more than 100,000 keys only the fact is kept: the whole namespace then gets a new version.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._missed = Missed(set(), set(), set())

    def add(
        self,
        *,
        uncertain: Iterable[str] = (),
        untold: Iterable[str] = (),
        names: Iterable[str] = (),
    ) -> None:
        """Remember keys and names; a key that is uncertain stays so."""
        with self._lock:
            missed = self._missed
            missed.names.update(names)
            if NAMESPACE in missed.names:
                return  # nothing that was there before will be valid
            missed.uncertain.update(uncertain)
            missed.untold.update(untold)
            if len(missed.uncertain) + len(missed.untold) > _MOST_KEYS:
                missed.names.add(NAMESPACE)
                missed.uncertain.clear()
                missed.untold.clear()

    def take(self) -> Missed:
        """All of it; the journal is empty afterwards."""
        with self._lock:
            missed, self._missed = self._missed, Missed(set(), set(), set())
        missed.untold.difference_update(missed.uncertain)
        return missed

    def __len__(self) -> int:
        return sum(map(len, self._missed))
