"""Which setting of the two queues would hit most? Small simulations on a sample of the keys.

A sample of the keys, chosen by their hash, goes through one simulation for each setting, scaled
down as the sample is (Waldspurger, Saemundsson, Ahmad, Park: Cache Modeling and Optimization using
Miniature Simulations, ATC 2017). It begins when the cache is full for the first time, with every
key of a small cache. It is halved whenever it outgrows its bound, and now and then while the best
setting stays the same: what it costs is worth paying as long as something is to be found out.

The hits of the last while count. The settings are given in the order in which they are trusted:
moving entries about has a price, so one further down takes over when it is ahead by more than
chance would have it, and one further up as soon as it is ahead at all.

A miss of a sampled key is simulated at once. Hits cost nothing when they happen: they are read off
an entry when it leaves, and off all entries of the sample after a sixteenth as many misses.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Mapping, Sequence

from ohlcache.cache.memory.entry import Entry
from ohlcache.cache.memory.queues import Setting, TwoQueues

MOST_SAMPLED = 1024  # keys held in a simulation
_SETTLED_SAMPLED = 64  # at least, however long the best setting has stayed the same
_SETTLED_AFTER = 16  # accesses, in sizes of the simulation
_READINGS = 16  # of hits, while as many keys miss as are held
_MEMORY = 8  # accesses that count, in sizes of the simulation
_LEAST_PERIOD = 16  # accesses between two judgements
_LEAST_LEAD = 2.25  # in standard errors of the difference, where every key is simulated
_LEAST_LEAD_SAMPLED = 3.0  # where the choice of the keys adds to chance
_NO_KEY = -1  # a mask
_ANY_TIME = -math.inf  # hits happen before anything expires


Held = Mapping[Hashable, Entry]


class _Key:
    """A key in a simulation."""

    __slots__ = ("at", "expires", "hits", "is_main", "key", "seen", "weight")

    def __init__(self, key: Hashable, weight: int, expires: float) -> None:
        self.key = key
        self.weight = weight
        self.expires = expires
        self.hits = 0
        self.seen = 0
        self.at = 0
        self.is_main = False


class _Simulation:
    """A cache of keys without values under one setting."""

    def __init__(self, setting: Setting) -> None:
        self.queues: TwoQueues[_Key] = TwoQueues(setting)
        self.keys: dict[Hashable, _Key] = {}

    def access(self, entry: Entry, times: int, now: float, limit: float) -> bool:
        """Whether the first of so many accesses is a hit; otherwise the key is taken in."""
        key = entry.key
        held = self.keys.get(key)
        if held is not None:
            if held.expires > now:
                held.hits += times
                held.expires = entry.expires
                return True
            self.queues.delete(held)
        queues, weight = self.queues, entry.weight
        while queues.weight + weight > limit and queues.weight:
            del self.keys[queues.pop().key]
        self.keys[key] = new = _Key(key, weight, entry.expires)
        queues.insert(new)
        new.hits = times - 1
        return False

    def forget(self, key: Hashable) -> None:
        held = self.keys.pop(key, None)
        if held is not None:
            self.queues.delete(held)


class Duel:
    """Simulations of several settings; ``best`` is the number of the one to work by.

    mask: a key is in the sample if these bits of its hash are 0. A tuple's hash is taken, since it
        mixes the bits of an integer's.
    """

    def __init__(self, settings: Sequence[Setting]) -> None:
        self._settings = settings
        self.reset()

    def reset(self) -> None:
        """Know nothing."""
        self.best = 0
        self.switches = 0
        self.mask = _NO_KEY
        self._hits: dict[Hashable, int] = {}  # of the entries in the sample, as far as simulated
        self._simulations = [_Simulation(setting) for setting in self._settings]
        self._limit = math.inf  # of the weight in a simulation
        self._scores = [0.0] * len(self._settings)
        self._doubts = 0.0  # accesses that not all settings agreed on
        self._until_judged = _LEAST_PERIOD
        self._until_read = 0
        self._unchanged = 0.0  # accesses since the best setting changed, in sizes of the simulation

    def begin(self, entries: Collection[Entry]) -> None:
        """The cache is full for the first time, with these."""
        self.mask = 0
        while len(entries) > MOST_SAMPLED * (self.mask + 1):
            self.mask = 2 * self.mask + 1
        for entry in entries:
            if self.samples(entry.key):
                hits = self._hits[entry.key] = entry.hits
                for one in self._simulations:
                    one.access(entry, 1 + hits, _ANY_TIME, math.inf)

    def samples(self, key: Hashable) -> bool:
        """Whether the key is in the sample."""
        return not hash((key,)) & self.mask

    def miss(self, entry: Entry, now: float, weight: int, held: Sequence[Held]) -> None:
        """A key in the sample was asked for and is taken in now.

        weight, held: of the cache; its entries may be in several mappings.
        """
        self._limit = weight / (self.mask + 1)
        self._until_read -= 1
        if self._until_read <= 0:
            self._read_hits(held)
            self._until_read = len(self._hits) // _READINGS
        self._hits[entry.key] = 0
        self._access(entry, 1, now)
        if self._until_judged <= 0:
            self._judge()

    def forget(self, key: Hashable) -> None:
        """A key in the sample was removed, whatever a policy wanted."""
        self._hits.pop(key, None)
        for simulation in self._simulations:
            simulation.forget(key)

    def take_hits(self, entry: Entry) -> None:
        """Simulate the hits of an entry that are not known yet, if it is in the sample."""
        hits, known = entry.hits, self._hits.get(entry.key)
        if known is not None and hits > known:
            self._hits[entry.key] = hits
            self._access(entry, hits - known, _ANY_TIME)

    def _read_hits(self, held: Sequence[Held]) -> None:
        known = self._hits
        first, second = held
        gone = []
        for key, hits in known.items():
            entry = first.get(key) or second.get(key)
            if entry is None:
                gone.append(key)
            elif entry.hits > hits:
                self.take_hits(entry)
        for key in gone:
            del known[key]

    def _access(self, entry: Entry, times: int, now: float) -> None:
        self._until_judged -= times
        limit = self._limit
        hits = [one.access(entry, times, now, limit) for one in self._simulations]
        if True in hits and False in hits:
            self._doubts += 1
            for number, is_hit in enumerate(hits):
                self._scores[number] += is_hit

    def _judge(self) -> None:
        self._choose()
        size = max(len(one.keys) for one in self._simulations)
        period = max(_LEAST_PERIOD, size // 4)
        kept = max(0.0, 1 - period / (_MEMORY * size))
        self._scores = [kept * score for score in self._scores]
        self._doubts *= kept
        self._until_judged = period
        self._unchanged += period / size
        if self._unchanged > _SETTLED_AFTER and size >= 2 * _SETTLED_SAMPLED:
            self._unchanged = 0.0
            size = self._halve()
        while size > MOST_SAMPLED:
            size = self._halve()

    def _choose(self) -> None:
        scores = self._scores
        ahead = max(range(len(scores)), key=scores.__getitem__)
        errors = _LEAST_LEAD_SAMPLED if self.mask else _LEAST_LEAD
        lead = errors * math.sqrt(self._doubts) if ahead > self.best else 0.0
        if scores[ahead] - scores[self.best] > lead:
            self.best = ahead
            self.switches += 1
            self._unchanged = 0.0

    def _halve(self) -> int:
        """Take half of the keys out of the sample; how many the largest simulation holds then."""
        self.mask = 2 * self.mask + 1
        self._limit /= 2
        self._hits = {key: hits for key, hits in self._hits.items() if self.samples(key)}
        for one in self._simulations:
            for key in [key for key in one.keys if not self.samples(key)]:
                one.forget(key)
        return max(len(one.keys) for one in self._simulations)
