"""What parts of the process hold on purpose, so that a cache that fills is not called a leak."""

from __future__ import annotations

from ohlcache.telemetry import vocabulary as metrics
from ohlcache.telemetry.registry import registry

_KEPT = (metrics.CACHE_BYTES, metrics.HISTORY_MEMORY_BYTES)


def held_bytes() -> int:
    """Bytes of cached values and decoded candles, as their holders report them to telemetry."""
    readings = registry.collect()
    sizes = [size for metric in _KEPT for _, size in readings.of(metric)]
    return int(sum(size for size in sizes if isinstance(size, int | float)))
