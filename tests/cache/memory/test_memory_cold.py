"""Large values that had hits are compressed before they go."""

from __future__ import annotations

import random

import numpy as np
import pandas as pd
import pytest
from memory_invariants import POLICIES, FakeClock, check

from ohlcache.cache.memory import MemoryTier

SMOOTH = np.linspace(0, 1, 8000).round(3)  # compresses well


def frame(seed: int) -> pd.DataFrame:
    return pd.DataFrame({"close": SMOOTH + seed, "volume": np.arange(8000.0)})


@pytest.fixture(params=POLICIES)
def policy(request):
    return request.param


def filled(policy, *, hits=1, count=3, **limits):
    tier = MemoryTier(policy=policy, clock=FakeClock(), **limits)
    for seed in range(count):
        tier.set(seed, frame(seed), ttl=60)
        for _ in range(hits):
            tier.get(seed)
    return tier


def test_under_pressure_what_was_useful_is_compressed_and_still_there(policy):
    tier = filled(policy, max_bytes=500_000)
    tier.set("large", bytes(120_000))
    figures = tier.stats()
    assert figures["compressed_entries"] > 0
    assert figures["compressions"] == figures["compressed_entries"]
    assert figures["compressed_bytes_saved"] > 0.25 * 128_000 * figures["compressed_entries"]
    assert figures["evictions"]["policy"] == 0
    check(tier, max_bytes=500_000)
    for seed in range(3):
        pd.testing.assert_frame_equal(tier.get(seed), frame(seed))
        check(tier, max_bytes=500_000)


def test_a_hit_brings_it_back_if_there_is_room_and_gives_it_if_not(policy):
    tier = filled(policy, count=1)
    tier.shrink(1000)
    assert tier.stats()["compressed_entries"] == 1
    tier.resize(None, tier.bytes + 100)
    pd.testing.assert_frame_equal(tier.get(0), frame(0))
    assert tier.stats()["compressed_entries"] == 1
    tier.resize(None, 10**6)
    pd.testing.assert_frame_equal(tier.get(0), frame(0))
    assert tier.stats()["compressed_entries"] == 0
    assert tier.stats()["decompressions"] == 2
    pd.testing.assert_frame_equal(tier.get(0), frame(0))
    check(tier)


def test_what_was_handed_out_of_a_compressed_entry_cannot_change_it(policy):
    tier = filled(policy, count=1)
    tier.shrink(1000)
    found = tier.get(0)
    found.iloc[0, 0] = -1.0
    pd.testing.assert_frame_equal(tier.get(0), frame(0))


def test_expiry_note_and_hits_survive_compression(policy):
    tier = filled(policy, count=1, hits=5)
    tier.entries[0].note = "note"
    tier.shrink(1000)
    assert (tier.entries[0].note, tier.entries[0].hits) == ("note", 5)
    tier._clock.now += 60
    assert tier.get(0) is None


@pytest.mark.parametrize(
    ("value", "hits"),
    [
        (SMOOTH, 0),
        (bytes(5000), 1),
        (random.Random(1).randbytes(100_000), 1),
        ({"tier": MemoryTier(), "data": bytes(100_000)}, 1),
    ],
    ids=["never hit", "small", "incompressible", "no encoded form"],
)
def test_what_is_not_worth_it_or_cannot_be_just_goes(policy, value, hits):
    tier = MemoryTier(policy=policy)
    tier.set("key", value)
    for _ in range(hits):
        tier.get("key")
    tier.shrink(1)
    assert len(tier) == 0
    assert tier.stats()["compressions"] == 0


def test_shrink_goes_from_raw_to_compressed_to_gone(policy):
    tier = filled(policy)
    raw = tier.bytes
    tier.shrink(raw // 10)
    assert len(tier) == 3
    tier.shrink(tier.bytes)
    assert (len(tier), tier.bytes) == (0, 0)
    assert tier.stats()["compressions"] == 3


@pytest.mark.parametrize("limits", [{"max_bytes": 10**9}, {"max_entries": 100}, {}])
def test_evicting_compresses_nothing_whatever_the_bounds(policy, limits):
    tier = filled(policy, **limits)
    assert tier.evict(200_000) >= 200_000
    figures = tier.stats()
    assert (figures["compressions"], figures["evictions"]["pressure"]) == (0, 2)


def test_compressing_frees_memory_and_loses_no_value(policy):
    tier = MemoryTier(max_bytes=2**24, policy=policy)
    for number in range(40):
        tier.set(number, SMOOTH + number)
    for _ in range(3):
        for number in range(20, 40):
            tier.get(number)
    before = tier.bytes
    freed = tier.compress(500_000)
    assert freed >= 500_000
    assert before - tier.bytes == freed
    assert tier.stats()["evictions"]["shrink"] == 0
    small = tier.stats()["compressed_entries"]
    assert 0 < small <= 20  # those that nobody asked for were enough
    for number in range(20, 40):
        tier.get(number)
    assert tier.stats()["decompressions"] == 0
    for number in range(40):
        np.testing.assert_array_equal(tier.get(number), SMOOTH + number)


def test_compressing_gives_up_where_values_hardly_get_smaller():
    tier = MemoryTier()
    rough = np.random.default_rng(1)
    for number in range(20):
        tier.set(number, rough.bytes(30_000))
    assert tier.compress(10**9) == 0
    assert tier.stats()["compressed_entries"] == 0
    assert tier.get(7) is not None


def test_of_what_looks_incompressible_only_samples_are_tried():
    rough = np.random.default_rng(1).random(125_000)
    tier = MemoryTier()
    tier.set("rough", rough)
    tier.set("half", np.concatenate([rough, np.ones(125_000)]))
    assert tier.compress(10**9) > 900_000
    assert tier.stats()["compressed_entries"] == 1
    np.testing.assert_array_equal(tier.get("half")[:125_000], rough)
