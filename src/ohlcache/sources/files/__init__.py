"""Candles and trades from files of every common format, and candles to files."""

from __future__ import annotations

from ohlcache.sources.files.detect import FORMATS, detect_format
from ohlcache.sources.files.export import EXPORT_FORMATS, Exported, export
from ohlcache.sources.files.reading import CandleFile, TradeFile, read_candles, read_trades
from ohlcache.sources.files.source import FileSource

__all__ = [
    "EXPORT_FORMATS",
    "FORMATS",
    "CandleFile",
    "Exported",
    "FileSource",
    "TradeFile",
    "detect_format",
    "export",
    "read_candles",
    "read_trades",
]
