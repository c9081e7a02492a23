"""Prefetch: what the next read will probably want is decoded, or fetched, before it is read.

Reads of a series that go on in one direction (a chart panned, a backtest walking on, the same over
many symbols or timeframes, each of which is a series of its own) have the adjacent range loaded in
the background. Whether that was of use is measured, series by series, and it ends where it is of
none. Nothing depends on it: it asks for candles as any other reader does.
"""

from ohlcache.history.prefetch.prefetcher import Prefetcher
from ohlcache.history.prefetch.track import Track

__all__ = ["Prefetcher", "Track"]
