"""Named counters."""

from __future__ import annotations

from collections import defaultdict

from ohlcache.telemetry.per_thread import PerThread

_Counts = defaultdict[str, int]


class Counters:
    """Counts by name, exact and without a lock for those who count."""

    def __init__(self) -> None:
        self._counts = PerThread(_no_counts, _add)

    def count(self, name: str, by: int = 1) -> None:
        """Add ``by`` to the count of ``name``."""
        try:
            self._counts.local.part[name] += by
        except AttributeError:  # the first of this thread
            self._counts.own[name] += by

    def __getitem__(self, name: str) -> int:
        return self.snapshot().get(name, 0)

    def snapshot(self) -> dict[str, int]:
        """All counts of this moment."""
        return dict(self._counts.total())

    def below(self, prefix: str) -> dict[str, int]:
        """The counts whose names start with ``prefix``, named by the rest."""
        return {
            name[len(prefix) :]: count
            for name, count in self.snapshot().items()
            if name.startswith(prefix)
        }


def _no_counts() -> _Counts:
    return defaultdict(int)


def _add(part: _Counts, total: _Counts) -> None:
    for name, count in list(part.items()):
        total[name] += count
