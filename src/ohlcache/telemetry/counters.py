"""Named counters that threads share."""

from __future__ import annotations

import threading
from collections import Counter


class Counters:
    """Counts by name. For paths that do I/O anyway: a count takes a lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def count(self, name: str, by: int = 1) -> None:
        """Add ``by`` to the count of ``name``."""
        with self._lock:
            self._counts[name] += by

    def __getitem__(self, name: str) -> int:
        return self._counts[name]

    def snapshot(self) -> dict[str, int]:
        """All counts of this moment."""
        with self._lock:
            return dict(self._counts)

    def below(self, prefix: str) -> dict[str, int]:
        """The counts whose names start with ``prefix``, named by the rest."""
        return {
            name[len(prefix) :]: count
            for name, count in self.snapshot().items()
            if name.startswith(prefix)
        }
