"""What is on the dashboard for Grafana, row by row."""

from __future__ import annotations

from typing import NamedTuple

from ohlcache.telemetry import vocabulary as metrics
from ohlcache.telemetry.metric import Metric


class Chart(NamedTuple):
    """Metrics of one unit drawn together."""

    title: str
    metrics: tuple[Metric, ...]


class Row(NamedTuple):
    """A part of the data layer. tier: only series of this tier, of metrics that have tiers."""

    title: str
    indicators: tuple[str, ...]
    charts: tuple[Chart, ...]
    tier: str | None = None


def _chart(title: str, *drawn: Metric) -> Chart:
    return Chart(title, drawn)


def _shared_tier(title: str, tier: str) -> Row:
    return Row(
        title,
        (f"{tier}_hit_rate", f"{tier}_p99_seconds", f"{tier}_breaker_open"),
        (
            _chart("Hits and misses", metrics.CACHE_HITS, metrics.CACHE_MISSES),
            _chart("Time of reads", metrics.CACHE_READ_SECONDS),
            _chart("Time of changes", metrics.CACHE_WRITE_SECONDS),
            _chart(
                "Failures",
                metrics.CACHE_TIER_ERRORS,
                metrics.CACHE_DAMAGED,
                metrics.CACHE_BREAKER_OPENINGS,
            ),
            _chart(
                "Outage, changes that wait",
                metrics.CACHE_BREAKER_OPEN,
                metrics.CACHE_JOURNAL_ENTRIES,
            ),
        ),
        tier,
    )


OVERVIEW = (  # indicators shown as single numbers at the top
    "l1_hit_rate",
    "history_hit_rate",
    "load_error_ratio",
    "memory_used_ratio",
)

ROWS = (
    Row(
        "Process memory (L1)",
        ("l1_hit_rate", "l1_p99_seconds", "eviction_ratio", "evictions_per_second"),
        (
            _chart("Hits and misses", metrics.CACHE_HITS, metrics.CACHE_MISSES),
            _chart("Time of hits", metrics.CACHE_READ_SECONDS),
            _chart(
                "Memory of values",
                metrics.CACHE_BYTES,
                metrics.CACHE_CATEGORY_LIMIT_BYTES,
                metrics.CACHE_LIMIT_BYTES,
            ),
            _chart("Values", metrics.CACHE_ENTRIES),
            _chart("Values put and evicted", metrics.CACHE_SETS, metrics.CACHE_EVICTIONS),
            _chart("Old or unverified answers", metrics.CACHE_STALE, metrics.CACHE_UNVERIFIED),
        ),
        "l1",
    ),
    _shared_tier("Redis (L2)", "l2"),
    _shared_tier("Database tier (L3)", "l3"),
    Row(
        "Loads",
        ("load_error_ratio", "load_p99_seconds", "damaged_per_second"),
        (
            _chart("Loads", metrics.CACHE_LOADS, metrics.CACHE_LOAD_ERRORS),
            _chart("Time of loads", metrics.CACHE_LOAD_SECONDS),
        ),
    ),
    Row(
        "History",
        ("history_hit_rate", "source_error_ratio"),
        (
            _chart("Reads", metrics.HISTORY_READS),
            _chart("Series read most", metrics.HISTORY_SERIES_READS),
            _chart(
                "Memory of candles",
                metrics.HISTORY_MEMORY_BYTES,
                metrics.HISTORY_MEMORY_LIMIT_BYTES,
            ),
            _chart("Series dropped for room", metrics.HISTORY_EVICTIONS),
            _chart("Requests", metrics.HISTORY_REQUESTS, metrics.HISTORY_REQUEST_ERRORS),
            _chart("Candles fetched", metrics.HISTORY_CANDLES, metrics.HISTORY_REJECTED),
            _chart("Decoded ahead of reads", metrics.HISTORY_PREFETCHED_BYTES),
            _chart("Requests ahead of reads", metrics.HISTORY_PREFETCH_REQUESTS),
            _chart("Live candles", metrics.HISTORY_LIVE_CANDLES, metrics.HISTORY_LIVE_DROPS),
        ),
    ),
    Row(
        "Memory and garbage collection",
        ("memory_used_ratio", "gc_pause_p99_seconds"),
        (
            _chart(
                "Memory of processes",
                metrics.MEMORY_RESIDENT_BYTES,
                metrics.MEMORY_UNIQUE_BYTES,
                metrics.MEMORY_LIMIT_BYTES,
            ),
            _chart("Memory taken back", metrics.MEMORY_RECLAIMED_BYTES),
            _chart(
                "Times it was taken back",
                metrics.MEMORY_RECLAIMS,
                metrics.MEMORY_RECLAIM_ERRORS,
            ),
            _chart("Pauses", metrics.GC_PAUSE_SECONDS),
        ),
    ),
    Row(
        "Pools and queries",
        ("pool_wait_p99_seconds", "query_p99_seconds"),
        (
            _chart("Waits for a connection", metrics.POOL_WAIT_SECONDS),
            _chart("Time of queries", metrics.QUERY_SECONDS),
        ),
    ),
    Row(
        "Health and alerts",
        (),
        (
            _chart("Health score", metrics.HEALTH_SCORE),
            _chart("Alerts", metrics.ALERT_FIRING),
            _chart("Deliveries of alerts", metrics.ALERT_DELIVERIES),
            _chart("Failures inside telemetry", metrics.TELEMETRY_ERRORS),
            _chart("Time of collecting", metrics.TELEMETRY_SECONDS),
        ),
    ),
)
