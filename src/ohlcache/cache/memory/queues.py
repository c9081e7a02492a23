"""Two queues and a memory of keys that left: the structure behind the hybrid policy.

    new keys --> probation --(used often enough)--> main --(unused for a round)--> out, or back
                     |                                ^
                     +--> out, key remembered --------+ (asked for again soon after)

After S3-FIFO (Yang, Zhang, Qiu, Yue, Rashmi: FIFO Queues are All You Need for Cache Eviction, SOSP
2023), with four things to set. They span what is known to work: a probation of 1% whose proved
entries crowd others back into it behaves as LIRS (Jiang, Zhang 2002), which loops and scans do not
hurt; one of 100% is a clock, close to LRU.

What left is remembered in two generations, of which the older is forgotten as a whole when the
younger has as many keys as are held: between one and two keys for each one held.

Hits need no lock and move nothing: an entry's new uses are counted when it comes to the front of
its queue. Each step is O(1); an entry that was hit often takes ``most_uses`` rounds to leave.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, NamedTuple, Protocol, TypeVar

_MOST_REMEMBERED = 2**18  # keys in either generation of the memory
_DEMOTIONS = 8  # looked at for one eviction: a new setting moves entries little by little
_ROUNDS = 4  # other threads may go on hitting what is looked at: then anything will do


class Setting(NamedTuple):
    """How the two queues work.

    probation: its share of the weight held.
    uses: how many it takes to leave probation for main.
    most_uses: how many main counts; each is worth one more round.
    memory: for how many evictions, in numbers of entries held, a key counts as used lately.
    demotes: what main has no room for goes to probation again, and not out.
    """

    probation: float
    uses: int
    most_uses: int
    memory: float
    demotes: bool


class Node(Protocol):
    """What is queued: an entry, or a key in a simulation."""

    key: Hashable
    weight: int
    hits: int
    seen: int
    at: int
    is_main: bool


N = TypeVar("N", bound=Node)


class TwoQueues(Generic[N]):
    """The order of entries under one setting, which may change at any time."""

    def __init__(self, setting: Setting) -> None:
        self.obey(setting)
        self.reset()

    def obey(self, setting: Setting) -> None:
        """Work by this setting from now on."""
        self.setting = setting
        self._most_main = 1 - setting.probation  # of the weight
        self._uses_to_prove = setting.uses

    def reset(self) -> None:
        """Hold nothing and remember nothing."""
        self.weight = 0
        self._main_weight = 0
        self._probation: OrderedDict[Hashable, N] = OrderedDict()
        self._main: OrderedDict[Hashable, N] = OrderedDict()
        self._remembered: dict[Hashable, int] = {}  # key: when it was used last
        self._remembered_before: dict[Hashable, int] = {}
        self._evictions = 0
        self._next_generation = 0  # so many evictions
        self.was_full = False

    def __len__(self) -> int:
        return len(self._probation) + len(self._main)

    def insert(self, node: N) -> None:
        """A key that is not queued."""
        key = node.key
        self.weight += node.weight
        node.at = self._evictions
        if self.was_full and not (
            (key in self._remembered or key in self._remembered_before) and self._is_proved(key)
        ):
            self._probation[key] = node
            return
        # Until there was an eviction nobody knows how much there is room for: all are in main.
        self._main[key] = node
        node.is_main = True
        self._main_weight += node.weight

    def _is_proved(self, key: Hashable) -> bool:
        """Whether a remembered key is worth a place in main; it is not remembered any more."""
        before = self._remembered_before.pop(key, 0)
        at = self._remembered.pop(key, before)
        return self._is_recent(at)

    def _is_recent(self, at: int) -> bool:
        """Whether a key that was used then, and not since, is worth a place in main."""
        if self._evictions - at >= self.setting.memory * len(self):
            return False
        main = self._main
        if not main or self._main_weight < self._most_main * self.weight:
            return True
        front = main[next(iter(main))]
        if front.hits <= front.seen:
            return front.at < at
        del main[front.key]
        self._spend(front)
        return False

    def swap(self, old: N, new: N) -> None:
        """Another node in the same place."""
        new.is_main, new.at = old.is_main, old.at
        change = new.weight - old.weight
        self.weight += change
        if old.is_main:
            self._main[old.key] = new
            self._main_weight += change
        else:
            self._probation[old.key] = new

    def delete(self, node: N) -> None:
        """A node leaves for a reason of its own."""
        self.weight -= node.weight
        if node.is_main:
            del self._main[node.key]
            self._main_weight -= node.weight
        else:
            del self._probation[node.key]

    def append(self, node: N) -> None:
        """A node that was just popped goes to the end of main instead of out."""
        self._remembered.pop(node.key, None)
        self._remembered_before.pop(node.key, None)
        node.is_main = True
        node.seen, node.at = node.hits, self._evictions
        self.weight += node.weight
        self._main_weight += node.weight
        self._main[node.key] = node

    def pop(self) -> N:
        """Take out the node that goes next, and remember its key."""
        probation = self._probation
        if probation and self._main_weight <= self._most_main * self.weight:
            node = probation.popitem(last=False)[1]
            if node.hits - node.seen >= self._uses_to_prove:
                self._prove(node)
                node = self._pop_other()
        else:
            node = self._pop_other()
        self.weight -= node.weight
        evictions = self._evictions
        if evictions >= self._next_generation:
            self._begin_generation()
        self._remembered[node.key] = node.at
        self._evictions = evictions + 1
        if node.hits:
            self._leaves(node)
        return node

    def _leaves(self, node: N) -> None:
        """A node that had hits was popped."""

    def _begin_generation(self) -> None:
        """Forget what was remembered longest."""
        self._remembered_before, self._remembered = self._remembered, {}
        self._next_generation = self._evictions + min(len(self) + 1, _MOST_REMEMBERED)

    def _pop_other(self) -> N:
        """Where the first on probation is not the one that goes."""
        if not self.was_full:
            self.was_full = True
            self._split()
        return self._pop_demoting() if self.setting.demotes else self._pop_either()

    def _split(self) -> None:
        """The newest entries are on probation once there is no room left."""
        share = self.setting.probation * self.weight
        newest = []
        while self._main and self.weight - self._main_weight < share:
            node = self._main.popitem()[1]
            node.is_main = False
            self._main_weight -= node.weight
            newest.append(node)
        for node in reversed(newest):
            self._probation[node.key] = node

    def _pop_demoting(self) -> N:
        """From probation, into which main gives what it has no room for."""
        probation = self._probation
        most_main = self._most_main * self.weight
        looks = 0
        while True:
            if self._main_weight > most_main or not probation:
                self._demote(most_main)
            node = probation.popitem(last=False)[1]
            if node.hits - node.seen < self._uses_to_prove or looks > _ROUNDS * len(self):
                return node
            looks += 1
            self._prove(node)

    def _pop_either(self) -> N:
        """From the queue that is above its share."""
        probation, main = self._probation, self._main
        most_main = self._most_main * self.weight
        looks = 0
        while True:
            if probation and self._main_weight <= most_main:
                node = probation.popitem(last=False)[1]
                if node.hits - node.seen < self._uses_to_prove:
                    return node
                self._prove(node)
            else:
                node = main.popitem(last=False)[1]
                if node.hits <= node.seen or looks > _ROUNDS * len(self):
                    self._main_weight -= node.weight
                    return node
                self._spend(node)
            looks += 1

    def _prove(self, node: N) -> None:
        node.seen, node.at = node.hits, self._evictions
        node.is_main = True
        self._main_weight += node.weight
        self._main[node.key] = node

    def _spend(self, node: N) -> None:
        """A used entry of main goes another round, for one of its uses."""
        node.seen = node.hits - min(node.hits - node.seen, self.setting.most_uses) + 1
        node.at = self._evictions
        self._main[node.key] = node

    def _demote(self, most_main: float) -> None:
        """Unused entries of main go to probation, some at a time; one at least if that is empty."""
        main, probation = self._main, self._probation
        looks = 0
        while main and (looks < _DEMOTIONS or not probation):
            key, node = main.popitem(last=False)
            looks += 1
            if node.hits > node.seen and looks <= _ROUNDS * (len(main) + 1):
                self._spend(node)
                continue
            node.is_main = False
            self._main_weight -= node.weight
            probation[key] = node
            if self._main_weight <= most_main:
                return
