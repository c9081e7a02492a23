"""The default policy: two queues under the setting that does best on the accesses just seen.

No setting of S3-FIFO wins everywhere. Where recency rules, entries must stay on probation for
long; where scans and loops do, they must leave it at once. Three settings cover what the best of
LRU, LFU, ARC, SIEVE, S3-FIFO, W-TinyLFU and LIRS reach: `queues` says how each of them works,
`duel` finds out which one serves best at present.

A hit costs what it costs without a policy.
"""

from __future__ import annotations

from ohlcache.cache.memory.duel import Duel
from ohlcache.cache.memory.entry import Entry
from ohlcache.cache.memory.queues import Setting, TwoQueues

SETTINGS = {
    "frequency": Setting(probation=0.01, uses=2, most_uses=3, memory=1.0, demotes=True),
    "balanced": Setting(probation=0.3, uses=2, most_uses=1, memory=2.0, demotes=False),
    "recency": Setting(probation=1.0, uses=1, most_uses=1, memory=2.0, demotes=True),
}


class Hybrid(TwoQueues[Entry]):
    """Adapts between recency and frequency; scans do not wash out what is used."""

    def __init__(self) -> None:
        self._settings = list(SETTINGS.values())
        self._duel = Duel(self._settings)
        super().__init__(self._settings[0])

    def add(self, entry: Entry, now: float) -> None:
        """A new key."""
        self.insert(entry)
        if not hash((entry.key,)) & self._duel.mask:  # Duel.samples, without the call
            self._compare(entry, now)

    def replace(self, old: Entry, new: Entry, now: float) -> None:
        """A use of the key, whose place stays."""
        new.seen = old.seen - old.hits - 1  # its uses go on counting; this was one
        self.swap(old, new)
        if self._duel.samples(new.key):
            self._compare(new, now)

    def convert(self, old: Entry, new: Entry) -> None:
        """The place stays."""
        self.swap(old, new)

    def remove(self, entry: Entry) -> None:
        """The key is not remembered."""
        self.delete(entry)
        if self._duel.samples(entry.key):
            self._duel.forget(entry.key)

    evict = TwoQueues.pop
    spare = TwoQueues.append

    def clear(self) -> None:
        """Begin anew with the first setting."""
        self.obey(self._settings[0])
        self.reset()
        self._duel.reset()

    def stats(self) -> dict[str, object]:
        """The setting in force, and how often it has changed."""
        return {
            "setting": list(SETTINGS)[self._duel.best],
            "setting_changes": self._duel.switches,
        }

    def _compare(self, entry: Entry, now: float) -> None:
        """An access of a key in the sample, which is not a hit."""
        self._duel.miss(entry, now, self.weight, (self._main, self._probation))
        best = self._settings[self._duel.best]
        if best is not self.setting:
            self.obey(best)

    def _split(self) -> None:
        self._duel.begin(self._main.values())
        super()._split()

    def _leaves(self, node: Entry) -> None:
        self._duel.take_hits(node)
