"""What does it cost that many processes and machines share one history?

A month of minutes, of which nothing is decoded, from each place that can have it. What it takes to
have a range to oneself before it is fetched. After how long a candle that one process wrote is in
the reads of another, counted from when the write returned. PostgreSQL is measured where
``OHLCACHE_TEST_POSTGRES_URL`` names a server; its schema ``ohlcache_tiers`` is made anew.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import ohlcache
from benchmarks.common import (
    Figure,
    Options,
    Target,
    as_time,
    at_most,
    best_by_turns,
    figure,
    percentile,
    seconds,
)
from benchmarks.datasets import MONTH, SYMBOL, TIMEFRAME, YEAR, Span, synthetic
from benchmarks.redis_bench_server import redis_server
from ohlcache.candles import Interval, Timeframe
from ohlcache.history import MarketData
from ohlcache.history.reports import SeriesKey
from ohlcache.history.turns import LEASE_SECONDS

TITLE = "One history for many processes"

_SCHEMA = "ohlcache_tiers"
_KEY = SeriesKey("local", SYMBOL, Timeframe.parse(TIMEFRAME))
_CLAIMS = 100  # in one measurement
_WRITES = 300
_MINUTE = 60_000
_FIRST = 1_900_000_000_000 // _MINUTE * _MINUTE
_ALL = 2**40


def measure(options: Options) -> Iterator[Figure]:
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server(options.scratch))
        stores: dict[str, str | Path] = {"SQLite": options.scratch / "tiers"}
        if url := os.environ.get("OHLCACHE_TEST_POSTGRES_URL"):
            stores["PostgreSQL"] = stack.enter_context(_schema(url))
        frame = synthetic(options.quick).frame
        for location in stores.values():
            with ohlcache.open(location) as md:
                md.write(SYMBOL, TIMEFRAME, frame)
        yield from _reads(options, stores, redis)
        for name, location in stores.items():
            with ohlcache.open(location) as md:
                best = best_by_turns({"": partial(_claims, md)}, options.turns(20))
                bound = at_most(2e-3, as_time) if name == "SQLite" else None
                yield figure(f"take and give up a range, {name}", best[""], as_time, target=bound)
        for name, location in stores.items():
            took = _visible_after(location, _WRITES // 4 if options.quick else _WRITES)
            yield figure(f"seen by another process, median, {name}", percentile(took, 0.5), as_time)
            bound = at_most(0.1, as_time)
            yield figure(
                f"seen by another process, p99, {name}",
                percentile(took, 0.99),
                as_time,
                None,
                bound,
            )


@contextmanager
def _schema(url: str) -> Iterator[str]:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {_SCHEMA} CASCADE")
        connection.execute(f"CREATE SCHEMA {_SCHEMA}")
        yield f"{url}{'&' if '?' in url else '?'}options=-csearch_path%3D{_SCHEMA}"
        connection.execute(f"DROP SCHEMA {_SCHEMA} CASCADE")


# -- reads ---------------------------------------------------------------------------------------


def _reads(options: Options, stores: dict[str, str | Path], redis: str) -> Iterator[Figure]:
    bounds: dict[str, Target] = {MONTH.name: at_most(5e-3, as_time)}
    with ExitStack() as stack:
        opened = {}
        for name, location in stores.items():
            opened[name] = stack.enter_context(ohlcache.open(location))
            opened[f"Redis before {name}"] = stack.enter_context(_sharing(location, redis))
        for span in (MONTH, YEAR):
            runs = {name: partial(_cold, md, span) for name, md in opened.items()}
            best = best_by_turns(runs, options.turns(40))
            for name in stores:
                before, peer = f"Redis before {name}", (name, best[name])
                yield figure(
                    f"{span.name}, {before}", best[before], as_time, peer, bounds.get(span.name)
                )


@contextmanager
def _sharing(location: str | Path, redis: str) -> Iterator[MarketData]:
    """A store whose chunks Redis has."""
    tree = {"history": {"share_chunks": True}, "cache": {"l2": {"redis_url": redis}}}
    with ohlcache.open(location, settings=tree) as md:
        md.candles(SYMBOL, TIMEFRAME)
        while md.stats()["shared"].get("written", 0) < md.stats()["shared"]["misses"]:
            time.sleep(0.01)
        yield md


def _cold(md: MarketData, span: Span) -> float:
    md.drop_decoded(_ALL)
    return seconds(lambda: md.candles(SYMBOL, TIMEFRAME, span.start, span.end))


# -- leases --------------------------------------------------------------------------------------


def _claims(md: MarketData) -> float:
    leases = md._store.leases

    def some() -> None:
        for number in range(_CLAIMS):
            start = _FIRST + number * 500 * _MINUTE
            wanted = (Interval(start, start + 500 * _MINUTE),)
            claim = leases.claim(_KEY, wanted, "benchmark", LEASE_SECONDS)
            leases.release(_KEY, claim.granted, "benchmark")

    return seconds(some) / _CLAIMS


# -- visibility ----------------------------------------------------------------------------------


def _visible_after(location: str | Path, writes: int) -> list[float]:
    """Seconds from the return of a write to the first read of another process that has it."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    writer = context.Process(target=_write, args=(location, writes, theirs))
    writer.start()
    took = []
    with ohlcache.open(location) as md:
        for number in range(writes):
            ours.send(None)
            time_of = _FIRST + number * _MINUTE
            seen = _until(lambda time_of=time_of: _holds(md, time_of))
            took.append(max(0.0, seen - ours.recv()))
    writer.join()
    return took


def _write(location: str | Path, writes: int, reader: Connection[Any, Any]) -> None:
    with ohlcache.open(location) as md:
        for number in range(writes):
            reader.recv()
            time.sleep(0.002)  # by then the reader is waiting
            row = [[_FIRST + number * _MINUTE, 1.0, 1.0, 1.0, 1.0, 1.0]]
            md.write("SEEN", TIMEFRAME, row, closed_until=_FIRST + 10**12)
            reader.send(time.monotonic())


def _holds(md: MarketData, time_of: int) -> bool:
    try:
        rows = md.candles("SEEN", TIMEFRAME, time_of, time_of + _MINUTE, as_="ccxt")
    except ohlcache.OhlcacheError:  # not stored yet
        return False
    return bool(rows)


def _until(condition: Callable[[], bool]) -> float:
    while not condition():
        time.sleep(0.0005)
    return time.monotonic()
