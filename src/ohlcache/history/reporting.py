"""What the candles of a store tell telemetry."""

from __future__ import annotations

from collections.abc import Mapping
from heapq import nlargest
from typing import Any

from ohlcache.history.fetcher import Fetcher
from ohlcache.history.holder import Holder
from ohlcache.history.walk import Reader
from ohlcache.telemetry import Readings
from ohlcache.telemetry import vocabulary as metrics

_MOST_SERIES = 50  # told apart; a market has thousands
_ERROR = "error:"


def report(holder: Holder, reader: Reader, fetcher: Fetcher | None, readings: Readings) -> None:
    """Add the figures of reads, memory and requests."""
    readings.add(metrics.HISTORY_READS, reader.counts["hits"], "hit")
    readings.add(metrics.HISTORY_READS, reader.counts["misses"], "miss")
    reads = holder.reads()
    for key in nlargest(_MOST_SERIES, reads, key=reads.__getitem__):
        readings.add(metrics.HISTORY_SERIES_READS, reads[key], str(key))
    readings.add(metrics.HISTORY_MEMORY_BYTES, holder.nbytes + reader.derived_bytes)
    readings.add(metrics.HISTORY_MEMORY_LIMIT_BYTES, holder.max_bytes + reader.most_derived_bytes)
    readings.add(metrics.HISTORY_EVICTIONS, holder.evictions)
    if fetcher is not None:
        _report_requests(fetcher, readings)


def report_chunks(stats: Mapping[str, int], readings: Readings) -> None:
    """Add the figures of encoded chunks in Redis, as those of a category of the cache."""
    labels = ("l2", "candles")
    readings.add(metrics.CACHE_HITS, stats.get("hits", 0), *labels)
    readings.add(metrics.CACHE_MISSES, stats.get("misses", 0), *labels)
    readings.add(metrics.CACHE_DAMAGED, stats.get("damaged", 0), *labels)
    for counted, count in stats.items():
        if counted.startswith(_ERROR):
            readings.add(metrics.CACHE_TIER_ERRORS, count, "l2", counted.removeprefix(_ERROR))


def report_prefetch(stats: Mapping[str, Any], readings: Readings) -> None:
    """Add the figures of what is loaded ahead of reads."""
    for outcome in ("used", "late", "wasted"):
        readings.add(metrics.HISTORY_PREFETCHED_BYTES, stats[f"{outcome}_bytes"], outcome)
    readings.add(metrics.HISTORY_PREFETCH_REQUESTS, stats["requests"])


def report_live(stats: Mapping[str, Any], readings: Readings) -> None:
    """Add the figures of streams that are followed."""
    readings.add(metrics.HISTORY_LIVE_CANDLES, stats.get("candles", 0))
    readings.add(metrics.HISTORY_LIVE_DROPS, stats.get("drops", 0))


def _report_requests(fetcher: Fetcher, readings: Readings) -> None:
    counts = dict(fetcher.counts)
    readings.add(metrics.HISTORY_REQUESTS, counts.get("requests", 0))
    readings.add(metrics.HISTORY_CANDLES, counts.get("candles", 0))
    readings.add(metrics.HISTORY_REJECTED, counts.get("rejected", 0))
    for counted, count in counts.items():
        if counted.startswith(_ERROR):
            error = counted.removeprefix(_ERROR)
            readings.add(metrics.HISTORY_REQUEST_ERRORS, count, error)
