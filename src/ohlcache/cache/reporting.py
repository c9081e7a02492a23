"""What a cache tells telemetry: counters as they stand, without looking at single entries."""

from __future__ import annotations

from ohlcache.cache.links import Link
from ohlcache.cache.memory import CAUSES
from ohlcache.cache.parts import Parts
from ohlcache.cache.shelves import Shelf
from ohlcache.telemetry import Readings
from ohlcache.telemetry import vocabulary as metrics

_MB = 2**20
_LOAD_ERROR, _ERROR = "load_error:", "error:"


def report(parts: Parts, readings: Readings) -> None:
    """Add the figures of all categories and tiers."""
    readings.add(metrics.CACHE_LIMIT_BYTES, parts.budget.max_bytes)
    for shelf in list(parts.shelves.values()):
        _report_memory(shelf, readings)
        _report_category(shelf, readings)
    for link in parts.links:
        _report_link(link, readings)


def _report_memory(shelf: Shelf, readings: Readings) -> None:
    name, tier = shelf.name, shelf.tier
    readings.add(metrics.CACHE_HITS, shelf.hits, "l1", name)
    readings.add(metrics.CACHE_READ_SECONDS, shelf.hit_time.distribution(), "l1")
    readings.add(metrics.CACHE_ENTRIES, len(tier.entries), name)
    readings.add(metrics.CACHE_BYTES, tier.bytes, name)
    if shelf.policy.max_size_mb is not None:
        limit = int(shelf.policy.max_size_mb * _MB)
        readings.add(metrics.CACHE_CATEGORY_LIMIT_BYTES, limit, name)
    readings.add(metrics.CACHE_SETS, tier.tally.sets, name)
    for cause in CAUSES:
        readings.add(metrics.CACHE_EVICTIONS, tier.tally.evicted[cause], name, cause)


def _report_category(shelf: Shelf, readings: Readings) -> None:
    name, counts = shelf.name, shelf.counters.snapshot()
    readings.add(metrics.CACHE_MISSES, counts.get("l1.misses", 0), "l1", name)
    for link in shelf.links:
        for metric, what in (
            (metrics.CACHE_HITS, "hits"),
            (metrics.CACHE_MISSES, "misses"),
            (metrics.CACHE_DAMAGED, "damaged"),
        ):
            readings.add(metric, counts.get(f"{link.name}.{what}", 0), link.name, name)
    readings.add(metrics.CACHE_UNVERIFIED, counts.get("l1.unverified", 0), name)
    readings.add(metrics.CACHE_STALE, counts.get("stale", 0), name)
    readings.add(metrics.CACHE_LOADS, counts.get("loads", 0), name)
    readings.add(metrics.CACHE_LOAD_SECONDS, shelf.load_time.distribution(), name)
    for counted, count in counts.items():
        if counted.startswith(_LOAD_ERROR):
            error = counted.removeprefix(_LOAD_ERROR)
            readings.add(metrics.CACHE_LOAD_ERRORS, count, name, error)


def _report_link(link: Link, readings: Readings) -> None:
    name = link.name
    readings.add(metrics.CACHE_READ_SECONDS, link.read_time.distribution(), name)
    readings.add(metrics.CACHE_WRITE_SECONDS, link.write_time.distribution(), name)
    readings.add(metrics.CACHE_BREAKER_OPEN, 0 if link.works else 1, name)
    readings.add(metrics.CACHE_BREAKER_OPENINGS, link.breaker.openings, name)
    readings.add(metrics.CACHE_JOURNAL_ENTRIES, len(link.journal), name)
    for error, count in link.counters.below(_ERROR).items():
        readings.add(metrics.CACHE_TIER_ERRORS, count, name, error)
