"""The coverage-aware candle store and MarketData, which reads, completes and keeps it."""

from __future__ import annotations

from ohlcache.candles.gaps import Gap
from ohlcache.history.market_data import LOCAL_VENUE, MarketData
from ohlcache.history.past.revisions import Revision
from ohlcache.history.past.snapshots import Snapshot
from ohlcache.history.reports import (
    Problem,
    RepairReport,
    SeriesInfo,
    VerifyReport,
    WriteReport,
)
from ohlcache.history.sqlite_engine import SQLiteEngine
from ohlcache.history.store import Store

__all__ = [
    "LOCAL_VENUE",
    "Gap",
    "MarketData",
    "Problem",
    "RepairReport",
    "Revision",
    "SQLiteEngine",
    "SeriesInfo",
    "Snapshot",
    "Store",
    "VerifyReport",
    "WriteReport",
]
