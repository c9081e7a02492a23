"""The performance layer for trading systems: any historical candles, from the nearest place.

    import ohlcache

    with ohlcache.open("data", source=my_source) as md:
        frame = md.candles("BTC/USDT", "1m", "2024-01-01", "2024-02-01")

Names are resolved on first use, so that ``import ohlcache`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ohlcache.cache import (
        CacheCategory,
        CacheManager,
        HistoricalDataCache,
        MarketDataCache,
        cached,
        get_cache_manager,
    )
    from ohlcache.errors import InvalidArgument, LoadTimeout, NotFound, OhlcacheError
    from ohlcache.history import Gap, MarketData, SeriesInfo, VerifyReport, WriteReport
    from ohlcache.memory import get_memory_manager, memory_profiler
    from ohlcache.monitoring import get_monitor, health, start_monitoring, stop_monitoring
    from ohlcache.runtime import open  # noqa: A004
    from ohlcache.settings import Settings
    from ohlcache.sources import CallableSource, Capabilities, Source, SyntheticSource

__version__ = "0.1.0"

_HOMES = {
    "CacheCategory": "ohlcache.cache",
    "CacheManager": "ohlcache.cache",
    "CallableSource": "ohlcache.sources",
    "Capabilities": "ohlcache.sources",
    "Gap": "ohlcache.history",
    "HistoricalDataCache": "ohlcache.cache",
    "InvalidArgument": "ohlcache.errors",
    "LoadTimeout": "ohlcache.errors",
    "MarketData": "ohlcache.history",
    "MarketDataCache": "ohlcache.cache",
    "NotFound": "ohlcache.errors",
    "OhlcacheError": "ohlcache.errors",
    "SeriesInfo": "ohlcache.history",
    "Settings": "ohlcache.settings",
    "Source": "ohlcache.sources",
    "SyntheticSource": "ohlcache.sources",
    "VerifyReport": "ohlcache.history",
    "WriteReport": "ohlcache.history",
    "cached": "ohlcache.cache",
    "get_cache_manager": "ohlcache.cache",
    "get_memory_manager": "ohlcache.memory",
    "get_monitor": "ohlcache.monitoring",
    "health": "ohlcache.monitoring",
    "memory_profiler": "ohlcache.memory",
    "open": "ohlcache.runtime",
    "start_monitoring": "ohlcache.monitoring",
    "stop_monitoring": "ohlcache.monitoring",
}
_ROOMS = ("cache", "memory", "sources", "telemetry")

__all__ = [  # the names below resolve through __getattr__
    "CacheCategory",
    "CacheManager",
    "CallableSource",
    "Capabilities",
    "Gap",
    "HistoricalDataCache",
    "InvalidArgument",
    "LoadTimeout",
    "MarketData",
    "MarketDataCache",
    "NotFound",
    "OhlcacheError",
    "SeriesInfo",
    "Settings",
    "Source",
    "SyntheticSource",
    "VerifyReport",
    "WriteReport",
    "cached",
    "get_cache_manager",
    "get_memory_manager",
    "get_monitor",
    "health",
    "memory_profiler",
    "open",
    "start_monitoring",
    "stop_monitoring",
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"{__name__}.{name}")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES, *_ROOMS])
