"""Empty stores to measure: SQLite, and PostgreSQL where a server is named."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.common import Options

SERVER_VARIABLE = "OHLCACHE_TEST_POSTGRES_URL"


@contextmanager
def empty_stores(options: Options, name: str) -> Iterator[dict[str, str]]:
    """Locations by database. In PostgreSQL it is the schema ``ohlcache_<name>``, made anew."""
    folder = options.scratch / name
    stores = {"SQLite": str(folder)}
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
