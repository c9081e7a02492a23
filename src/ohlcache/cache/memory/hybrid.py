"""The default policy: two queues under the setting that does best on the accesses just seen.

No setting of S3-FIFO wins everywhere. Where recency rules, entries must stay on probation for
long; where scans and loops do, they must leave it at once. Three settings cover what the best of
LRU, LFU, ARC, SIEVE, S3-FIFO, W-TinyLFU and LIRS reach: `queues` says how each of them works,
`duel` finds out which one serves best at present.

A hit costs what it costs without a policy, except on the few entries in the duel's sample.
"""

from __future__ import annotations

from typing import Any

from ohlcache.cache.memory.duel import Duel
from ohlcache.cache.memory.entry import Entry
from ohlcache.cache.memory.policy import unveil
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
        self._reveal = self._use
        super().__init__(self._settings[0])

    def add(self, entry: Entry, now: float) -> None:
        """A new key."""
        self.insert(entry)
        mask = self._duel.mask
        if not mask or not hash((entry.key,)) & mask:  # Duel.samples, without the call
            self._sample(entry, now)

    def replace(self, old: Entry, new: Entry, now: float) -> None:
        """A use of the key, whose place stays."""
        new.seen = old.seen - old.hits - 1  # its uses go on counting; this was one
        self.swap(old, new)
        if not self.was_full:
            new.reveal = self._reveal if old.reveal is self._reveal else new.guard
        elif self._duel.samples(new.key):
            self._sample(new, now)

    def convert(self, old: Entry, new: Entry) -> None:
        """The place stays."""
        self.swap(old, new)
        self._watch(new)

    def remove(self, entry: Entry) -> None:
        """The key is not remembered."""
        self.delete(entry)
        if self._duel.samples(entry.key):
            self._duel.forget(entry.key)

    evict = TwoQueues.pop

    def spare(self, entry: Entry) -> None:
        """It goes to the end of probation."""
        self.append(entry)
        self._watch(entry)

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

    def _sample(self, entry: Entry, now: float) -> None:
        """An access of a key in the sample, which is not a hit."""
        entry.reveal = self._reveal
        if self.was_full:
            self._duel.fill(self.weight)
        self._duel.miss(entry.key, entry.weight, entry.expires, now)
        best = self._settings[self._duel.best]
        if best is not self.setting:
            self.obey(best)

    def _watch(self, entry: Entry) -> None:
        if self._duel.samples(entry.key):
            entry.reveal = self._reveal

    def _use(self, entry: Entry) -> Any:
        """A hit of an entry that is in the sample, or was when it was kept."""
        if self._duel.samples(entry.key):
            self._duel.noted.append((entry.key, entry.weight, entry.expires))
        else:
            entry.reveal = entry.guard
        return unveil(entry)
