"""The memory tier against a model, with steps in any order, and threads that write at once."""

from __future__ import annotations

import random
import sys
import threading
from contextlib import contextmanager

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from memory_invariants import POLICIES, FakeClock, check

from ohlcache.cache.memory import MemoryTier
from ohlcache.cache.memory.sizing import size_of
from ohlcache.cache.memory.tier import ENTRY_OVERHEAD

KEYS = st.integers(0, 12)


class Model(RuleBasedStateMachine):
    """Whatever the tier gives is the newest value; what it must still hold, it holds."""

    @initialize(
        policy=st.sampled_from(POLICIES),
        max_entries=st.none() | st.integers(1, 8),
        max_bytes=st.none() | st.integers(600, 60_000),
    )
    def begin(self, policy, max_entries, max_bytes):
        self.limits = {"max_entries": max_entries, "max_bytes": max_bytes}
        self.clock = FakeClock()
        self.tier = MemoryTier(policy=policy, clock=self.clock, **self.limits)
        self.newest = {}  # key: value, expires
        self.gets = 0

    @rule(key=KEYS, size=st.sampled_from((1, 100, 20_000)), ttl=st.none() | st.integers(0, 3))
    def set(self, key, size, ttl):
        value = f"{len(self.newest)}{key}" * size
        self.tier.set(key, value, ttl)
        needed = ENTRY_OVERHEAD + size_of(key) + size_of(value)
        fits = self.limits["max_bytes"] is None or needed <= self.limits["max_bytes"]
        assert (key in self.tier) == (fits and ttl != 0)
        expires = float("inf") if ttl is None else self.clock.now + ttl
        self.newest[key] = (value, expires)

    @rule(key=KEYS)
    def get(self, key):
        found = self.tier.get(key)
        self.gets += 1
        if found is not None:
            value, expires = self.newest[key]
            assert found == value
            assert expires > self.clock.now
        assert (found is not None) == (key in self.tier)

    @rule(key=KEYS)
    def delete(self, key):
        was_held = key in set(self.tier.keys())
        assert self.tier.delete(key) == was_held
        self.newest.pop(key, None)
        assert self.tier.get(key) is None
        self.gets += 1

    @rule(seconds=st.integers(1, 3))
    def pass_time(self, seconds):
        self.clock.now += seconds

    @rule(nbytes=st.integers(0, 30_000))
    def shrink(self, nbytes):
        before = self.tier.bytes
        freed = self.tier.shrink(nbytes)
        assert freed >= min(nbytes, before)

    @rule(max_entries=st.none() | st.integers(1, 8), max_bytes=st.none() | st.integers(600, 60_000))
    def resize(self, max_entries, max_bytes):
        self.limits = {"max_entries": max_entries, "max_bytes": max_bytes}
        self.tier.resize(**self.limits)

    @rule()
    def clear(self):
        self.tier.clear()
        self.newest.clear()

    @invariant()
    def holds_what_it_says(self):
        if not hasattr(self, "tier"):
            return
        check(self.tier, **self.limits)
        keys = self.tier.keys()
        assert all(self.newest[key][1] > self.clock.now for key in keys)
        figures = self.tier.stats()
        assert figures["hits"] + figures["misses"] == self.gets
        assert figures["entries"] == len(keys)


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=60, stateful_step_count=40)


@contextmanager
def frequent_switches():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("limits", [{"max_entries": 50}, {"max_bytes": 60_000}], ids=str)
def test_threads_in_any_order_leave_the_books_right(policy, limits):
    tier = MemoryTier(policy=policy, **limits)
    failures = []

    def work(seed):
        draw = random.Random(seed)
        try:
            for _ in range(3000):
                key = int(draw.paretovariate(0.5)) % 300
                if draw.random() < 0.02:
                    tier.delete(key)
                elif draw.random() < 0.01:
                    tier.shrink(2000)
                else:
                    value = tier.get(key)
                    assert value is None or value.startswith(f"{key}:")
                    if value is None:
                        tier.set(key, f"{key}:" + "x" * draw.randrange(500), draw.choice((9, None)))
        except BaseException as error:  # noqa: BLE001  # of any kind: the test must hear of it
            failures.append(error)

    with frequent_switches():
        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []
    check(tier, **limits)


@pytest.mark.parametrize("policy", POLICIES)
def test_hits_that_never_stop_do_not_stop_an_eviction(policy):
    """A reader that hits every entry all the time must not keep a writer looking for a victim."""
    tier = MemoryTier(max_entries=8, policy=policy)
    for key in range(8):
        tier.set(key, "value")
    stop = threading.Event()

    def read():
        while not stop.is_set():
            for entry in list(tier.entries.values()):
                entry.hits += 1

    with frequent_switches():
        reader = threading.Thread(target=read)
        reader.start()
        try:
            for key in range(8, 200):
                tier.set(key, "value")
        finally:
            stop.set()
            reader.join()
    check(tier, max_entries=8)
