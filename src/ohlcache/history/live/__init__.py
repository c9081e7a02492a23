"""Live data: appended candles, streams that are followed, and the candles that still form."""

from __future__ import annotations

from ohlcache.history.live.forming import CandleDict
from ohlcache.history.live.live import Live

__all__ = ["CandleDict", "Live"]
