"""What happened, as numbers. This room knows no other: the others report to it."""

from __future__ import annotations

from ohlcache.telemetry.counters import Counters
from ohlcache.telemetry.histogram import Histogram
from ohlcache.telemetry.registry import Readings, registry

__all__ = ["Counters", "Histogram", "Readings", "registry"]
