"""The stores that are measured: in SQLite, and in PostgreSQL where a server is named.

They begin empty. ``series`` and ``candle`` are made-up contents for those that hold many series.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ohlcache
from benchmarks.common import Options
from ohlcache.candles import Block
from ohlcache.history import MarketData
from ohlcache.sources.synthetic import synthetic_candles

SERVER_VARIABLE = "OHLCACHE_TEST_POSTGRES_URL"

_ALL = 2**40  # bytes


@contextmanager
def empty_stores(options: Options, name: str) -> Iterator[dict[str, str]]:
    """Locations by database. In PostgreSQL it is the schema ``ohlcache_<name>``, made anew."""
    stores = {"SQLite": str(options.scratch / name)}
    server = os.environ.get(SERVER_VARIABLE)
    if not server:
        yield stores
        return
    with _schema(server, f"ohlcache_{name}") as url:
        yield {**stores, "PostgreSQL": url}


@contextmanager
def _schema(server: str, name: str) -> Iterator[str]:
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")
        connection.execute(f"CREATE SCHEMA {name}")
        yield f"{server}{'&' if '?' in server else '?'}options=-csearch_path%3D{name}"
        connection.execute(f"DROP SCHEMA {name} CASCADE")


# -- opening -------------------------------------------------------------------------------------


def opened(location: str, redis: str | None = None, **history: Any) -> MarketData:
    """A store with settings of the history; with the URL of a Redis, its chunks are shared."""
    if redis is None:
        return ohlcache.open(location, settings={"history": history})
    l2 = {"redis_url": redis, "max_size_mb": None}
    tree = {"history": {"share_chunks": True, **history}, "cache": {"l2": l2}}
    return ohlcache.open(location, settings=tree)


def let_go(md: MarketData) -> None:
    """What is read next is not decoded yet."""
    md.drop_decoded(_ALL)


def await_shared(md: MarketData) -> None:
    """Until Redis has all chunks that it lacked: they are written in the background."""
    while md.stats()["shared"].get("written", 0) < md.stats()["shared"]["misses"]:
        time.sleep(0.005)


# -- many series ---------------------------------------------------------------------------------


def symbol(number: int) -> str:
    """The name of a series."""
    return f"S{number}/USDT"


def series(number: int, timeframe: str, start: int, end: int) -> Block:
    """The candles of a series in [start, end), in ms."""
    return synthetic_candles(symbol(number), timeframe, start, end)


def candle(at: int) -> list[float]:
    """A row, as it comes alone."""
    return [at, 1.0, 1.0, 1.0, 1.0, 1.0]
