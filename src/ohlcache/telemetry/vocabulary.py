"""Every metric there is, by what it measures. The rooms report them; exporters name them.

They stand in one place because dashboards, alert rules and documentation are made from all of them.
"""

from __future__ import annotations

from ohlcache.telemetry.metric import Metric

_TIER, _CATEGORY = ("tier",), ("tier", "category")

CACHE_HITS = Metric(
    "ohlcache_cache_hits", "counter", "Keys that a tier had a value for.", labels=_CATEGORY
)
CACHE_MISSES = Metric(
    "ohlcache_cache_misses", "counter", "Keys that a tier had no value for.", labels=_CATEGORY
)
CACHE_ENTRIES = Metric(
    "ohlcache_cache_entries", "gauge", "Values held in process memory.", labels=("category",)
)
CACHE_BYTES = Metric(
    "ohlcache_cache_bytes",
    "gauge",
    "Memory accounted to values held in process memory.",
    "bytes",
    ("category",),
)
CACHE_LIMIT_BYTES = Metric(
    "ohlcache_cache_limit_bytes", "gauge", "Memory that values may take in all.", "bytes"
)
CACHE_CATEGORY_LIMIT_BYTES = Metric(
    "ohlcache_cache_category_limit_bytes",
    "gauge",
    "Memory that values of a category may take, of those with a limit of their own.",
    "bytes",
    ("category",),
)
CACHE_SETS = Metric(
    "ohlcache_cache_sets", "counter", "Values put into process memory.", labels=("category",)
)
CACHE_EVICTIONS = Metric(
    "ohlcache_cache_evictions",
    "counter",
    "Values that left process memory, by cause: policy, expired, shrink, pressure.",
    labels=("category", "cause"),
)
CACHE_READ_SECONDS = Metric(
    "ohlcache_cache_read_seconds",
    "histogram",
    "Time of reading from a tier; of process memory, one hit in 64 is timed.",
    "seconds",
    _TIER,
)
CACHE_WRITE_SECONDS = Metric(
    "ohlcache_cache_write_seconds",
    "histogram",
    "Time of changing a shared tier.",
    "seconds",
    _TIER,
)
CACHE_DAMAGED = Metric(
    "ohlcache_cache_damaged",
    "counter",
    "Values of a shared tier that failed their checksum; they were dropped.",
    labels=_CATEGORY,
)
CACHE_UNVERIFIED = Metric(
    "ohlcache_cache_unverified",
    "counter",
    "Answers from process memory while the tier that vouches for them was out of order.",
    labels=("category",),
)
CACHE_STALE = Metric(
    "ohlcache_cache_stale",
    "counter",
    "Answers given after their time, while or because loading anew was under way or failed.",
    labels=("category",),
)
CACHE_LOADS = Metric(
    "ohlcache_cache_loads", "counter", "Values that loaders gave.", labels=("category",)
)
CACHE_LOAD_ERRORS = Metric(
    "ohlcache_cache_load_errors",
    "counter",
    "Loads that failed, by error.",
    labels=("category", "error"),
)
CACHE_LOAD_SECONDS = Metric(
    "ohlcache_cache_load_seconds",
    "histogram",
    "Time that loaders took.",
    "seconds",
    ("category",),
)
CACHE_TIER_ERRORS = Metric(
    "ohlcache_cache_tier_errors",
    "counter",
    "Failed operations on a shared tier, by error.",
    labels=("tier", "error"),
)
CACHE_BREAKER_OPEN = Metric(
    "ohlcache_cache_breaker_open",
    "gauge",
    "1 while a shared tier is out of order and left alone, otherwise 0.",
    labels=_TIER,
    across="max",
)
CACHE_BREAKER_OPENINGS = Metric(
    "ohlcache_cache_breaker_openings", "counter", "Outages of a shared tier.", labels=_TIER
)
CACHE_JOURNAL_ENTRIES = Metric(
    "ohlcache_cache_journal_entries",
    "gauge",
    "Changes that wait for a shared tier to work again.",
    labels=_TIER,
)

HISTORY_READS = Metric(
    "ohlcache_history_reads",
    "counter",
    "Reads of candles, by result: hit (from process memory) or miss.",
    labels=("result",),
)
HISTORY_SERIES_READS = Metric(
    "ohlcache_history_series_reads",
    "counter",
    "Reads of candles that process memory answered, of the series read most.",
    labels=("series",),
)
HISTORY_MEMORY_BYTES = Metric(
    "ohlcache_history_memory_bytes", "gauge", "Memory of decoded candles.", "bytes"
)
HISTORY_MEMORY_LIMIT_BYTES = Metric(
    "ohlcache_history_memory_limit_bytes", "gauge", "Memory decoded candles may take.", "bytes"
)
HISTORY_EVICTIONS = Metric(
    "ohlcache_history_evictions", "counter", "Decoded series that were dropped for room."
)
HISTORY_REQUESTS = Metric(
    "ohlcache_history_requests", "counter", "Requests sent to sources of candles."
)
HISTORY_REQUEST_ERRORS = Metric(
    "ohlcache_history_request_errors",
    "counter",
    "Requests to sources that failed for good, by error.",
    labels=("error",),
)
HISTORY_CANDLES = Metric(
    "ohlcache_history_fetched_candles", "counter", "Candles stored that sources delivered."
)
HISTORY_REJECTED = Metric(
    "ohlcache_history_rejected_rows", "counter", "Rows of sources that cannot be candles."
)

HISTORY_PREFETCHED_BYTES = Metric(
    "ohlcache_history_prefetched_bytes",
    "counter",
    "Candles decoded ahead of reads, by outcome: used, late, wasted.",
    "bytes",
    ("outcome",),
)
HISTORY_PREFETCH_REQUESTS = Metric(
    "ohlcache_history_prefetch_requests", "counter", "Requests to sources ahead of reads."
)
HISTORY_LIVE_CANDLES = Metric(
    "ohlcache_history_live_candles", "counter", "Candles stored as they closed."
)
HISTORY_LIVE_DROPS = Metric(
    "ohlcache_history_live_drops", "counter", "Connections to streams of candles that broke."
)

MEMORY_RESIDENT_BYTES = Metric(
    "ohlcache_memory_resident_bytes", "gauge", "Resident set size of the process.", "bytes"
)
MEMORY_UNIQUE_BYTES = Metric(
    "ohlcache_memory_unique_bytes",
    "gauge",
    "Memory that only this process uses (USS).",
    "bytes",
)
MEMORY_LIMIT_BYTES = Metric(
    "ohlcache_memory_limit_bytes", "gauge", "Memory that the process may use.", "bytes"
)
MEMORY_USED_RATIO = Metric(
    "ohlcache_memory_used_ratio",
    "gauge",
    "Resident set size as a share of the limit.",
    "ratio",
    across="max",
)
MEMORY_RECLAIMS = Metric(
    "ohlcache_memory_reclaims", "counter", "Times that memory was taken back under pressure."
)
MEMORY_RECLAIMED_BYTES = Metric(
    "ohlcache_memory_reclaimed_bytes",
    "counter",
    "Memory that came back to the system, by the step that freed it.",
    "bytes",
    ("step",),
)
MEMORY_RECLAIM_ERRORS = Metric(
    "ohlcache_memory_reclaim_errors",
    "counter",
    "Steps that failed to free memory.",
    labels=("step",),
)
GC_PAUSE_SECONDS = Metric(
    "ohlcache_gc_pause_seconds",
    "histogram",
    "Time that garbage collections took.",
    "seconds",
    ("generation",),
)

POOL_WAIT_SECONDS = Metric(
    "ohlcache_pool_wait_seconds",
    "histogram",
    "Time that callers waited for a connection of a pool.",
    "seconds",
    ("pool",),
)
QUERY_SECONDS = Metric(
    "ohlcache_query_seconds",
    "histogram",
    "Time of queries.",
    "seconds",
    ("database",),
)

ALERT_FIRING = Metric(
    "ohlcache_alert_firing",
    "gauge",
    "1 while an alert fires.",
    labels=("rule", "severity"),
    across="max",
)
ALERT_DELIVERIES = Metric(
    "ohlcache_alert_deliveries",
    "counter",
    "Alert events given to handlers, by outcome: delivered, failed, dropped.",
    labels=("handler", "outcome"),
)
HEALTH_SCORE = Metric(
    "ohlcache_health_score",
    "gauge",
    "Health from 0 to 100, overall and by component.",
    labels=("component",),
    across="min",
)
TELEMETRY_ERRORS = Metric(
    "ohlcache_telemetry_errors",
    "counter",
    "Failures inside telemetry itself, by what failed.",
    labels=("part",),
)
TELEMETRY_SECONDS = Metric(
    "ohlcache_telemetry_collect_seconds",
    "histogram",
    "Time that collecting all metrics took.",
    "seconds",
)

METRICS: dict[str, Metric] = {
    metric.name: metric for metric in list(globals().values()) if isinstance(metric, Metric)
}
