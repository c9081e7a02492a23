"""The tiered cache: values in memory, Redis and a database, loaded once and kept in step."""

from __future__ import annotations

from ohlcache.cache.categories import CacheCategory
from ohlcache.cache.clock import Clock
from ohlcache.cache.decorate.decorator import CachedFunction, CacheInfo
from ohlcache.cache.manager import CacheManager
from ohlcache.cache.market.historical import HistoricalDataCache
from ohlcache.cache.market.recent import MarketDataCache
from ohlcache.cache.memory import MemoryTier
from ohlcache.cache.process import cached, get_cache_manager
from ohlcache.cache.warming import Schedule, WarmReport

__all__ = [
    "CacheCategory",
    "CacheInfo",
    "CacheManager",
    "CachedFunction",
    "Clock",
    "HistoricalDataCache",
    "MarketDataCache",
    "MemoryTier",
    "Schedule",
    "WarmReport",
    "cached",
    "get_cache_manager",
]
