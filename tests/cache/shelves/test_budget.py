"""The bound over all categories: the largest gives way, and only as far as it has to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ohlcache.cache.memory import MemoryTier
from ohlcache.cache.shelves import Budget


def filled(*sizes):
    tier = MemoryTier()
    for number, size in enumerate(sizes):
        tier.set(f"key {number}", bytes(size))
    return tier


def test_what_fits_stays():
    tiers = [filled(1000, 1000), filled(500)]
    budget = Budget(sum(tier.bytes for tier in tiers), lambda: tiers)
    budget.enforce()
    assert [len(tier) for tier in tiers] == [2, 1]
    assert budget.held == budget.max_bytes


def test_the_largest_gives_way():
    small, large = filled(5_000), filled(*[5_000] * 10)
    budget = Budget(30_000, lambda: [small, large])
    budget.enforce()
    assert budget.held <= 30_000
    assert len(small) == 1
    assert 3 <= len(large) <= 5


def test_with_nothing_left_to_free_it_ends():
    tiers = [MemoryTier(), MemoryTier()]
    Budget(-1, lambda: tiers).enforce()
    assert [len(tier) for tier in tiers] == [0, 0]


@given(
    st.lists(st.lists(st.integers(0, 20_000), max_size=8), min_size=1, max_size=5),
    st.integers(1, 60_000),
)
def test_the_bound_always_holds_afterwards(sizes, max_bytes):
    tiers = [filled(*some) for some in sizes]
    budget = Budget(max_bytes, lambda: tiers)
    budget.enforce()
    assert budget.held == sum(tier.bytes for tier in tiers) <= max_bytes
    assert budget.held == sum(e.size for tier in tiers for e in tier.entries.values())
