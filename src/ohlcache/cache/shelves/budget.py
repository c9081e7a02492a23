"""The bound on what all categories together hold in process memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ohlcache.cache.memory import MemoryTier


class Budget:
    """At most ``max_bytes`` over all tiers; the largest gives way first."""

    def __init__(self, max_bytes: int, tiers: Callable[[], Iterable[MemoryTier]]) -> None:
        self.max_bytes = max_bytes
        self._tiers = tiers

    def enforce(self, coming: int = 0) -> None:
        """Shrink tiers until the bound holds, also when so many bytes more are held."""
        allowed = max(0, self.max_bytes - coming)
        excess = self.held - allowed
        while excess > 0:
            largest = max(self._tiers(), key=_size)
            if not largest.shrink(excess):
                return
            excess = self.held - allowed

    @property
    def held(self) -> int:
        """Bytes held by all tiers."""
        return sum(map(_size, self._tiers()))


def _size(tier: MemoryTier) -> int:
    return tier.bytes
