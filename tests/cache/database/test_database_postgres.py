"""What only a server can meet: it stops, hangs, cuts connections, and has rights."""

from __future__ import annotations

import re
import sys

import psycopg
import pytest

from cache.shared_tier import Recorder
from ohlcache.cache.database import DatabaseTier
from ohlcache.cache.tiers import Change
from ohlcache.errors import InvalidArgument, MissingExtra, StoreError, StoreLocked


@pytest.fixture
def url(postgres_schema_url):
    return postgres_schema_url


@pytest.fixture
def admin(url):
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def listening(tier):
    recorder = Recorder()
    tier.listen(recorder)
    recorder.wait_for("live")
    recorder.forget()
    return recorder


def cut(admin, where="true"):
    """Have the server cut the tiers' connections; how many it were."""
    return len(
        admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            f"WHERE application_name = 'ohlcache' AND pid <> pg_backend_pid() AND {where}"
        ).fetchall()
    )


def test_no_server_is_needed_until_the_tier_is_used(open_tier):
    tier = open_tier("postgresql://user:secret@127.0.0.1:1/none", timeout_seconds=0.5)
    assert tier.stats()["entries"] == 0
    for step in (tier.read(["a"]), tier.write([Change("a", b"x", None)]), tier.probe()):
        with pytest.raises(psycopg.OperationalError) as refused:
            step()
        assert "secret" not in str(refused.value)


def test_a_cut_idle_connection_is_replaced_unnoticed(open_tier, url, admin):
    tier = open_tier(url)
    tier.write([Change("a", b"x", None)])()
    assert cut(admin) == 1
    assert tier.read(["a"])()["a"].data == b"x"
    assert cut(admin) == 1
    assert tier.write([Change("a", b"y", None)])()["a"]
    assert tier.read(["a"])()["a"].data == b"y"


def test_a_cut_listening_connection_loses_trust_and_is_replaced(open_tier, url, admin):
    tier, other = open_tier(url), open_tier(url)
    told = listening(tier)
    assert cut(admin, "query LIKE 'LISTEN%'") == 1
    told.wait_for("lost")
    told.wait_for("live")
    stamp = other.write([Change("a", b"x", None)])()["a"]
    told.wait_for("changed", ("a", stamp))
    assert tier.stats()["listen_lost"] == 1


def test_a_server_that_is_stopped_and_started(open_tier, own_postgres):
    tier, other = open_tier(own_postgres.url), open_tier(own_postgres.url)
    told = listening(tier)
    tier.write([Change("a", b"x", None)])()
    own_postgres.stop()
    told.wait_for("lost")
    with pytest.raises(psycopg.OperationalError):
        tier.read(["a"])()
    own_postgres.start()
    told.wait_for("live")
    assert tier.read(["a"])()["a"].data == b"x"
    stamp = other.write([Change("a", b"y", None)])()["a"]
    told.wait_for("changed", ("a", stamp))


def test_a_server_that_hangs_costs_a_bounded_time(open_tier, own_postgres):
    tier = open_tier(own_postgres.url, timeout_seconds=0.2)
    told = listening(tier)
    tier.write([Change("a", b"x", None)])()
    own_postgres.freeze()
    try:
        with pytest.raises(psycopg.OperationalError):
            tier.read(["a"])()
        told.wait_for("lost")
    finally:
        own_postgres.thaw()
    told.wait_for("live")
    assert tier.read(["a"])()["a"].data == b"x"


def test_a_row_that_is_locked_for_too_long_is_an_error_and_the_tier_goes_on(open_tier, url, admin):
    tier = open_tier(url, timeout_seconds=0.1)
    tier.write([Change("a", b"x", None)])()
    with admin.transaction():
        admin.execute("SELECT * FROM ohlcache1_clock FOR UPDATE")
        with pytest.raises((psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled)):
            tier.write([Change("a", b"y", None)])()
        assert tier.read(["a"])()["a"].data == b"x"
    tier.write([Change("a", b"z", None)])()
    assert tier.read(["a"])()["a"].data == b"z"
    assert tier.stats()["idle_connections"] == 1


@pytest.mark.parametrize(("count", "is_told_all"), [(1000, False), (20_000, True)])
def test_many_changes_at_once_are_all_told(open_tier, url, count, is_told_all):
    """NOTIFY takes 8,000 bytes; of very many it is told that anything may have changed."""
    told = listening(open_tier(url))
    stamps = open_tier(url).write([Change(f"key {at}", b"", None) for at in range(count)])()
    if is_told_all:
        told.wait_for("lost")
        told.wait_for("live")
    else:
        for change in stamps.items():
            told.wait_for("changed", change)
        assert not told.all("lost")


def test_a_key_longer_than_a_notice(open_tier, url):
    tier, other = open_tier(url), open_tier(url)
    told = listening(tier)
    long = ["k" * 9000, "k" * 9000 + "l"]
    other.write([Change(key, key[-1:].encode(), None) for key in long])()
    told.wait_for("lost")
    assert [tier.read([key])()[key].data for key in long] == [b"k", b"l"]


def test_rights_on_one_schema_are_enough(postgres_url, url, admin, open_tier):
    schema = admin.execute("SELECT current_schema()").fetchone()[0]
    admin.execute(f"CREATE ROLE {schema} LOGIN")
    try:
        admin.execute(f"GRANT USAGE, CREATE ON SCHEMA {schema} TO {schema}")
        tier = open_tier(re.sub("://([^@/]*@)?", f"://{schema}@", url))
        tier.write([Change("a", b"x", None)])()
        assert tier.read(["a"])()["a"].data == b"x"
    finally:
        admin.execute(f"DROP OWNED BY {schema}")
        admin.execute(f"DROP ROLE {schema}")


def test_no_schema_to_use(postgres_url, open_tier):
    tier = open_tier(f"{postgres_url}?options=-csearch_path%3Dnowhere")
    with pytest.raises(StoreError, match=r"cache\.l3\.url leads to no schema"):
        tier.probe()()


def test_dropped_tables_are_made_again(open_tier, url, admin):
    tier = open_tier(url)
    tier.write([Change("a", b"x", None)])()
    for name in ("clock", "entries", "leases", "versions"):
        admin.execute(f"DROP TABLE ohlcache1_{name}")
    with pytest.raises(psycopg.errors.UndefinedTable):
        tier.read(["a"])()
    assert tier.read(["a"])() == {}
    assert tier.write([Change("a", b"y", None)])()["a"]


def test_connections_are_bounded(open_tier, url):
    tier = open_tier(url, timeout_seconds=0.05)
    pool = tier._engine._pool

    def use(depth):
        return pool.use(lambda _: use(depth - 1)) if depth else pool.idle

    assert use(8) == 0
    assert pool.idle == 8
    with pytest.raises(StoreLocked, match="all 8 connections"):
        use(9)


def test_a_missing_driver_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for name in [name for name in sys.modules if name.startswith("ohlcache.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingExtra, match=r"psycopg is not installed: .*ohlcache\[postgres\]"):
        DatabaseTier("postgresql://127.0.0.1/x")


def test_a_url_that_the_driver_does_not_understand():
    with pytest.raises(InvalidArgument, match=r"cache\.l3\.url 'postgresql://u:\*\*\*@h/d\?x=y'"):
        DatabaseTier("postgresql://u:secret@h/d?x=y")
