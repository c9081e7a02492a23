"""The ways of a value through the tiers: reading, writing, loading."""

from __future__ import annotations

from ohlcache.cache.walk.flight import Flights
from ohlcache.cache.walk.loader import Loader, LoaderThreads
from ohlcache.cache.walk.loads import Loads, Order
from ohlcache.cache.walk.reading import Reader
from ohlcache.cache.walk.writing import Writer

__all__ = [
    "Flights",
    "Loader",
    "LoaderThreads",
    "Loads",
    "Order",
    "Reader",
    "Writer",
]
