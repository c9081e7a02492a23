"""Candles themselves, without any I/O: times, columns, checks, resampling and the codec."""

from __future__ import annotations

from ohlcache.candles.block import OHLCV, Block
from ohlcache.candles.frames import to_block, to_frame
from ohlcache.candles.grid import Anchor, Grid
from ohlcache.candles.instant import to_iso, to_ms
from ohlcache.candles.interval import Interval, IntervalSet
from ohlcache.candles.timeframe import Timeframe

__all__ = [
    "OHLCV",
    "Anchor",
    "Block",
    "Grid",
    "Interval",
    "IntervalSet",
    "Timeframe",
    "to_block",
    "to_frame",
    "to_iso",
    "to_ms",
]
