"""Is a series of measurements going somewhere, how fast, and when will it be there?"""

from __future__ import annotations

from ohlcache.telemetry.trends.trend import Trend, trend

__all__ = ["Trend", "trend"]
