"""The numbers whose future is told."""

from __future__ import annotations

from ohlcache.telemetry import vocabulary as metrics
from ohlcache.telemetry.health.deductions import DEDUCTIONS
from ohlcache.telemetry.outlook.series import Gauge, Share, SlowestShare
from ohlcache.telemetry.outlook.subject import Part, Subject
from ohlcache.telemetry.windows import Selection, Windows

_CACHED, _DECODED = (
    Gauge(Selection(metrics.CACHE_BYTES)),
    Gauge(Selection(metrics.HISTORY_MEMORY_BYTES)),
)
_CACHE_LIMIT = Selection(metrics.CACHE_LIMIT_BYTES)
_HISTORY_LIMIT = Selection(metrics.HISTORY_MEMORY_LIMIT_BYTES)
_JUDGED = {deduction.indicator: deduction for deduction in DEDUCTIONS}
_LEAST = 20  # requests a frame: of fewer a share or a quantile says little


def _hit_rate(tier: str, called: str) -> Subject:
    judged = _JUDGED[f"{tier}_hit_rate"]
    hits = Selection.of(metrics.CACHE_HITS, tier=tier)
    misses = Selection.of(metrics.CACHE_MISSES, tier=tier)
    return Subject(
        judged.indicator,
        judged.component,
        f"hit rate of {called}",
        "fall below {limit}",
        "ratio",
        Share(hits, misses, _LEAST),
        judged.good,
        judged.remedy,
        falling=True,
    )


_REDIS_READS = Subject(
    "l2_p99_seconds",
    "l2",
    "99th percentile of reads from Redis",
    "rise above {limit}",
    "seconds",
    SlowestShare(Selection.of(metrics.CACHE_READ_SECONDS, tier="l2"), 0.99, _LEAST),
    _JUDGED["l2_p99_seconds"].good,
    _JUDGED["l2_p99_seconds"].remedy,
)

SUBJECTS: tuple[Subject, ...] = (
    Subject(
        metrics.MEMORY_RESIDENT_BYTES.name,
        "memory",
        "memory of the process",
        "reach the limit of {limit}",
        "bytes",
        Gauge(Selection(metrics.MEMORY_RESIDENT_BYTES)),
        Selection(metrics.MEMORY_LIMIT_BYTES),
        "look for what grows (memory_profiler, the leak suspects of the memory report), or restart "
        "the process before",
        parts=(Part(_CACHED, _CACHE_LIMIT), Part(_DECODED, _HISTORY_LIMIT)),
    ),
    Subject(
        metrics.CACHE_BYTES.name,
        "l1",
        "memory of cached values",
        "be full ({limit})",
        "bytes",
        _CACHED,
        _CACHE_LIMIT,
        "nothing: the values that are worth least make room from then on",
        is_alarming=False,
    ),
    Subject(
        metrics.HISTORY_MEMORY_BYTES.name,
        "history",
        "memory of candles",
        "be full ({limit})",
        "bytes",
        _DECODED,
        _HISTORY_LIMIT,
        "nothing: candles that were not read for longest make room from then on",
        is_alarming=False,
    ),
    _hit_rate("l1", "process memory"),
    _hit_rate("l2", "Redis"),
    _REDIS_READS,
)


def of_categories(windows: Windows) -> tuple[Subject, ...]:
    """Of categories of the cache that have a limit of their own."""
    limits = Selection(metrics.CACHE_CATEGORY_LIMIT_BYTES)
    return tuple(
        Subject(
            f'{metrics.CACHE_BYTES.name}{{category="{category}"}}',
            "l1",
            f"memory of {category}",
            "be full ({limit})",
            "bytes",
            Gauge(Selection.of(metrics.CACHE_BYTES, category=category)),
            Selection.of(metrics.CACHE_CATEGORY_LIMIT_BYTES, category=category),
            "nothing: the values that are worth least make room from then on",
            is_alarming=False,
        )
        for (category,) in windows.series(limits)
    )
