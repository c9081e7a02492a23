"""Which setting of the two queues would hit most? Small simulations on a sample of the keys.

A sample of the keys, chosen by their hash, goes through one simulation for each setting, scaled
down as the sample is (Waldspurger, Saemundsson, Ahmad, Park: Cache Modeling and Optimization using
Miniature Simulations, ATC 2017). The sample starts with every key and is halved whenever it
outgrows its bound, so its cost does not grow with the cache. The hits of the last while count, and
a setting takes over when it is ahead by more than chance would have it.

Accesses of sampled keys arrive as misses, at once, and as hits, noted without a lock and taken up
at the next miss; when many hits come between two misses the oldest are lost to all settings alike.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable, Sequence

from ohlcache.cache.memory.queues import Setting, TwoQueues

MOST_SAMPLED = 128  # keys held in a simulation
_MOST_NOTED = 128
_MEMORY = 8  # accesses that count, in sizes of the simulation
_LEAST_PERIOD = 16  # accesses between two judgements
_LEAST_LEAD = 1.5  # in standard errors of the difference


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

    def access(self, key: Hashable, weight: int, expires: float, now: float, limit: float) -> bool:
        """Whether it would be a hit; otherwise the key is taken in."""
        held = self.keys.get(key)
        if held is not None:
            if held.expires > now:
                held.hits += 1
                held.expires = expires
                return True
            self.queues.delete(held)
        queues = self.queues
        while queues.weight + weight > limit and queues.weight:
            del self.keys[queues.pop().key]
        self.keys[key] = new = _Key(key, weight, expires)
        queues.insert(new)
        return False

    def forget(self, key: Hashable) -> None:
        held = self.keys.pop(key, None)
        if held is not None:
            self.queues.delete(held)


class Duel:
    """Simulations of several settings; ``best`` is the number of the one that is ahead."""

    def __init__(self, settings: Sequence[Setting]) -> None:
        self._settings = settings
        self.reset()

    def reset(self) -> None:
        """Know nothing."""
        self.best = 0
        self.switches = 0
        self.noted: deque[tuple[Hashable, int, float]] = deque(maxlen=_MOST_NOTED)
        self._simulations = [_Simulation(setting) for setting in self._settings]
        self.mask = 0  # a key is sampled if these bits of its hash are 0
        self._limit = math.inf  # of the weight in a simulation
        self._scores = [0.0] * len(self._settings)
        self._doubts = 0.0  # accesses that not all settings agreed on
        self._until_judged = _LEAST_PERIOD

    def samples(self, key: Hashable) -> bool:
        """Whether the key is in the sample. A tuple's hash mixes the bits of an integer's."""
        mask = self.mask
        return not mask or not hash((key,)) & mask

    def fill(self, weight: int) -> None:
        """Entries of so much weight fill the cache."""
        self._limit = weight / (self.mask + 1)

    def miss(self, key: Hashable, weight: int, expires: float, now: float) -> None:
        """A sampled key was asked for and is taken in now."""
        self._catch_up(now)
        self._access(key, weight, expires, now)
        if self._until_judged <= 0:
            self._judge()

    def forget(self, key: Hashable) -> None:
        """A sampled key was removed, whatever a policy wanted."""
        for simulation in self._simulations:
            simulation.forget(key)

    def _catch_up(self, now: float) -> None:
        noted = self.noted
        while noted:
            key, weight, expires = noted.popleft()
            if self.samples(key):
                self._access(key, weight, expires, now)

    def _access(self, key: Hashable, weight: int, expires: float, now: float) -> None:
        self._until_judged -= 1
        limit = self._limit
        hits = [one.access(key, weight, expires, now, limit) for one in self._simulations]
        if any(hits) and not all(hits):
            self._doubts += 1
            for number, is_hit in enumerate(hits):
                self._scores[number] += is_hit

    def _judge(self) -> None:
        scores = self._scores
        ahead = max(range(len(scores)), key=scores.__getitem__)
        if scores[ahead] - scores[self.best] > _LEAST_LEAD * math.sqrt(self._doubts):
            self.best = ahead
            self.switches += 1
        size = max(len(one.keys) for one in self._simulations)
        period = max(_LEAST_PERIOD, size // 4)
        kept = max(0.0, 1 - period / (_MEMORY * size))
        self._scores = [kept * score for score in scores]
        self._doubts *= kept
        self._until_judged = period
        while size > MOST_SAMPLED:
            size = self._halve()

    def _halve(self) -> int:
        """Take half of the keys out of the sample; how many the largest simulation holds then."""
        self.mask = 2 * self.mask + 1
        self._limit /= 2
        for one in self._simulations:
            for key in [key for key in one.keys if not self.samples(key)]:
                one.forget(key)
        return max(len(one.keys) for one in self._simulations)
