"""What happened, as numbers. This room knows no other: the others report to it."""

from __future__ import annotations

from ohlcache.telemetry.counters import Counters
from ohlcache.telemetry.histogram import Histogram

__all__ = ["Counters", "Histogram"]
