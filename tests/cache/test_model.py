"""Two caches of one namespace against a dict, whatever the order of what is done to them.

After each rule a reader that waits for coherence finds what the dict has, in either cache. After an
invalidation the test waits until both know of it: what a cache stores before is invalid as well.
"""

from __future__ import annotations

import uuid

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from cache_doors import FakeClock, until_live, wait_until
from ohlcache.cache import CacheManager
from ohlcache.errors import NotFound

KEYS = ["a", "b", ("c", 1), 4]
CATEGORIES = ["default", "features"]
TAGS = ["t", "u"]
LONG = 1000.0

keys = st.sampled_from(KEYS)
categories = st.sampled_from(CATEGORIES)
tags = st.sets(st.sampled_from(TAGS))
who = st.integers(0, 1)
values = st.one_of(st.integers(), st.text(max_size=5), st.lists(st.integers(), max_size=3))


class TwoCaches(RuleBasedStateMachine):
    """``tree``: the settings of both. ``has_clock``: whether time passes when it is told to."""

    tree: dict
    has_clock: bool

    @initialize()
    def open(self):
        self.clock = FakeClock()
        plain = {name: {"early_refresh": 0, "negative_ttl_seconds": 0} for name in CATEGORIES}
        tree = {**self.tree, "namespace": uuid.uuid4().hex, "categories": plain}
        clock = self.clock if self.has_clock else None
        self.caches = [CacheManager({"cache": tree}, clock=clock) for _ in range(2)]
        until_live(*self.caches)
        # (category, key) -> value, moment at which it ends, tags
        self.model: dict[tuple, tuple] = {}

    def holding(self, category):
        now = self.clock.monotonic()
        held = self.model.items()
        return {key: one[0] for (of, key), one in held if of == category and one[1] > now}

    def note(self, category, key, value, ttl, tags):
        self.model.pop((category, key), None)
        if ttl:
            self.model[category, key] = value, self.clock.monotonic() + ttl, tags

    def agree(self):
        expected = {category: self.holding(category) for category in CATEGORIES}
        for cache in self.caches:
            wait_until(lambda cache=cache: self.found(cache) == expected, 5)

    @staticmethod
    def found(cache):
        return {category: cache.get_many(KEYS, category) for category in CATEGORIES}

    def heard(self, cache):
        """How many new versions the cache was told of."""
        stats = cache.stats()
        return stats.get("l2", stats.get("l3"))["events"].get("versions", 0)

    def bump(self, who, method, *args):
        other = self.caches[1 - who]
        before = self.heard(other)
        getattr(self.caches[who], method)(*args)
        wait_until(lambda: self.heard(other) > before)

    # -- what is done ---------------------------------------------------------------------------

    @rule(who=who, category=categories, key=keys, value=values, tags=tags)
    def set(self, who, category, key, value, tags):
        self.caches[who].set(key, value, category, LONG, tags=tags)
        self.note(category, key, value, LONG, tags)
        assert self.caches[who].get(key, category) == value
        self.agree()

    @rule(who=who, category=categories, many=st.dictionaries(keys, values), tags=tags)
    def set_many(self, who, category, many, tags):
        self.caches[who].set_many(many, category, LONG, tags=tags)
        for key, value in many.items():
            self.note(category, key, value, LONG, tags)
        self.agree()

    @precondition(lambda self: self.has_clock)
    @rule(who=who, key=keys, ttl=st.sampled_from([0, 1, 5]), seconds=st.integers(0, 6))
    def set_and_wait(self, who, key, ttl, seconds):
        value = f"for {ttl} seconds"
        self.caches[who].set(key, value, "default", ttl)
        self.note("default", key, value, ttl, set())
        self.agree()
        self.clock.advance(seconds)
        self.agree()

    @rule(who=who, category=categories, key=keys)
    def delete(self, who, category, key):
        self.caches[who].delete(key, category)
        self.model.pop((category, key), None)
        assert self.caches[who].get(key, category) is None
        self.agree()

    @rule(who=who, category=categories, some=st.sets(keys))
    def delete_many(self, who, category, some):
        self.caches[who].delete_many(some, category)
        for key in some:
            self.model.pop((category, key), None)
        self.agree()

    @rule(who=who, tag=st.sampled_from(TAGS))
    def invalidate(self, who, tag):
        self.bump(who, "invalidate_tag", tag)
        for held in [held for held, one in self.model.items() if tag in one[2]]:
            del self.model[held]
        self.agree()

    @rule(who=who, category=st.sampled_from([*CATEGORIES, None]))
    def clear(self, who, category):
        self.bump(who, "clear", category)
        for held in [held for held in self.model if category in (None, held[0])]:
            del self.model[held]
        self.agree()

    @rule(who=who, category=categories, key=keys, value=values, tags=tags)
    def get_or_load(self, who, category, key, value, tags):
        expected = self.holding(category).get(key, value)
        cache = self.caches[who]
        assert cache.get_or_load(key, lambda: value, category, LONG, tags=tags) == expected
        if key not in self.holding(category):
            self.note(category, key, value, LONG, tags)
        self.agree()

    @rule(who=who, category=categories, wanted=st.sets(keys), there=st.dictionaries(keys, values))
    def get_or_load_many(self, who, category, wanted, there):
        held = self.holding(category)
        asked: list = []

        def load(missing):
            asked.extend(missing)
            return {key: there[key] for key in missing if key in there}

        found = self.caches[who].get_or_load_many(wanted, load, category, LONG)
        assert found == {key: one for key, one in {**there, **held}.items() if key in wanted}
        assert sorted(map(str, asked)) == sorted(map(str, wanted - held.keys()))
        for key in asked:
            if key in there:
                self.note(category, key, there[key], LONG, set())
        self.agree()

    @rule(who=who, category=categories, key=keys)
    def load_nothing(self, who, category, key):
        def find():
            raise NotFound("no such symbol")

        held = self.holding(category)
        if key in held:
            assert self.caches[who].get_or_load(key, find, category) == held[key]
        else:
            with pytest.raises(NotFound):
                self.caches[who].get_or_load(key, find, category)
        self.agree()

    @rule(who=who, category=categories, key=keys, value=values)
    def refresh(self, who, category, key, value):
        assert self.caches[who].refresh(key, lambda: value, category, LONG) == value
        self.note(category, key, value, LONG, set())
        self.agree()

    @rule(who=who, category=categories, some=st.sets(keys))
    def forget(self, who, category, some):
        self.caches[who].forget(some, category)
        self.agree()

    def teardown(self):
        for cache in getattr(self, "caches", ()):
            cache.close()


def run(tree, examples, *, has_clock):
    machine = type("Here", (TwoCaches,), {"tree": tree, "has_clock": has_clock})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=20,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_with_sqlite(tmp_path):
    run({"l3": {"url": f"sqlite:///{tmp_path}/cache.db"}}, 20, has_clock=True)


def test_with_redis(redis_url):
    run({"l2": {"redis_url": redis_url, "timeout_seconds": 5}}, 15, has_clock=False)


def test_with_redis_over_sqlite(redis_url, tmp_path):
    tree = {
        "l2": {"redis_url": redis_url, "timeout_seconds": 5},
        "l3": {"url": f"sqlite:///{tmp_path}/cache.db"},
    }
    run(tree, 8, has_clock=False)
