"""What must hold of a memory tier after every step, and a clock for it."""

from __future__ import annotations

from ohlcache.cache.memory import MemoryTier

POLICIES = ("hybrid", "lru", "lfu")


class FakeClock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def check(tier: MemoryTier, *, max_entries=None, max_bytes=None) -> None:
    """Bytes accounted are bytes held, bounds hold, and the policy knows what the tier knows."""
    held = dict(tier.entries)
    assert tier.bytes == sum(entry.size for entry in held.values())
    assert max_bytes is None or tier.bytes <= max_bytes
    assert max_entries is None or len(held) <= max_entries
    assert all(entry.key == key for key, entry in held.items())
    assert _ordered(tier) == set(held)


def _ordered(tier: MemoryTier) -> set:
    policy = tier._policy
    if hasattr(policy, "_probation"):
        main, probation = policy._main, policy._probation
        assert not main.keys() & probation.keys()
        weights = sum(node.weight for node in (*main.values(), *probation.values()))
        assert policy.weight == weights
        assert policy._main_weight == sum(node.weight for node in main.values())
        return {*main, *probation}
    return set(policy._order if hasattr(policy, "_order") else policy._held)
