"""What does each place cost that candles can come from, and the right to fetch them?

A month and a year of minutes, of which nothing is decoded, from the database and from Redis before
it. A year that memory holds, beside the same of a SQLite store alone: that it is shared must not be
felt. What it takes to have a range to oneself before it is fetched. PostgreSQL is measured where
``OHLCACHE_TEST_POSTGRES_URL`` names a server.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import ohlcache
from benchmarks.common import (
    Figure,
    Options,
    Run,
    Target,
    as_time,
    at_most,
    best_by_turns,
    figure,
    ratio_at_most,
    seconds,
)
from benchmarks.datasets import MINUTE, MONTH, SYMBOL, TIMEFRAME, YEAR, Span, synthetic
from benchmarks.redis_bench_server import redis_server
from benchmarks.stores import await_shared, empty_stores, let_go, opened
from ohlcache.candles import Interval, Timeframe
from ohlcache.history import MarketData
from ohlcache.history.reports import SeriesKey
from ohlcache.history.turns import LEASE_SECONDS

TITLE = "Memory, Redis, database"

_KEY = SeriesKey("local", SYMBOL, Timeframe.parse(TIMEFRAME))
_WARM_READS, _CLAIMS = 500, 100  # in one measurement
_CLAIMED = 500 * MINUTE
_FIRST = 1_900_000_000_000 // MINUTE * MINUTE


def measure(options: Options) -> Iterator[Figure]:
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server(options.scratch))
        locations = stack.enter_context(empty_stores(options, "tiers"))
        stores = {}
        for name, location in locations.items():
            with ohlcache.open(location) as md:
                md.write(SYMBOL, TIMEFRAME, synthetic(options.quick).frame)
            stores[name] = stack.enter_context(opened(location))
            shared = stack.enter_context(opened(location, redis))
            shared.candles(SYMBOL, TIMEFRAME)
            await_shared(shared)
            stores[f"Redis before {name}"] = shared
        yield from _cold_reads(options, stores, MONTH, at_most(5e-3, as_time))
        yield from _cold_reads(options, stores, YEAR)
        yield from _warm_reads(options, stores)
        yield from _claims(options, {name: stores[name] for name in locations})


def _cold_reads(
    options: Options, stores: dict[str, MarketData], span: Span, target: Target | None = None
) -> Iterator[Figure]:
    runs = {name: partial(_cold_read, md, span) for name, md in stores.items()}
    best = best_by_turns(runs, options.turns(40))
    for name in stores:
        if (before := f"Redis before {name}") in stores:
            what = f"{span.name}, {before}"
            yield figure(what, best[before], as_time, (name, best[name]), target)


def _cold_read(md: MarketData, span: Span) -> float:
    let_go(md)
    return seconds(lambda: md.candles(SYMBOL, TIMEFRAME, span.start, span.end))


def _warm_reads(options: Options, stores: dict[str, MarketData]) -> Iterator[Figure]:
    for form in ("pandas", "numpy"):
        runs: dict[str, Run] = {name: partial(_warm_read, md, form) for name, md in stores.items()}
        best = best_by_turns(runs, options.turns(40))
        alone = ("SQLite", best.pop("SQLite"))
        for name, took in best.items():
            what = f"{YEAR.name} in memory as {form}, {name}"
            yield figure(what, took, as_time, alone, ratio_at_most(1.1))


def _warm_read(md: MarketData, form: str) -> float:
    def some() -> None:
        for _ in range(_WARM_READS):
            md.candles(SYMBOL, TIMEFRAME, YEAR.start, YEAR.end, as_=form)

    md.candles(SYMBOL, TIMEFRAME, YEAR.start, YEAR.end)
    return seconds(some) / _WARM_READS


def _claims(options: Options, stores: dict[str, MarketData]) -> Iterator[Figure]:
    runs = {name: partial(_claim, md) for name, md in stores.items()}
    for name, took in best_by_turns(runs, options.turns(20)).items():
        what = f"take and give up a range, {name}"
        yield figure(what, took, as_time, target=at_most(2e-3, as_time))


def _claim(md: MarketData) -> float:
    leases = md._store.leases

    def some() -> None:
        for number in range(_CLAIMS):
            start = _FIRST + number * _CLAIMED
            wanted = (Interval(start, start + _CLAIMED),)
            claim = leases.claim(_KEY, wanted, "benchmark", LEASE_SECONDS)
            leases.release(_KEY, claim.granted, "benchmark")

    return seconds(some) / _CLAIMS
