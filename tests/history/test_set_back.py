"""A store that is set back to an earlier state, by a restore or a failover, and goes on from there.

It gives numbers a second time. Whoever still holds what was taken back must not go on with it.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing

import psycopg

import ohlcache
from made_candles import MINUTE, T0, make_block
from ohlcache.candles import Block, to_block

ROWS = 10
END = T0 + ROWS * MINUTE


def candles(value):
    """Candles that all have the same prices."""
    block = make_block(ROWS)
    block.values[:4] = value
    return Block(block.times, block.values)


def write(location, value):
    with ohlcache.open(location) as md:
        md.write("X", "1m", candles(value))


def read(md):
    """The prices that there are, in the series and in the one made from it."""
    found = [to_block(md.candles("X", timeframe, T0, END)) for timeframe in ("1m", "5m")]
    return {price for block in found for price in block.values[:4].ravel().tolist()}


def await_price(md, price):
    """Read until this is the price; nothing else but that of before may be read."""
    before = read(md)
    deadline = time.monotonic() + 20
    while (found := read(md)) != {price}:
        assert found == before
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_file_that_was_restored_in_place(tmp_path, another_process):
    path = tmp_path / "store" / "ohlcache.sqlite"
    write(path.parent, 1.0)
    with closing(sqlite3.connect(tmp_path / "copy")) as copy:
        with closing(sqlite3.connect(path)) as connection:
            connection.backup(copy)
        with ohlcache.open(path.parent) as md:
            md.write("X", "1m", candles(2.0))
            assert read(md) == {2.0}
            with closing(sqlite3.connect(path)) as connection:
                copy.backup(connection)
            another_process(write, path.parent, 3.0)  # gets the revision that was taken back
            assert read(md) == {3.0}
            assert md.stats()["memory"]["setbacks"] == 1


def test_what_was_decoded_of_a_write_that_is_taken_back(tmp_path, monkeypatch):
    path = tmp_path / "store" / "ohlcache.sqlite"
    write(path.parent, 1.0)
    with closing(sqlite3.connect(tmp_path / "copy")) as copy, ohlcache.open(path.parent) as md:
        with closing(sqlite3.connect(path)) as connection:
            connection.backup(copy)
        load = md._holder._load

        def write_first(*arguments):  # after the look at the catalogue
            monkeypatch.undo()
            write(path.parent, 2.0)
            return load(*arguments)

        monkeypatch.setattr(md._holder, "_load", write_first)
        assert read(md) == {2.0}
        with closing(sqlite3.connect(path)) as connection:
            copy.backup(connection)
        for price in (3.0, 4.0):
            write(path.parent, price)
            assert read(md) == {price}


def test_a_failover_to_a_server_that_lacks_the_last_commit(own_postgres, another_process):
    server = own_postgres.url.rpartition("/")[0]
    with psycopg.connect(own_postgres.url, autocommit=True) as admin:
        admin.execute("CREATE DATABASE live")
        write(f"{server}/live", 1.0)
        admin.execute("CREATE DATABASE standby TEMPLATE live")
        with ohlcache.open(f"{server}/live") as md:
            md.write("X", "1m", candles(2.0))
            while md._store.token_at_hand() is None:
                assert read(md) == {2.0}
            admin.execute("ALTER DATABASE live WITH ALLOW_CONNECTIONS false")
            admin.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE datname = 'live'"
            )
            admin.execute("ALTER DATABASE live RENAME TO lost")
            admin.execute("ALTER DATABASE standby RENAME TO live")
            another_process(write, f"{server}/live", 3.0)  # as many commits as before
            await_price(md, 3.0)
            assert md.stats()["memory"]["setbacks"] == 1


def test_a_dump_that_is_loaded_under_a_reader(own_postgres, another_process):
    with (
        psycopg.connect(own_postgres.url, autocommit=True) as admin,
        ohlcache.open(own_postgres.url) as md,
    ):
        md.write("X", "1m", candles(1.0))
        admin.execute("SET search_path TO ohlcache")
        admin.execute("SET session_replication_role = replica")  # the order of tables is no matter
        tables = [
            name
            for (name,) in admin.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'ohlcache' "
                "AND tablename NOT LIKE 'chunk\\_%'"
            )
        ]
        for table in tables:
            admin.execute(f"CREATE TEMP TABLE kept_{table} AS SELECT * FROM {table}")
        for price in (2.0, 3.0, 4.0):
            md.write("X", "1m", candles(price))
        while md._store.token_at_hand() is None:
            assert read(md) == {4.0}
        with admin.transaction():
            for table in tables:
                admin.execute(f"DELETE FROM {table}")
                admin.execute(f"INSERT INTO {table} SELECT * FROM kept_{table}")
        another_process(write, own_postgres.url, 5.0)
        await_price(md, 5.0)
        assert md.stats()["memory"]["setbacks"] == 1


def test_a_copy_of_a_database_is_another_store(own_postgres, another_process):
    server = own_postgres.url.rpartition("/")[0]
    with psycopg.connect(own_postgres.url, autocommit=True) as admin:
        admin.execute("CREATE DATABASE one")
        write(f"{server}/one", 1.0)
        admin.execute("CREATE DATABASE other TEMPLATE one")
    with ohlcache.open(f"{server}/one") as one, ohlcache.open(f"{server}/other") as other:
        for _ in range(5):
            one.write("Y", "1m", candles(1.0))
            one.delete("Y", "1m")
        while other._store.token_at_hand() is None:
            assert read(other) == {1.0}
        another_process(write, f"{server}/other", 2.0)
        await_price(other, 2.0)
        assert read(one) == {1.0}
