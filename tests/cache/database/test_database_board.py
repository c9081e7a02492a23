"""The board in SQLite and PostgreSQL."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from cache.shared_tier import PATIENCE
from ohlcache.cache.database import DatabaseTier
from ohlcache.cache.database.board import MOST_REPORTS
from ohlcache.cache.tiers import Change
from ohlcache.errors import StoreLocked

HAS_TABLE = {
    "sqlite": "SELECT count(*) FROM sqlite_master WHERE name = 'ohlcache1_reports'",
    "postgresql": "SELECT count(*) FROM pg_tables WHERE tablename = 'ohlcache1_reports' "
    "AND schemaname = current_schema()",
}


@pytest.fixture
def ask(url):
    """Ask the database itself something."""

    def ask(sql):
        if url.startswith("sqlite"):
            with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
                return connection.execute(sql).fetchall()
        import psycopg

        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    return ask


@pytest.fixture
def tier(open_tier, url):
    return open_tier(url)


def test_the_last_report_of_each_process_is_there(tier, open_tier, url):
    one, other = tier.board, open_tier(url).board
    one.withdraw("a")
    assert one.reports() == {}
    assert one.post("a", b"old", 60)
    assert one.post("a", b"new \x00\xff", 60)
    assert other.post("процесс", b"", 60)
    found = other.reports()
    assert {name: posted.report for name, posted in found.items()} == {
        "a": b"new \x00\xff",
        "процесс": b"",
    }
    assert all(0 <= posted.age_seconds < PATIENCE for posted in found.values())
    one.withdraw("a")
    one.withdraw("a")
    assert list(other.reports()) == ["процесс"]


def test_a_report_has_an_age_and_goes_when_its_time_has_passed(tier, ask):
    tier.board.post("a", b"report", 60)
    tier.board.post("b", b"report", 60)
    ask("UPDATE ohlcache1_reports SET posted = posted - 40000000, ends = ends - 40000000")
    assert tier.board.reports().keys() == {"a", "b"}
    assert 40 <= tier.board.reports()["a"].age_seconds < 40 + PATIENCE
    ask("UPDATE ohlcache1_reports SET ends = ends - 20000000 WHERE process = 'a'")
    assert list(tier.board.reports()) == ["b"]
    tier.board.post("b", b"report", 60)
    assert ask("SELECT process FROM ohlcache1_reports") == [("b",)]


def test_it_goes_by_the_clock_of_the_database(open_tier, url, clock):
    """``clock``, that of the process, is years behind."""
    board = open_tier(url, clock=clock).board
    board.post("a", b"report", 60)
    clock.now += 1e6
    assert 0 <= board.reports()["a"].age_seconds < PATIENCE


def test_there_is_room_for_so_many(tier, ask):
    board = tier.board
    board.post("process", b"report", 60)
    rows = ", ".join(
        f"('ohlcache', 'process {n}', 0, {10**17}, 'x')" for n in range(2, MOST_REPORTS + 1)
    )
    if tier.stats().get("file_bytes") is None:
        rows = rows.replace("'x'", "'x'::bytea")
    ask(f"INSERT INTO ohlcache1_reports VALUES {rows}")
    assert not board.post("one more", b"report", 60)
    assert board.post("process", b"news", 60)
    assert len(board.reports()) == MOST_REPORTS
    board.withdraw("process 2")
    assert board.post("one more", b"report", 60)


def test_namespaces_do_not_see_each_other(tier, open_tier, url):
    tier.board.post("a", b"report", 60)
    other = open_tier(url, namespace="another").board
    assert other.reports() == {}
    other.post("a", b"of another", 60)
    other.withdraw("a")
    assert tier.board.reports()["a"].report == b"report"


def test_a_database_of_before_gets_the_table_when_it_is_needed(url, ask, open_tier):
    kind = url.partition(":")[0]
    old = DatabaseTier(url)
    old.write([Change("key", b"value", None)])()
    old.close()
    assert ask(HAS_TABLE[kind]) == [(0,)]
    tier = open_tier(url)
    assert tier.board.reports() == {}
    assert tier.board.post("a", b"report", 60)
    assert ask(HAS_TABLE[kind]) == [(1,)]
    assert tier.read(["key"])()["key"].data == b"value"
    assert list(tier.board.reports()) == ["a"]


def test_it_comes_back_after_the_table_was_dropped(tier, ask):
    tier.board.post("a", b"report", 60)
    ask("DROP TABLE ohlcache1_reports")
    assert tier.board.reports() == {}
    tier.board.post("b", b"report", 60)
    assert list(tier.board.reports()) == ["b"]


def test_many_that_begin_at_once_all_get_a_place(url, open_tier):
    tiers = [open_tier(url) for _ in range(6)]
    begin = threading.Barrier(len(tiers))

    def work(number, tier):
        begin.wait(PATIENCE)
        return all(tier.board.post(f"process {number}", b"report", 60) for _ in range(5))

    with ThreadPoolExecutor(len(tiers)) as threads:
        assert all(threads.map(work, range(len(tiers)), tiers))
    assert len(tiers[0].board.reports()) == len(tiers)


def test_values_and_their_size_do_not_notice(open_tier, url):
    tier = open_tier(url, max_bytes=10_000)
    tier.write([Change("key", b"value", None)])()
    size = tier.stats()["bytes"]
    tier.board.post("a", bytes(20_000), 60)
    assert tier.stats()["bytes"] == size
    assert tier.stats()["entries"] == 1
    assert tier.read(["key"])()["key"].data == b"value"


def test_who_may_not_create_tables_can_use_the_tier_all_the_same(postgres_schema_url, open_tier):
    import psycopg

    url = postgres_schema_url
    open_tier(url).probe()()
    schema = url.rpartition("%3D")[2]
    role = f"reader_of_{schema}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN")
        connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
        connection.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO {role}")
    try:
        tier = open_tier(url.replace("//postgres@", f"//{role}@"))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            tier.board.post("a", b"report", 60)
        assert tier.board.reports() == {}
        assert tier.write([Change("key", b"value", None)])()["key"]
        tier.close()
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"DROP OWNED BY {role}")
            connection.execute(f"DROP ROLE {role}")


def test_a_file_that_is_kept_locked_is_told_in_time(sqlite_url, open_tier):
    tier = open_tier(sqlite_url, timeout_seconds=0.1)
    tier.board.post("a", b"report", 60)
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreLocked):
            tier.board.post("a", b"report", 60)
        assert list(tier.board.reports()) == ["a"]
    tier.board.post("a", b"report", 60)
