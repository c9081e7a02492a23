"""What each indicator costs its component: the table behind the health score.

`good` is where the default alert rules begin to fire, where there is one, so that the score and the
alerts do not contradict each other. How much can be lost follows from what it does to the callers:
errors more than slowness, slowness more than work that is done twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log

from ohlcache.telemetry.health.points import tenths
from ohlcache.telemetry.indicators import INDICATORS
from ohlcache.telemetry.wording import in_words


@dataclass(frozen=True, slots=True)
class Deduction:
    """The points of a component that an indicator takes off.

    good: up to here none; bad: from here on all of ``points``. Between them by the distance, for
    durations by that of the logarithms.
    message: with the indicator's ``{value}`` and what would be ``{good}``.
    """

    component: str
    indicator: str
    good: float
    bad: float
    points: float
    message: str
    remedy: str

    def lost(self, value: float) -> int:
        """Tenths of points that this value costs."""
        return tenths(self.points * self._badness(value))

    def said(self, value: float) -> str:
        """The message about this value."""
        unit = INDICATORS[self.indicator].unit
        return self.message.format(value=in_words(value, unit), good=in_words(self.good, unit))

    def _badness(self, value: float) -> float:
        """From 0 at good to 1 at bad."""
        near, far = sorted((self.good, self.bad))
        value = min(max(value, near), far)
        if INDICATORS[self.indicator].unit == "seconds":
            return log(value / self.good) / log(self.bad / self.good)
        return (value - self.good) / (self.bad - self.good)


_OUT_OF_ORDER = (
    "look at the tier's `errors` in the statistics of the cache and at its server; meanwhile the "
    "other tiers answer, and what it missed is written when it works again"
)

DEDUCTIONS: tuple[Deduction, ...] = (
    Deduction(
        "l1",
        "l1_hit_rate",
        0.90,
        0.50,
        60,
        "process memory answers {value} of requests, {good} would be good",
        "where it has been filled already: raise cache.l1.max_size_mb, or the ttl_seconds of "
        "the categories that miss most",
    ),
    Deduction(
        "l1",
        "l1_p99_seconds",
        0.001,
        0.020,
        40,
        "one hit in 100 takes longer than {value}, {good} would be good",
        "the process lacks CPU or pauses: look at its load, its threads and its pauses for garbage",
    ),
    Deduction(
        "l1",
        "eviction_ratio",
        0.80,
        1.00,
        15,
        "of values put into memory {value} push another one out",
        "raise cache.l1.max_size_mb or the max_size_mb of the category that evicts most, or keep "
        "values that are asked for once out of it",
    ),
    Deduction("l2", "l2_breaker_open", 0, 1, 100, "Redis is out of order", _OUT_OF_ORDER),
    Deduction(
        "l2",
        "l2_hit_rate",
        0.80,
        0.30,
        35,
        "Redis has {value} of what it is asked for, {good} would be good",
        "where it has been filled already: raise cache.l2.max_size_mb or the ttl_seconds of the "
        "categories that miss most; look at "
        "Redis' maxmemory and evicted_keys",
    ),
    Deduction(
        "l2",
        "l2_p99_seconds",
        0.010,
        0.200,
        45,
        "one read from Redis in 100 takes longer than {value}, {good} would be good",
        "look at the network and Redis' SLOWLOG; store smaller values; lower "
        "cache.l2.timeout_seconds so that requests wait less",
    ),
    Deduction(
        "l3", "l3_breaker_open", 0, 1, 100, "the database tier is out of order", _OUT_OF_ORDER
    ),
    Deduction(
        "l3",
        "l3_hit_rate",
        0.50,
        0.10,
        20,
        "the database tier has {value} of what it is asked for, {good} would be good",
        "raise cache.l3.max_size_mb or the ttl_seconds, or leave l3 out of the tiers of categories "
        "that never find anything there",
    ),
    Deduction(
        "l3",
        "l3_p99_seconds",
        0.050,
        1.0,
        40,
        "one read from the database tier in 100 takes longer than {value}, {good} would be good",
        "look at the disk or the PostgreSQL server of cache.l3.url and what else uses it",
    ),
    Deduction(
        "loads",
        "load_error_ratio",
        0.01,
        0.30,
        80,
        "{value} of loads fail",
        "look at `errors` of the loads in the statistics of the cache; set stale_seconds of the "
        "categories, so that old values are served meanwhile",
    ),
    Deduction(
        "loads",
        "load_p99_seconds",
        1.0,
        30.0,
        25,
        "one load in 100 takes longer than {value}, {good} would be good",
        "set stale_seconds or early_refresh of the categories, so that nobody waits, and "
        "load_timeout_seconds, so that nobody waits for long",
    ),
    Deduction(
        "loads",
        "damaged_per_second",
        0.0,
        0.1,
        40,
        "{value} values per second come damaged from a shared tier and are loaded anew",
        "look for other programs that write under the same namespace, and at the disk and memory "
        "of the server",
    ),
    Deduction(
        "history",
        "history_hit_rate",
        0.80,
        0.20,
        35,
        "process memory answers {value} of reads of candles, {good} would be good",
        "raise history.memory_mb, or read ranges again before going on to others",
    ),
    Deduction(
        "history",
        "source_error_ratio",
        0.01,
        0.30,
        75,
        "{value} of requests to sources fail for good",
        "look at `fetch` in the statistics of the candles: rate limits, credentials, symbols that "
        "are gone, or an outage of the venue",
    ),
    Deduction(
        "memory",
        "memory_used_ratio",
        0.80,
        1.00,
        100,
        "the process uses {value} of the memory it may use",
        "lower cache.l1.max_size_mb and history.memory_mb, or raise memory.limit_mb where the "
        "machine has more",
    ),
    Deduction(
        "gc",
        "gc_pause_p99_seconds",
        0.010,
        0.500,
        100,
        "one garbage collection in 100 stops the process for longer than {value}",
        "call gc.freeze() after warming up; keep fewer small Python objects alive, arrays in "
        "their place",
    ),
    Deduction(
        "pools",
        "pool_wait_p99_seconds",
        0.050,
        2.0,
        100,
        "one caller in 100 waits longer than {value} for a connection",
        "raise max_size of the pool, or look for connections that are held for long",
    ),
    Deduction(
        "queries",
        "query_p99_seconds",
        0.5,
        10.0,
        100,
        "one query in 100 takes longer than {value}, {good} would be good",
        "look at the slow queries and what the optimizer recommends for them",
    ),
)
