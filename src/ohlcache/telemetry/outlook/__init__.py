"""Where the key metrics are going, and when they will be somewhere that matters."""

from __future__ import annotations

from ohlcache.telemetry.outlook.forecast import Forecast
from ohlcache.telemetry.outlook.outlook import outlook

__all__ = ["Forecast", "outlook"]
