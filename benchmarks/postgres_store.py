"""The candle store in PostgreSQL, beside the one in SQLite and beside rows in a table.

Both stores and the table hold the same year of minutes. A cold read opens the store anew, so that
nothing is decoded; the server's and the system's caches are warm for everyone. The table has an
index on symbol and time, and is read with ``SELECT`` into pandas by psycopg, in binary.

Measured on the server that ``OHLCACHE_TEST_POSTGRES_URL`` names, if any; its schema
``ohlcache_bench`` is made anew.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import pandas as pd
import psycopg

import ohlcache
from benchmarks.common import (
    Figure,
    Options,
    Run,
    as_bytes,
    as_time,
    at_most,
    best_by_turns,
    figure,
    percentile,
    ratio_at_most,
    seconds,
    times_faster,
)
from benchmarks.datasets import SYMBOL, TIMEFRAME, YEAR, synthetic

TITLE = "The store in PostgreSQL"

_SCHEMA = "ohlcache_bench"
_BESIDE = "beside postgres"
_COLUMNS = ["open", "high", "low", "close", "volume"]
_TABLE = """
CREATE TABLE candles (
    symbol TEXT NOT NULL,
    time   TIMESTAMPTZ NOT NULL,
    open   DOUBLE PRECISION NOT NULL,
    high   DOUBLE PRECISION NOT NULL,
    low    DOUBLE PRECISION NOT NULL,
    close  DOUBLE PRECISION NOT NULL,
    volume DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (symbol, time)
)
"""
_SELECT = (
    "SELECT time, open, high, low, close, volume FROM candles "
    "WHERE symbol = %s AND time >= %s AND time < %s ORDER BY time"
)


def measure(options: Options) -> Iterator[Figure]:
    url = os.environ.get("OHLCACHE_TEST_POSTGRES_URL")
    if not url:
        return
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {_SCHEMA} CASCADE")
        connection.execute(f"CREATE SCHEMA {_SCHEMA}")
    inside = f"{url}{'&' if '?' in url else '?'}options=-csearch_path%3D{_SCHEMA}"
    with psycopg.connect(inside, autocommit=True) as connection:
        yield from _measured(options, inside, connection)
        connection.execute(f"DROP SCHEMA {_SCHEMA} CASCADE")


def _measured(options: Options, url: str, connection: psycopg.Connection[Any]) -> Iterator[Figure]:
    frame = synthetic(options.quick).frame
    frame = frame[(frame.index >= YEAR.start) & (frame.index < YEAR.end)]
    with ohlcache.open(url) as md:
        took = seconds(lambda: md.write(SYMBOL, TIMEFRAME, frame))
        stored = md.stats()["store"]["bytes"]
    with ohlcache.open(options.scratch / _BESIDE) as md:
        beside = seconds(lambda: md.write(SYMBOL, TIMEFRAME, frame))
    yield figure("write a year", took, as_time, ("SQLite", beside))
    _fill(connection, frame)
    ((rows,),) = connection.execute("SELECT pg_total_relation_size('candles')").fetchall()
    yield figure("a year on disk", stored, as_bytes, ("row table", rows), ratio_at_most(0.15))
    yield from _cold_reads(options, url, connection, frame)
    yield from _others(url)


def _cold_reads(
    options: Options, url: str, connection: psycopg.Connection[Any], frame: pd.DataFrame
) -> Iterator[Figure]:
    def reading(location: Any) -> Run:
        def read() -> float:
            with ohlcache.open(location) as md:
                return seconds(lambda: md.candles(SYMBOL, TIMEFRAME, YEAR.start, YEAR.end))

        return read

    def select() -> pd.DataFrame:
        found = connection.execute(_SELECT, (SYMBOL, YEAR.start, YEAR.end), binary=True)
        read = pd.DataFrame.from_records(found.fetchall(), columns=["timestamp", *_COLUMNS])
        return read.set_index("timestamp")

    if not (select().to_numpy() == frame[_COLUMNS].to_numpy()).all():
        raise AssertionError("the table holds other candles")
    runs = {
        "ours": reading(url),
        "SQLite": reading(options.scratch / _BESIDE),
        "SELECT into pandas": lambda: seconds(select),
    }
    best = best_by_turns(runs, options.turns(20), budget=10.0)
    for peer, target in (("SQLite", ratio_at_most(1.5)), ("SELECT into pandas", times_faster(10))):
        yield figure("cold read of a year", best["ours"], as_time, (peer, best[peer]), target)


def _others(url: str) -> Iterator[Figure]:
    """From the end of a write until another opening of the store knows of it."""
    with ohlcache.open(url) as writer, ohlcache.open(url) as reader:
        hearing = reader._store._engine
        while hearing._listener.heard() is None:
            time.sleep(0.01)
        waited = []
        for number in range(100):
            heard = hearing._listener.heard()
            writer.set_metadata(SYMBOL, {"number": number})
            began = time.perf_counter()
            while hearing._listener.heard() == heard:
                time.sleep(0)
            waited.append(time.perf_counter() - began)
        hits = 10_000
        token = seconds(lambda: [hearing.token() for _ in range(hits)]) / hits
    yield figure(
        "until others see a write, p95",
        percentile(waited, 0.95),
        as_time,
        None,
        at_most(0.1, as_time),
    )
    yield figure("token of a hit", token, as_time)


def _fill(connection: psycopg.Connection[Any], frame: pd.DataFrame) -> None:
    connection.execute(_TABLE)
    with connection.cursor().copy("COPY candles FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(["text", "timestamptz", *["float8"] * 5])
        for row in frame[_COLUMNS].itertuples():
            copy.write_row((SYMBOL, row[0].to_pydatetime(), *row[1:]))
    connection.execute("VACUUM ANALYZE candles")
