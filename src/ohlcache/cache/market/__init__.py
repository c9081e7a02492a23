"""Candles and datasets in the cache."""

from __future__ import annotations

from ohlcache.cache.market.historical import HistoricalDataCache
from ohlcache.cache.market.recent import MarketDataCache

__all__ = [
    "HistoricalDataCache",
    "MarketDataCache",
]
