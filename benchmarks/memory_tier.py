"""What does a hit, a miss and a set cost in the memory tier, beside a dict and other caches?

Each with a TTL of ten minutes unless the line says otherwise. Sets are of new keys with the cache
full, so that each evicts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count

from benchmarks.common import (
    Figure,
    Options,
    Run,
    at_most,
    best_by_turns,
    figure,
    ratio_at_most,
    seconds,
)
from ohlcache.cache.memory import MemoryTier

TITLE = "Memory tier"

_ENTRIES = 10_000
_TTL = 600
_OURS = "ohlcache"


def _as_ns(value: float) -> str:
    return f"{value * 1e9:,.0f} ns"


_HIT_TARGETS = {
    "dict": ratio_at_most(5),
    "cachetools": ratio_at_most(1),
    "theine": ratio_at_most(1),
}
_MISS_TARGET = at_most(1.5e-6, _as_ns)

Get = Callable[[object], object]
Set = Callable[[object, object], object]


def measure(options: Options) -> Iterator[Figure]:
    caches = dict(_caches())
    held = [f"key {number}" for number in range(_ENTRIES)]
    other = [f"other {number}" for number in range(_ENTRIES)]
    for _, set_ in caches.values():
        for key in held:
            set_(key, key)
    turns = options.turns(40)
    # Writing comes last: it evicts what is read.
    hits = best_by_turns({name: _reading(get, held) for name, (get, _) in caches.items()}, turns)
    misses = best_by_turns({name: _reading(get, other) for name, (get, _) in caches.items()}, turns)
    sets = best_by_turns({name: _writing(set_) for name, (_, set_) in caches.items()}, turns)
    peers = [name for name in caches if name != _OURS]
    for name in peers:
        yield figure("hit", hits[_OURS], _as_ns, (name, hits[name]), _HIT_TARGETS.get(name))
    for name in peers:
        yield figure("miss", misses[_OURS], _as_ns, (name, misses[name]), _MISS_TARGET)
    for name in peers:
        yield figure("set, evicting", sets[_OURS], _as_ns, (name, sets[name]), _MISS_TARGET)
    unending = MemoryTier(max_entries=_ENTRIES)
    for key in (*held, *other):
        unending.set(key, key)
    took = best_by_turns({_OURS: _writing(unending.set)}, turns)[_OURS]
    yield figure("set, evicting, no TTL", took, _as_ns, ("dict", sets["dict"]), _MISS_TARGET)
    for policy in ("lru", "lfu"):
        tier = MemoryTier(max_entries=_ENTRIES, policy=policy)
        for key in held:
            tier.set(key, key, _TTL)
        took = best_by_turns({policy: _reading(tier.get, held)}, turns)[policy]
        yield figure(f"hit, {policy}", took, _as_ns, ("dict", hits["dict"]))


def _reading(get: Get, keys: list[str]) -> Run:
    def read() -> None:
        for key in keys:
            get(key)

    return lambda: seconds(read) / len(keys)


def _writing(set_: Set) -> Run:
    keys: list[str] = []
    numbers = count()

    def write() -> None:
        for key in keys:
            set_(key, key)

    def run() -> float:
        keys[:] = [f"new {next(numbers)}" for _ in range(_ENTRIES)]
        return seconds(write) / _ENTRIES

    return run


def _caches() -> Iterator[tuple[str, tuple[Get, Set]]]:
    """How each cache gets and sets; those that are installed."""
    tier = MemoryTier(max_entries=_ENTRIES)
    yield _OURS, (tier.get, lambda key, value: tier.set(key, value, _TTL))
    bare: dict = {}
    yield "dict", (bare.get, bare.__setitem__)
    try:
        import cachetools
    except ImportError:
        pass
    else:
        cachetools_cache = cachetools.TTLCache(_ENTRIES, _TTL)
        yield "cachetools", (cachetools_cache.get, cachetools_cache.__setitem__)
    try:
        from theine import Cache
    except ImportError:
        pass
    else:
        theine_cache = Cache(_ENTRIES)
        ttl = timedelta(seconds=_TTL)
        yield (
            "theine",
            (
                theine_cache.get,
                lambda key, value: theine_cache.set(key, value, ttl),
            ),
        )
    try:
        import cachebox
    except ImportError:
        pass
    else:
        cachebox_cache = cachebox.TTLCache(_ENTRIES, _TTL)
        yield "cachebox", (cachebox_cache.get, cachebox_cache.__setitem__)
