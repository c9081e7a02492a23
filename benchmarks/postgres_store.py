"""The candle store in PostgreSQL, beside the one in SQLite and beside rows in a table.

Both stores and the table hold the same year of minutes. A cold read is of a store in which nothing
is decoded, and which was opened for it (the server is then still busy with our connections) or kept
open; the server's and the system's caches are warm for everyone. The table has an index on symbol
and time, and is read with ``SELECT`` into pandas by psycopg, in binary.

Measured on the server that ``OHLCACHE_TEST_POSTGRES_URL`` names, if any.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd

import ohlcache
from benchmarks.common import (
    Figure,
    Options,
    Run,
    as_bytes,
    as_time,
    best_by_turns,
    figure,
    ratio_at_most,
    seconds,
    times_faster,
)
from benchmarks.datasets import SYMBOL, TIMEFRAME, YEAR, synthetic
from benchmarks.stores import empty_stores, let_go
from ohlcache.history import MarketData

if TYPE_CHECKING:
    import psycopg

TITLE = "The store in PostgreSQL"

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
    with empty_stores(options, "postgres_store") as stores:
        if "PostgreSQL" not in stores:
            return
        import psycopg

        with psycopg.connect(stores["PostgreSQL"], autocommit=True) as connection:
            yield from _measured(options, stores, connection)


def _measured(
    options: Options, stores: dict[str, str], connection: psycopg.Connection[Any]
) -> Iterator[Figure]:
    frame = synthetic(options.quick).frame
    frame = frame[(frame.index >= YEAR.start) & (frame.index < YEAR.end)]
    wrote, stored = {}, {}
    for name, location in stores.items():
        with ohlcache.open(location) as md:
            wrote[name] = seconds(lambda md=md: md.write(SYMBOL, TIMEFRAME, frame))
            stored[name] = md.stats()["store"]["bytes"]
    table = _written(connection, frame)
    ours = wrote["PostgreSQL"]
    yield figure("write a year", ours, as_time, ("SQLite", wrote["SQLite"]))
    yield figure("write a year", ours, as_time, ("COPY of rows", table))
    ((rows,),) = connection.execute("SELECT pg_total_relation_size('candles')").fetchall()
    beside = ("row table", rows)
    yield figure("a year on disk", stored["PostgreSQL"], as_bytes, beside, ratio_at_most(0.15))
    yield from _cold_reads(options, stores, connection, frame)


def _written(connection: psycopg.Connection[Any], frame: pd.DataFrame) -> float:
    """Seconds for the rows as a table, in the order of its index."""
    connection.execute(_TABLE)
    rows = [(SYMBOL, row[0].to_pydatetime(), *row[1:]) for row in frame[_COLUMNS].itertuples()]

    def copy_rows() -> None:
        with connection.cursor().copy("COPY candles FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["text", "timestamptz", *["float8"] * 5])
            for row in rows:
                copy.write_row(row)

    took = seconds(copy_rows)
    connection.execute("VACUUM ANALYZE candles")
    return took


def _cold_reads(
    options: Options,
    stores: dict[str, str],
    connection: psycopg.Connection[Any],
    frame: pd.DataFrame,
) -> Iterator[Figure]:
    def select() -> pd.DataFrame:
        found = connection.execute(_SELECT, (SYMBOL, YEAR.start, YEAR.end), binary=True)
        read = pd.DataFrame.from_records(found.fetchall(), columns=["timestamp", *_COLUMNS])
        return read.set_index("timestamp")

    if not (select().to_numpy() == frame[_COLUMNS].to_numpy()).all():
        raise AssertionError("the table holds other candles")
    with ExitStack() as stack:
        runs: dict[str, Run] = {"SELECT into pandas": lambda: seconds(select)}
        for name, location in stores.items():
            kept = stack.enter_context(ohlcache.open(location))
            runs[f"{name}, opened for it"] = partial(_opened_and_read, location)
            runs[f"{name}, kept open"] = partial(_read, kept)
        best = best_by_turns(runs, options.turns(20), budget=10.0)
    for how in ("opened for it", "kept open"):
        ours, beside = best[f"PostgreSQL, {how}"], ("SQLite", best[f"SQLite, {how}"])
        yield figure(f"cold read of a year, {how}", ours, as_time, beside, ratio_at_most(1.5))
    beside = ("SELECT into pandas", best["SELECT into pandas"])
    yield figure("cold read of a year, kept open", ours, as_time, beside, times_faster(10))


def _opened_and_read(location: str) -> float:
    """Seconds of the read alone."""
    with ohlcache.open(location) as md:
        return _read(md)


def _read(md: MarketData) -> float:
    let_go(md)
    return seconds(lambda: md.candles(SYMBOL, TIMEFRAME, YEAR.start, YEAR.end))
