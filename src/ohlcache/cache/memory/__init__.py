"""The memory tier: bounded by bytes and entries, with a hit path that takes no lock."""

from __future__ import annotations

from ohlcache.cache.memory.entry import Entry
from ohlcache.cache.memory.sizing import size_of
from ohlcache.cache.memory.tally import CAUSES
from ohlcache.cache.memory.tier import MemoryTier

__all__ = ["CAUSES", "Entry", "MemoryTier", "size_of"]
