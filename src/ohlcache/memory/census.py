"""How many objects of each type there are and what they take: counted, or estimated from a sample.

Only objects that the garbage collector tracks can be found directly (``gc.get_objects``): those
that may hold others. Numbers, texts, bytes and numpy arrays, where the memory mostly is, are found
through the objects that hold them. What only local variables hold is not found.

**Cost.** About 0.2 s, and 0.5 s more for each million of tracked objects: for a full collection
and the list of them, during which no other thread runs, and a glance at each. Of more than
``SAMPLE`` objects so many are drawn at random, and the rest is estimated from these, with a
standard error. Long lists and dicts are never left to chance: a list of a thousand arrays is a
single object, which a sample would miss. So a census is for suspicion, not for routine.
"""

from __future__ import annotations

import gc
import random
import sys
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from math import sqrt
from types import FunctionType, ModuleType
from typing import Any

SAMPLE = 100_000
_AT_ONCE = 2_000  # objects whose referents are listed in one go, without other threads
_LONG = 256  # items of a list or dict that is looked into in any case
_DEPTH = 2  # untracked tuples and dicts within each other that are looked into
_random = random.Random()  # of our own: a program's random numbers must not depend on us


@dataclass(frozen=True, slots=True)
class Tally:
    """Objects of a type, and their own bytes without those that they refer to.

    The errors are the standard deviations of both; 0.0 where all objects were counted.
    """

    count: float = 0.0
    bytes: float = 0.0
    count_error: float = 0.0
    bytes_error: float = 0.0


@dataclass(frozen=True, slots=True)
class Census:
    """Tallies by the qualified name of the type."""

    tallies: dict[str, Tally]

    def of(self, name: str) -> Tally:
        """Those of a type; of one that is not there, nothing."""
        return self.tallies.get(name, _NONE)

    def with_itself(self) -> Census:
        """Together with the names and tallies that it consists of, as the next will find them."""
        return self.with_these([*self.tallies, *self.tallies.values()])

    def with_these(self, objects: Iterable[Any]) -> Census:
        """Together with some objects, each once."""
        tallies = dict(self.tallies)
        for each in {id(one): one for one in objects}.values():
            name = type_name(type(each))
            was = tallies.get(name, _NONE)
            tallies[name] = replace(was, count=was.count + 1, bytes=was.bytes + sys.getsizeof(each))
        return Census(tallies)


_NONE = Tally()


class _Sum:
    """Objects of a type; one that was drawn counts for as many as it was drawn from."""

    __slots__ = ("bytes", "bytes_variance", "count", "count_variance", "size")

    def __init__(self, kind: type) -> None:
        self.size = _sizer(kind)
        self.count = self.bytes = 0.0
        self.count_variance = self.bytes_variance = 0.0

    def add(self, found: Any, weight: float) -> None:
        try:
            size = weight * self.size(found)
        except Exception:  # noqa: BLE001  # of any type there is; it counts without its bytes
            size = 0.0
        self.count += weight
        self.bytes += size
        if weight > 1:
            self.count_variance += weight * weight
            self.bytes_variance += size * size


class _Counting:
    def __init__(self) -> None:
        self.sums: dict[type, _Sum] = {}
        self.seen: set[int] = set()  # of untracked objects, which several may hold

    def add(self, found: Any, weight: float) -> None:
        kind = type(found)
        total = self.sums.get(kind)
        if total is None:
            total = self.sums[kind] = _Sum(kind)
        total.add(found, weight)

    def add_untracked(self, held: Iterable[Any], weight: float, depth: int = _DEPTH) -> None:
        """Count those of them that are not tracked, with what untracked containers hold."""
        inner = []
        for each in held:
            kind = type(each)
            if kind in _SMALL or gc.is_tracked(each) or id(each) in self.seen:
                continue
            self.seen.add(id(each))
            if kind in _CONTAINERS:
                inner.append(each)
            owner = _owner(each)
            if owner is not each:
                if id(owner) in self.seen or gc.is_tracked(owner):
                    continue
                self.seen.add(id(owner))
            self.add(owner, weight)
        if inner and depth:
            self.add_untracked(gc.get_referents(*inner), weight, depth - 1)


_SMALL = frozenset({int, float, bool, complex, type(None), type})
_CONTAINERS = frozenset({tuple, dict})


def take_census() -> Census:
    """Count what is alive, after a full collection: garbage in cycles is nobody's growth."""
    gc.collect()
    tracked = gc.get_objects()
    weight = 1.0
    counting = _Counting()
    if len(tracked) > SAMPLE:
        long, others = _parted(tracked)
        weight = len(others) / SAMPLE
        # With replacement. A fixed stride would see only some of objects that are made in turns.
        tracked = _random.choices(others, k=SAMPLE)
        for each in long:
            counting.seen.add(id(each))
            counting.add(each, 1.0)
            counting.add_untracked(*_drawn(each.values() if type(each) is dict else each))
    for start in range(0, len(tracked), _AT_ONCE):
        some = tracked[start : start + _AT_ONCE]
        for each in some:
            counting.add(each, weight)
        counting.add_untracked(gc.get_referents(*some), weight)
    return Census(_named(counting))


def _parted(tracked: list[Any]) -> tuple[list[Any], list[Any]]:
    """Long containers, and all else. A dict of arrays is not tracked, but somebody holds it."""
    long: dict[int, Any] = {}
    others: list[Any] = []
    for start in range(0, len(tracked), _AT_ONCE):
        some = tracked[start : start + _AT_ONCE]
        for each in some:
            if type(each) in _LISTS and len(each) >= _LONG:
                long[id(each)] = each
            else:
                others.append(each)
        for each in gc.get_referents(*some):
            if type(each) in _CONTAINERS and len(each) >= _LONG and not gc.is_tracked(each):
                long[id(each)] = each
    return list(long.values()), others


_LISTS = frozenset({list, dict, set, deque})


def _drawn(items: Iterable[Any]) -> tuple[list[Any], float]:
    """So many of the items, and how many each stands for."""
    population = list(items)
    if len(population) <= _AT_ONCE:
        return population, 1.0
    return _random.choices(population, k=_AT_ONCE), len(population) / _AT_ONCE


def _named(counting: _Counting) -> dict[str, Tally]:
    """Types of the same name together: a class made anew at each call counts as one."""
    by_name: dict[str, list[_Sum]] = {}
    for kind, total in counting.sums.items():
        by_name.setdefault(type_name(kind), []).append(total)
    return {
        name: Tally(
            count=sum(each.count for each in group),
            bytes=sum(each.bytes for each in group),
            count_error=sqrt(sum(each.count_variance for each in group)),
            bytes_error=sqrt(sum(each.bytes_variance for each in group)),
        )
        for name, group in by_name.items()
    }


def type_name(kind: type) -> str:
    """``dict``, ``pandas.core.frame.DataFrame``."""
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


# -- sizes ----------------------------------------------------------------------------------------


def _sizer(kind: type) -> Callable[[Any], int]:
    """How an object's own bytes are asked for, without running Python code of its class.

    A DataFrame's ``__sizeof__`` would look at each of its values.
    """
    if isinstance(getattr(kind, "__sizeof__", None), FunctionType):
        return object.__sizeof__
    return sys.getsizeof


def _owner(found: Any) -> Any:
    """What owns the memory that a numpy view shows; all else is its own owner."""
    numpy: ModuleType | None = sys.modules.get("numpy")
    if numpy is None:
        return found
    while isinstance(found, numpy.ndarray) and found.base is not None:
        found = found.base
    return found
