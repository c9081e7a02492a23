"""The numbers that are judged: by alert rules, by the health score and by trends."""

from __future__ import annotations

from dataclasses import dataclass

from ohlcache.telemetry import vocabulary as metrics
from ohlcache.telemetry.alerts.rule import Range
from ohlcache.telemetry.measures import Level, Measure, Quantile, Rate, RatioOfCounts
from ohlcache.telemetry.metric import Unit
from ohlcache.telemetry.windows import Selection, Windows

WINDOW = 60  # seconds that an indicator looks back
SCRAPED_WINDOW = 300  # the same in Prometheus, which looks far less often
_FEW, _SOME = 20, 100  # requests below which a share of them says little
_ANY = float("inf")


@dataclass(frozen=True, slots=True)
class Indicator:
    """A number about the last minute, by the name that rules call it."""

    name: str
    help: str
    unit: Unit
    measure: Measure
    most: float = _ANY

    @property
    def range(self) -> Range:
        """The values that it can have."""
        return Range(0.0, 1.0 if isinstance(self.measure, RatioOfCounts) else self.most)


def _hit_rate(tier: str) -> Measure:
    hits = Selection.of(metrics.CACHE_HITS, tier=tier)
    return RatioOfCounts((hits,), (hits, Selection.of(metrics.CACHE_MISSES, tier=tier)), _SOME)


def _reads_p99(tier: str) -> Measure:
    return Quantile(Selection.of(metrics.CACHE_READ_SECONDS, tier=tier), 0.99, _FEW)


_EVICTED = tuple(
    Selection.of(metrics.CACHE_EVICTIONS, cause=cause) for cause in ("policy", "shrink", "pressure")
)
_LOADS, _LOAD_ERRORS = Selection(metrics.CACHE_LOADS), Selection(metrics.CACHE_LOAD_ERRORS)
_REQUESTS = Selection(metrics.HISTORY_REQUESTS)
_HISTORY_HITS = Selection.of(metrics.HISTORY_READS, result="hit")

_ALL = (
    Indicator("l1_hit_rate", "Hit rate of process memory.", "ratio", _hit_rate("l1")),
    Indicator("l2_hit_rate", "Hit rate of Redis.", "ratio", _hit_rate("l2")),
    Indicator("l3_hit_rate", "Hit rate of the database tier.", "ratio", _hit_rate("l3")),
    Indicator(
        "l1_p99_seconds", "Hits in process memory, 99th percentile.", "seconds", _reads_p99("l1")
    ),
    Indicator("l2_p99_seconds", "Reads from Redis, 99th percentile.", "seconds", _reads_p99("l2")),
    Indicator(
        "l3_p99_seconds",
        "Reads from the database tier, 99th percentile.",
        "seconds",
        _reads_p99("l3"),
    ),
    Indicator(
        "l2_breaker_open",
        "1 while Redis is out of order.",
        "",
        Level(Selection.of(metrics.CACHE_BREAKER_OPEN, tier="l2")),
        most=1.0,
    ),
    Indicator(
        "l3_breaker_open",
        "1 while the database tier is out of order.",
        "",
        Level(Selection.of(metrics.CACHE_BREAKER_OPEN, tier="l3")),
        most=1.0,
    ),
    Indicator(
        "damaged_per_second",
        "Values per second that failed their checksum.",
        "",
        Rate((Selection(metrics.CACHE_DAMAGED),)),
    ),
    Indicator(
        "evictions_per_second", "Values per second that left memory for room.", "", Rate(_EVICTED)
    ),
    Indicator(
        "eviction_ratio",
        "Values that left memory for room, as a share of those put there.",
        "ratio",
        RatioOfCounts(_EVICTED, (Selection(metrics.CACHE_SETS),), _SOME),
    ),
    Indicator(
        "load_error_ratio",
        "Loads that failed, as a share of all.",
        "ratio",
        RatioOfCounts((_LOAD_ERRORS,), (_LOADS, _LOAD_ERRORS), _FEW),
    ),
    Indicator(
        "load_p99_seconds",
        "Loads, 99th percentile.",
        "seconds",
        Quantile(Selection(metrics.CACHE_LOAD_SECONDS), 0.99, _FEW),
    ),
    Indicator(
        "history_hit_rate",
        "Reads of candles that process memory answered.",
        "ratio",
        RatioOfCounts((_HISTORY_HITS,), (Selection(metrics.HISTORY_READS),), _SOME),
    ),
    Indicator(
        "source_error_ratio",
        "Requests to sources that failed for good, as a share of all.",
        "ratio",
        RatioOfCounts((Selection(metrics.HISTORY_REQUEST_ERRORS),), (_REQUESTS,), _FEW),
    ),
    Indicator(
        "memory_used_ratio",
        "Memory of the process as a share of its limit.",
        "ratio",
        Level(Selection(metrics.MEMORY_USED_RATIO)),
    ),
    Indicator(
        "gc_pause_p99_seconds",
        "Pauses for garbage collection, 99th percentile.",
        "seconds",
        Quantile(Selection(metrics.GC_PAUSE_SECONDS), 0.99, _FEW),
    ),
    Indicator(
        "pool_wait_p99_seconds",
        "Waits for a connection of a pool, 99th percentile.",
        "seconds",
        Quantile(Selection(metrics.POOL_WAIT_SECONDS), 0.99, _FEW),
    ),
    Indicator(
        "query_p99_seconds",
        "Queries, 99th percentile.",
        "seconds",
        Quantile(Selection(metrics.QUERY_SECONDS), 0.99, _FEW),
    ),
)

INDICATORS: dict[str, Indicator] = {indicator.name: indicator for indicator in _ALL}


def indicate(windows: Windows) -> dict[str, float]:
    """The indicators of the last minute that there is enough to tell of, by name."""
    found = (
        (name, indicator.measure.value(windows, WINDOW)) for name, indicator in INDICATORS.items()
    )
    return {name: value for name, value in found if value is not None}
