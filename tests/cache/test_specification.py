"""Invariants after every step, over policies, tiers, doors and sizes: a script and a random walk.

After Caffeine's specification tests. Whatever was called and wherever values lie:

- bytes accounted are bytes held, and no bound (of a category, of all together) is exceeded,
- what is read is the last value that was set, or nothing; never anything that has expired.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pytest

from cache_doors import FakeClock, until_live
from ohlcache.cache import CacheManager

POLICIES = ("hybrid", "lru", "lfu")
KB = 1 / 1024  # in MB
STEPS = 120


@dataclass(frozen=True)
class Sizes:
    """Values of so many bytes, and limits in MB: over all, and of two categories."""

    smallest: int
    largest: int
    overall: float
    default: float | None = None
    features: float | None = None
    entries: int | None = None


SIZES = {
    "small": Sizes(1, 100, overall=1),
    "large": Sizes(20_000, 200_000, overall=1, default=0.5),
    "tight": Sizes(1, 4_000, overall=40 * KB, default=30 * KB, features=20 * KB),
    "tiny": Sizes(1, 3_000, overall=2 * KB),
    "few": Sizes(1, 100, overall=1, entries=3),
}


class Doors:
    """Both doors; the async one in a loop of its own that runs while it is used."""

    def __init__(self, is_async: bool) -> None:
        self._runner = asyncio.Runner() if is_async else None

    def __call__(self, cache: CacheManager, method: str, *args, **kwargs):
        if self._runner is None:
            return getattr(cache, method)(*args, **kwargs)
        return self._runner.run(getattr(cache, f"a{method}")(*args, **kwargs))

    def loader(self, load):
        if self._runner is None:
            return load

        async def load_async(*args):
            return load(*args)

        return load_async

    def close(self, cache: CacheManager) -> None:
        self(cache, "close")
        if self._runner is not None:
            self._runner.close()


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def doors(request):
    return Doors(request.param)


@dataclass
class Checked:
    """A cache whose every call is followed by a look at what must hold."""

    cache: CacheManager
    doors: Doors
    sizes: Sizes
    clock: FakeClock | None
    model: dict[tuple[str, str], tuple[object, float]] = field(default_factory=dict)
    numbers: itertools.count = field(default_factory=lambda: itertools.count(1))

    def value(self, size: int):
        """A value unlike any other, in one of several forms."""
        number = next(self.numbers)
        if number % 4 == 0:
            return np.full(max(1, size // 8), number)
        if number % 4 == 1:
            return [number, "x" * size]
        return number.to_bytes(8) + b"x" * size

    def call(self, method, *args, **kwargs):
        result = self.doors(self.cache, method, *args, **kwargs)
        self.check()
        return result

    # -- steps that the model follows -----------------------------------------------------------

    def set_many(self, values, category, ttl):
        self.call("set_many", values, category, ttl)
        for key, value in values.items():
            self._set(key, category, value, ttl)

    def set(self, key, value, category, ttl):
        self.call("set", key, value, category, ttl)
        self._set(key, category, value, ttl)

    def _set(self, key, category, value, ttl):
        if ttl == 0:
            self.model.pop((category, key), None)
        else:
            self.model[category, key] = value, self.now() + ttl

    def delete(self, key, category):
        self.call("delete", key, category)
        self.model.pop((category, key), None)
        assert self.call("get", key, category, default="none") == "none"

    def clear(self, category):
        self.call("clear", category)
        for held in [held for held in self.model if category in (None, held[0])]:
            del self.model[held]

    def get(self, key, category):
        self.compare(key, category, self.call("get", key, category))

    def get_many(self, keys, category):
        for key, value in self.call("get_many", keys, category).items():
            self.compare(key, category, value)

    def load(self, key, value, category, ttl):
        loaded = []

        def load():
            loaded.append(1)
            return value

        found = self.call("get_or_load", key, self.doors.loader(load), category, ttl)
        if loaded:
            assert found is value or np.array_equal(found, value)
            self._set(key, category, value, ttl)
        else:
            self.compare(key, category, found)

    def compare(self, key, category, found):
        if found is None:
            return
        expected, until = self.model[category, key]
        assert type(found) is type(expected)
        assert np.array_equal(found, expected)
        assert until > self.now(), "expired"

    def shrink(self, nbytes):
        self.cache.shrink(nbytes)
        self.check()

    # -- time and invariants --------------------------------------------------------------------

    def now(self) -> float:
        return self.clock.monotonic() if self.clock else 0.0

    def pass_time(self, seconds):
        if self.clock is not None:  # Redis has a clock of its own
            self.clock.advance(seconds)

    def check(self):
        sizes, held = self.sizes, 0
        for name, limit in (("default", sizes.default), ("features", sizes.features)):
            tier = self.cache.shelf(name).tier
            with tier.lock:
                entries = list(tier.entries.values())
                assert tier.bytes == sum(entry.size for entry in entries)
            assert limit is None or tier.bytes <= limit * 2**20
            assert sizes.entries is None or len(entries) <= sizes.entries
            assert self.cache.stats()["categories"][name]["l1"]["bytes"] == tier.bytes
            held += tier.bytes
        assert held <= sizes.overall * 2**20


@pytest.fixture(params=list(SIZES))
def checked(request, make_cache, policy, tiers, doors):
    sizes = SIZES[request.param]
    clock = None if "redis" in tiers else FakeClock()
    fixed = {"max_entries": sizes.entries, "early_refresh": 0}
    cache = make_cache(
        tiers,
        clock=clock,
        l1={"max_size_mb": sizes.overall, "eviction_policy": policy},
        categories={
            "default": {"max_size_mb": sizes.default, **fixed},
            "features": {"max_size_mb": sizes.features, **fixed},
        },
    )
    until_live(cache)
    yield Checked(cache, doors, sizes, clock)
    doors.close(cache)


@pytest.fixture(params=POLICIES)
def policy(request):
    return request.param


def test_the_script(checked, tiers):
    """Each kind of step, in the order in which a program would."""
    smallest, largest = checked.sizes.smallest, checked.sizes.largest
    checked.set("a", checked.value(smallest), "default", 10)
    checked.get("a", "default")
    checked.get("a", "features")
    checked.set("a", checked.value(largest), "features", 20)
    checked.set_many({f"k{n}": checked.value(smallest) for n in range(8)}, "default", 10)
    checked.get_many([*(f"k{n}" for n in range(8)), "absent"], "default")
    for key in ("a", "k0", "absent"):
        checked.load(key, checked.value(smallest), "default", 5)
    checked.pass_time(9)
    checked.get("a", "default")
    checked.load("a", checked.value(largest), "default", 5)
    checked.pass_time(1.5)
    if checked.clock is not None:
        assert checked.call("get_many", [f"k{n}" for n in range(1, 8)]) == {}
    checked.get("a", "features")
    checked.delete("a", "features")
    checked.set("a", checked.value(largest), "default", 0)
    assert checked.call("get", "a") is None
    checked.set("b", checked.value(smallest), "features", 10)
    checked.clear("features")
    assert checked.call("get", "b", "features") is None
    checked.clear(None)
    assert checked.call("get_many", ["a", "absent", *(f"k{n}" for n in range(8))]) == {}


def test_a_random_walk(checked):
    """Steps in any order; values in memory only may be gone at any time, others may not be old."""
    dice = random.Random(1)
    keys = [f"key {number}" for number in range(12)]

    def value():
        return checked.value(dice.randint(checked.sizes.smallest, checked.sizes.largest))

    for _ in range(STEPS):
        key, category = dice.choice(keys), dice.choice(["default", "features"])
        ttl = dice.choice([0, 1, 10, 100, 100])
        some = dice.sample(keys, 4)
        steps = {
            partial(checked.set, key, value(), category, ttl): 20,
            partial(checked.set_many, {one: value() for one in some}, category, ttl): 10,
            partial(checked.get, key, category): 40,
            partial(checked.get_many, some, category): 15,
            partial(checked.load, key, value(), category, ttl): 15,
            partial(checked.delete, key, category): 8,
            partial(checked.clear, dice.choice([category, None])): 2,
            partial(checked.pass_time, dice.choice([0.5, 5, 50])): 8,
            partial(checked.shrink, 2**20): 2,
        }
        dice.choices(list(steps), steps.values())[0]()


def test_reading_what_was_compressed_keeps_the_overall_bound(make_cache):
    limits = {name: {"max_size_mb": None} for name in ("default", "features")}
    memory = {"max_size_mb": 1, "eviction_policy": "lru"}
    cache = make_cache("memory", l1=memory, categories=limits)
    for number in range(30):
        for category in limits:
            cache.set(f"k{number}", b"x" * 100_000, category)
            cache.get(f"k{number}", category)
    assert cache.stats()["l1"]["compressed_entries"] >= 5
    for number in range(30):
        for category in limits:
            cache.get(f"k{number}", category)
            assert cache.stats()["l1"]["bytes"] <= 2**20
