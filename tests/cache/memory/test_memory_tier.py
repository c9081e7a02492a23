"""A specification of the memory tier, run over policies and kinds of limits."""

from __future__ import annotations

import math
import random

import pytest
from memory_invariants import POLICIES, FakeClock, check

from ohlcache.cache.memory import MemoryTier
from ohlcache.errors import InvalidArgument

LIMITS = {
    "entries": {"max_entries": 20},
    "bytes": {"max_bytes": 20_000},
    "both": {"max_entries": 25, "max_bytes": 20_000},
    "one entry": {"max_entries": 1},
}


@pytest.fixture(params=POLICIES)
def policy(request):
    return request.param


@pytest.fixture(params=LIMITS.values(), ids=LIMITS)
def limits(request):
    return request.param


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def tier(policy, limits, clock):
    return MemoryTier(policy=policy, clock=clock, **limits)


def test_a_value_set_is_got_at_once_whatever_was_there_before(tier, limits):
    for number in range(200):
        tier.set(number, f"value {number}" * (number % 7))
        assert tier.get(number) == f"value {number}" * (number % 7)
        check(tier, **limits)


def test_random_use_keeps_bounds_and_books(tier, limits, clock):
    draw = random.Random(7)
    newest = {}
    for _ in range(3000):
        key = draw.randrange(60)
        action = draw.random()
        if action < 0.5:
            value = tier.get(key)
            assert value is None or (value == newest[key][0] and newest[key][1] > clock.now)
        elif action < 0.9:
            newest[key] = (draw.randbytes(draw.randrange(2000)), clock.now + draw.choice((1, 5)))
            tier.set(key, newest[key][0], ttl=newest[key][1] - clock.now)
        elif action < 0.95:
            tier.delete(key)
            assert key not in tier
        else:
            clock.now += draw.random()
        check(tier, **limits)


def test_figures_add_up(tier, clock):
    for number in range(100):
        tier.set(number % 50, "value", ttl=30)
        tier.get(number % 50)
        tier.get(number - 40)
        clock.now += 1
    figures = tier.stats()
    assert figures["hits"] + figures["misses"] == 200
    assert figures["sets"] == 100
    assert figures["entries"] == len(tier) == len(tier.keys())
    assert figures["bytes"] == tier.bytes


def test_what_leaves_is_counted_by_its_cause(policy, clock):
    tier = MemoryTier(max_entries=10, policy=policy, clock=clock)
    for number in range(12):
        tier.set(number, "value", ttl=10 if number < 11 else None)
    clock.now += 10
    assert len(tier) == 1
    assert tier.shrink(1) > 0
    assert tier.stats()["evictions"] == {"policy": 2, "expired": 9, "shrink": 1, "pressure": 0}
    assert tier.bytes == 0


def test_expired_is_neither_got_nor_counted_nor_listed(tier, clock):
    tier.set("key", "value", ttl=10)
    clock.now += 9.99
    assert tier.get("key") == "value"
    assert "key" in tier
    clock.now += 0.01
    assert tier.get("key", "none") == "none"
    assert "key" not in tier
    assert tier.delete("key") is False
    tier.set("key", "value", ttl=10)
    clock.now += 10
    assert len(tier) == 0
    assert tier.keys() == []


def test_an_expired_entry_leaves_before_any_live_one(policy, clock):
    tier = MemoryTier(max_entries=10, policy=policy, clock=clock)
    for number in range(10):
        tier.set(number, "value", ttl=5 if number == 7 else 100)
        tier.get(7)
        tier.get(7)
    clock.now += 5
    tier.set("new", "value")
    assert set(tier.keys()) == {*range(10), "new"} - {7}
    assert tier.stats()["evictions"]["policy"] == 0


def test_no_live_entry_goes_while_an_expired_one_is_held(policy, clock):
    tier = MemoryTier(max_entries=200, policy=policy, clock=clock)
    draw = random.Random(11)
    kinds = set()
    for key in range(4000):
        clock.now += draw.random() / 20
        before = dict(tier.entries)
        expired = {held for held, entry in before.items() if entry.expires <= clock.now}
        tier.set(key, "value", draw.choice((0.5, 5, 500, None)))
        gone = before.keys() - tier.entries.keys()
        assert gone <= expired if expired else len(gone) <= 1
        kinds.add((bool(expired), bool(gone)))
    assert {(True, True), (False, True)} <= kinds


def test_a_ttl_of_zero_is_not_kept_and_takes_the_older_value_along(tier):
    tier.set("key", "old")
    tier.set("key", "new", ttl=0)
    assert tier.get("key") is None
    assert tier.bytes == 0


@pytest.mark.parametrize("ttl", [-1, -0.001, math.nan, "soon"])
def test_a_ttl_that_cannot_be_is_refused_and_changes_nothing(tier, ttl):
    tier.set("key", "old")
    with pytest.raises(InvalidArgument, match="ttl is .*: give seconds"):
        tier.set("key", "new", ttl=ttl)
    assert tier.get("key") == "old"


def test_too_large_is_not_kept_and_takes_the_older_value_along(policy):
    tier = MemoryTier(max_bytes=5000, policy=policy)
    tier.set("other", "value")
    tier.set("key", "old")
    assert tier.put("key", b"x" * 5000) is None
    assert tier.keys() == ["other"]
    assert tier.stats()["too_large"] == 1
    check(tier, max_bytes=5000)


def test_clear_and_begin_anew(tier, limits):
    for number in range(50):
        tier.set(number, "value")
        tier.get(number)
    entries = tier.entries
    tier.clear()
    assert (len(tier), tier.bytes, tier.stats()["hits"]) == (0, 0, 50)
    for number in range(50):
        tier.set(number, "value")
        check(tier, **limits)
    assert tier.entries is entries


def test_a_replaced_value_frees_what_the_older_one_took(policy):
    tier = MemoryTier(max_bytes=20_000, policy=policy)
    for size in (10_000, 15_000, 10, 12_000):
        tier.set("key", b"x" * size)
        check(tier, max_bytes=20_000)
    assert len(tier) == 1


def test_resize_takes_effect_at_once_and_may_change_the_kind_of_limit(policy):
    tier = MemoryTier(policy=policy)
    for number in range(100):
        tier.set(number, b"x" * 1000)
    for limits in (
        {"max_entries": 50, "max_bytes": None},
        {"max_entries": None, "max_bytes": 30_000},
        {"max_entries": 5, "max_bytes": 30_000},
        {"max_entries": 7, "max_bytes": None},
    ):
        tier.resize(**limits)
        check(tier, **limits)
        for number in range(1000, 1020):
            tier.set(number, b"x" * 1000)
            check(tier, **limits)
    assert len(tier) == 7


@pytest.mark.parametrize("limit", [0, -1, 2.5, "many"])
@pytest.mark.parametrize("field", ["max_entries", "max_bytes"])
def test_limits_that_cannot_be_are_refused(field, limit):
    with pytest.raises(InvalidArgument, match=f"{field} is .*: give an integer above 0"):
        MemoryTier(**{field: limit})


def test_an_unknown_policy_is_refused():
    with pytest.raises(InvalidArgument, match="policy is 'fifo': use one of hybrid, lru, lfu"):
        MemoryTier(policy="fifo")


def test_shrink_frees_at_least_what_was_asked(tier, limits):
    for number in range(20):
        tier.set(number, b"x" * 300)
    before = tier.bytes
    freed = tier.shrink(before // 3)
    assert freed >= before // 3
    assert tier.bytes == before - freed
    check(tier, **limits)
    assert tier.shrink(10**9) == before - freed
    assert len(tier) == 0


def test_put_gives_what_the_layer_above_reads(clock):
    tier = MemoryTier(max_entries=10, clock=clock)
    entry = tier.put("key", "value", fresh_until=1005.0, expires=1010.0, note="note", epoch="epoch")
    assert tier.entries["key"] is entry
    assert (entry.fresh_until, entry.expires, entry.note, entry.epoch) == (
        1005.0,
        1010.0,
        "note",
        "epoch",
    )
    assert tier.put("key", "value", expires=1000.0) is None
    assert tier.discard("key") is False


def test_a_known_size_is_taken(policy):
    tier = MemoryTier(max_bytes=10_000, policy=policy)
    tier.put("key", "value", size=7000)
    assert 7000 < tier.bytes < 8000


def test_keys_of_any_kind(tier):
    for key in (1, "1", (1, "1"), None, frozenset((1,)), b"1"):
        tier.set(key, ("of", key))
        assert tier.get(key) == ("of", key)
    with pytest.raises(TypeError, match="unhashable"):
        tier.get([])


def test_lru_is_exact_even_when_the_clock_stands_still(clock):
    tier = MemoryTier(max_entries=4, policy="lru", clock=clock)
    draw = random.Random(3)
    recent: list[int] = []
    for _ in range(2000):
        key = draw.randrange(8)
        if tier.get(key) is None:
            tier.set(key, "value")
        recent = [key, *(other for other in recent if other != key)][:4]
        assert set(tier.keys()) == set(recent)


def test_lfu_is_exact():
    tier = MemoryTier(max_entries=5, policy="lfu")
    draw = random.Random(3)
    uses: dict[int, int] = {}
    for _ in range(3000):
        key = min(draw.randrange(12), draw.randrange(12))
        if tier.get(key) is None:
            if len(uses) == 5:
                fewest = min(uses.values())
                tier.set(key, "value")
                (gone,) = set(uses) - set(tier.keys())
                assert uses.pop(gone) == fewest
            else:
                tier.set(key, "value")
            uses[key] = 0
        else:
            uses[key] += 1
        assert set(tier.keys()) == set(uses)
