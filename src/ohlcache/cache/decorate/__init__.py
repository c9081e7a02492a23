"""``@cached``: calls answered from the cache."""

from __future__ import annotations

from ohlcache.cache.decorate.checks import KeyMaker, Seconds, TagMaker
from ohlcache.cache.decorate.decorator import Cached, CachedFunction, CacheInfo

__all__ = [
    "CacheInfo",
    "Cached",
    "CachedFunction",
    "KeyMaker",
    "Seconds",
    "TagMaker",
]
