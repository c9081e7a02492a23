"""The manager's numbers for telemetry."""

from __future__ import annotations

from ohlcache.memory.gc_pauses import GENERATIONS, GcPauses
from ohlcache.memory.monitor import Monitor
from ohlcache.memory.pressure import Pressure
from ohlcache.telemetry import vocabulary as metrics
from ohlcache.telemetry.registry import Readings


def report(readings: Readings, monitor: Monitor, pressure: Pressure, pauses: GcPauses) -> None:
    """Add what is known now. RSS is read; USS is what was last counted."""
    rss, limit = monitor.refresh().rss, monitor.limit.bytes
    readings.add(metrics.MEMORY_RESIDENT_BYTES, rss)
    readings.add(metrics.MEMORY_LIMIT_BYTES, limit)
    readings.add(metrics.MEMORY_USED_RATIO, rss / limit)
    if monitor.uss is not None:
        readings.add(metrics.MEMORY_UNIQUE_BYTES, monitor.uss)
    readings.add(metrics.MEMORY_RECLAIMS, pressure.counts["reliefs"])
    for step, nbytes in list(pressure.recovered.items()):
        readings.add(metrics.MEMORY_RECLAIMED_BYTES, max(0, nbytes), step)
    for step, count in list(pressure.errors.items()):
        readings.add(metrics.MEMORY_RECLAIM_ERRORS, count, step)
    for generation in range(GENERATIONS):
        readings.add(metrics.GC_PAUSE_SECONDS, pauses.distribution(generation), str(generation))
