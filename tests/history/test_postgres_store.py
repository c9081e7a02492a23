"""What only a store in PostgreSQL can meet: servers, roles, schemas, other machines."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import psycopg
import pytest

import ohlcache
from made_candles import MINUTE, T0, make_block
from ohlcache.candles import Anchor, Block, Interval, Timeframe, to_block
from ohlcache.cli import main
from ohlcache.errors import (
    InvalidArgument,
    MissingExtra,
    StoreError,
    StoreForeign,
    StoreFull,
    StoreLocked,
    StoreReadOnly,
    StoreUnavailable,
    StoreVersionUnsupported,
)
from ohlcache.history import MarketData, Store, postgres_schema
from ohlcache.history.past.recording import Keeping
from ohlcache.history.postgres_engine import PostgresEngine
from ohlcache.history.postgres_listener import Listener
from ohlcache.history.reports import SeriesKey
from ohlcache.history.writing import Writing

from .tls_proxy import make_certificate, tls_in_front_of

BTC = ("BTC/USDT", "1m")
SPAN = (T0, T0 + 100_000 * MINUTE)
_numbers = itertools.count()


@pytest.fixture
def location(postgres_schema_url):
    return postgres_schema_url


@pytest.fixture
def admin(location):
    with psycopg.connect(location, autocommit=True) as connection:
        yield connection


@pytest.fixture
def schema(admin):
    return admin.execute("SELECT current_schema()").fetchone()[0]


@pytest.fixture
def role(admin, schema):
    """Makes a role with some rights; gives the URL to connect as it."""
    made = []

    def make(*rights):
        name = f"role_{os.getpid()}_{next(_numbers)}"
        admin.execute(f"CREATE ROLE {name} LOGIN")
        made.append(name)
        for right in rights:
            admin.execute(f"GRANT {right} TO {name}")
        port, database = admin.info.port, admin.info.dbname
        options = quote(f"-csearch_path={schema}")
        return f"postgresql://{name}@{admin.info.host}:{port}/{database}?options={options}"

    yield make
    for name in made:
        admin.execute(f"DROP OWNED BY {name}")
        admin.execute(f"DROP ROLE {name}")


def _write(url, block):
    with ohlcache.open(url) as md:
        md.write(*BTC, block)


def await_listening(md):
    """Read until announcements are heard."""
    deadline = time.monotonic() + 20
    while md._store._engine._listener.heard() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def cut(admin):
    """Have the server end all connections of stores; how many it were."""
    return len(
        admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE application_name = 'ohlcache'"
        ).fetchall()
    )


def disturb(admin, trigger, body):
    """Run a piece of PL/pgSQL for each row that the trigger is about."""
    admin.execute(
        f"CREATE FUNCTION disturb() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN {body}; RETURN NEW; END $$"
    )
    admin.execute(f"CREATE {trigger} FOR EACH ROW EXECUTE FUNCTION disturb()")


def undisturbed(admin):
    admin.execute("DROP FUNCTION disturb() CASCADE")


# -- what others write --------------------------------------------------------------------------


def test_what_another_process_writes_is_seen_without_asking(location, another_process, monkeypatch):
    block = make_block(100)
    with ohlcache.open(location) as md:
        md.write(*BTC, block.slice(0, 50))
        assert len(md.candles(*BTC, *SPAN)) == 50
        await_listening(md)
        monkeypatch.setattr(PostgresEngine, "_asked", lambda _: pytest.fail("asked the server"))
        assert len(md.candles(*BTC, T0, T0 + 50 * MINUTE)) == 50
        assert md.stats()["reads"]["hits"] == 1
        another_process(_write, location, block.slice(50, 100))
        deadline = time.monotonic() + 5
        while len(md.candles(*BTC, *SPAN)) < 100 and time.monotonic() < deadline:
            time.sleep(0.001)
        assert to_block(md.candles(*BTC, *SPAN)).identical(block)


def test_nothing_stale_is_read_while_announcements_are_not_heard(location, monkeypatch):
    monkeypatch.setattr(Listener, "heard", lambda _: None)
    block = make_block(20)
    with ohlcache.open(location) as one, ohlcache.open(location) as other:
        for row in range(20):
            one.write(*BTC, block.slice(row, row + 1))
            assert len(other.candles(*BTC, *SPAN)) == row + 1
        assert len(other.candles(*BTC, T0, T0 + 20 * MINUTE)) == 20
        assert other.stats()["reads"]["hits"] == 1


def test_cut_connections_are_replaced_and_nothing_is_missed(location, admin, another_process):
    block = make_block(40)
    with ohlcache.open(location) as md:
        for row in range(0, 40, 10):
            md.write(*BTC, block.slice(row, row + 5))
            await_listening(md)
            assert cut(admin) >= 2
            another_process(_write, location, block.slice(row + 5, row + 10))
            deadline = time.monotonic() + 5
            while len(md.candles(*BTC, *SPAN)) < row + 10 and time.monotonic() < deadline:
                time.sleep(0.001)
            assert len(md.candles(*BTC, *SPAN)) == row + 10
        assert to_block(md.candles(*BTC)).identical(block)


def test_more_threads_than_connections_read_and_write(location):
    block = make_block(700_000)

    with ohlcache.open(location) as md:
        md.write(*BTC, block)
    with ohlcache.open(location, settings={"history": {"memory_mb": 1}}) as md:
        with ThreadPoolExecutor(16) as threads:
            jobs = [threads.submit(_use_series, md, block, number) for number in range(32)]
            assert all(job.result() for job in jobs)
        assert len(md.series()) == 33
        assert md.verify().ok


def _use_series(md, block, number):
    rows = block.slice(number, number + 20)
    md.write(f"X{number}", "1m", rows)
    own = to_block(md.candles(f"X{number}", "1m", T0, T0 + 1_000 * MINUTE))
    return own.identical(rows) and len(md.candles(*BTC, T0, T0 + 700_000 * MINUTE)) == 700_000


def test_writers_that_wait_for_a_lock_leave_connections_to_readers(location, admin):
    waiting = "SELECT count(*) FROM pg_locks WHERE relation = 'series'::regclass AND NOT granted"
    with ohlcache.open(location) as md, ThreadPoolExecutor(16) as threads:
        md.write(*BTC, make_block(10))
        md.write("ETH/USDT", "1m", make_block(10))
        with admin.transaction():
            admin.execute("SELECT * FROM series WHERE symbol = 'BTC/USDT' FOR UPDATE")
            writers = [threads.submit(md.write, *BTC, make_block(20)) for _ in range(16)]
            # The first in the queue waits for the transaction, the others for the row.
            while admin.execute(waiting).fetchone()[0] < 5:
                assert not any(writer.done() for writer in writers)
                time.sleep(0.01)
            assert len(md.candles("ETH/USDT", "1m", *SPAN)) == 10
            assert not any(writer.done() for writer in writers)
        assert sum(writer.result().added for writer in writers) == 10


# -- what goes wrong ----------------------------------------------------------------------------


def test_a_server_that_is_down_and_comes_back(own_postgres):
    with ohlcache.open(own_postgres.url) as md:
        md.write(*BTC, make_block(100))
        assert len(md.candles(*BTC, *SPAN)) == 100
        own_postgres.stop()
        for use in (lambda: md.candles(*BTC, *SPAN), lambda: md.write(*BTC, make_block(200))):
            with pytest.raises(StoreUnavailable, match="check that PostgreSQL runs"):
                use()
        with pytest.raises(StoreUnavailable):
            ohlcache.open(own_postgres.url)
        own_postgres.start()
        assert len(md.candles(*BTC, *SPAN)) == 100
        assert md.write(*BTC, make_block(200)).added == 100


def test_a_connection_lost_amid_the_copy_stores_nothing(location, admin):
    block = make_block(300_000)
    with ohlcache.open(location) as md:
        md.write(*BTC, make_block(10, start=T0 - 10 * MINUTE))
        disturb(
            admin,
            "TRIGGER disturb BEFORE INSERT ON chunk",
            f"IF NEW.start > {T0 + 100_000 * MINUTE} THEN "
            "PERFORM pg_terminate_backend(pg_backend_pid()); END IF",
        )
        with pytest.raises(StoreUnavailable, match="terminating connection"):
            md.write(*BTC, block)
        assert md.info(*BTC).rows == 10
        assert md.coverage(*BTC) == [(T0 - 10 * MINUTE, T0)]
        assert md.verify().ok
        undisturbed(admin)
        assert md.write(*BTC, block).added == 300_000
        assert to_block(md.candles(*BTC, T0)).identical(block)


def test_a_connection_lost_during_the_commit_says_that_it_is_not_known(location, admin):
    with ohlcache.open(location) as md:
        md.write(*BTC, make_block(10))
        disturb(
            admin,
            "CONSTRAINT TRIGGER disturb AFTER INSERT ON coverage DEFERRABLE INITIALLY DEFERRED",
            "PERFORM pg_terminate_backend(pg_backend_pid())",
        )
        with pytest.raises(
            StoreUnavailable, match="was lost during a commit, which was done or not"
        ):
            md.write(*BTC, make_block(20))
        undisturbed(admin)
        assert md.write(*BTC, make_block(20)).added in (0, 10)
        assert len(md.candles(*BTC)) == 20


def test_a_full_disk_refuses_the_write_and_keeps_what_was_there(location, admin):
    with ohlcache.open(location) as md:
        md.write(*BTC, make_block(1_000))
        disturb(
            admin,
            "TRIGGER disturb BEFORE INSERT ON chunk",
            "RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'",
        )
        with pytest.raises(StoreFull, match="no room left on the server's disk"):
            md.write(*BTC, make_block(500_000, seed=1))
        with pytest.raises(StoreFull):
            md.write(*BTC, make_block(1, start=T0 + 1_000 * MINUTE))
        undisturbed(admin)
        assert to_block(md.candles(*BTC)).identical(make_block(1_000))
        assert md.verify().ok


def test_a_series_locked_by_another_writer_is_reported_and_nothing_lost(location, admin):
    with ohlcache.open(location, settings={"history": {"busy_timeout_seconds": 0}}) as md:
        md.write(*BTC, make_block(10))
        with admin.transaction():
            admin.execute("SELECT * FROM series FOR UPDATE")
            with pytest.raises(StoreLocked, match="locked by another writer"):
                md.write(*BTC, make_block(20))
            assert len(md.candles(*BTC)) == 10
            assert md.write("ETH/USDT", "1m", make_block(10)).added == 10
        assert md.write(*BTC, make_block(20)).added == 10


def test_tables_that_somebody_dropped_are_an_error_of_one_line(location, admin):
    with ohlcache.open(location) as md:
        md.write(*BTC, make_block(10))
        admin.execute("DROP TABLE chunk CASCADE")
        with pytest.raises(StoreError, match="has lost its tables") as caught:
            md.write(*BTC, make_block(20))
        assert "\n" not in str(caught.value)


def test_an_index_that_is_not_valid_is_found(location, admin):
    with ohlcache.open(location) as md:
        md.write(*BTC, make_block(10))
        admin.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'series_revision'::regclass"
        )
        assert "series_revision is not valid: REINDEX it" in str(md.verify().problems[0])


def test_a_server_that_hangs_does_not_hold_up_an_event_loop(own_postgres):
    with ohlcache.open(own_postgres.url) as md:
        md.write(*BTC, make_block(10))
        while md._store.token_at_hand() is None:
            md.candles(*BTC, T0, T0 + 5 * MINUTE)
        md._store._engine._listener._live_until = 0.0  # what was heard is too old to be trusted
        own_postgres.freeze()

        async def read():
            reading = asyncio.create_task(md.acandles(*BTC, T0, T0 + 5 * MINUTE))
            for _ in range(50):
                await asyncio.sleep(0.01)
            assert not reading.done()
            own_postgres.thaw()
            return await reading

        began = time.monotonic()
        assert len(asyncio.run(read())) == 5
        assert time.monotonic() - began < 10  # the loop came to thaw it


# -- servers, schemas, roles --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "error", "message"),
    [
        ("postgresql://u:secret@127.0.0.1:1/d", StoreUnavailable, "Connection refused"),
        ("postgresql://u:secret@h:p/d", InvalidArgument, "location .*port"),
        ("postgresql://u:secret@h/d?x=y", InvalidArgument, r"u:\*\*\*@h/d"),
        ("postgres:u:secret", InvalidArgument, "location"),
    ],
)
def test_a_url_that_leads_nowhere_is_refused_without_its_password(url, error, message):
    with pytest.raises(error, match=message) as caught:
        ohlcache.open(url)
    assert "secret" not in str(caught.value).replace("postgres:u:secret", "")
    assert "\n" not in str(caught.value)


def test_tls_is_spoken_and_checked_as_the_url_says(location, admin, tmp_path):
    with pytest.raises(StoreUnavailable, match="SSL"):
        ohlcache.open(f"{location}&sslmode=require")
    certificate, key = make_certificate(tmp_path)
    with tls_in_front_of(admin.info.port, certificate, key) as port:
        url = location.replace(f"127.0.0.1:{admin.info.port}", f"localhost:{port}")
        with ohlcache.open(f"{url}&sslmode=verify-full&sslrootcert={certificate}") as md:
            md.write(*BTC, make_block(200_000))
            await_listening(md)
            assert len(md.candles(*BTC)) == 200_000
        with pytest.raises(StoreUnavailable, match="root certificate file"):
            ohlcache.open(f"{url}&sslmode=verify-full&sslrootcert={tmp_path}/other.crt")


def test_a_server_that_is_too_old_is_refused_by_its_release(location, monkeypatch):
    monkeypatch.setattr(postgres_schema, "LEAST_SERVER", 99)
    with pytest.raises(StoreVersionUnsupported, match=r"PostgreSQL \d+: upgrade it to 99 or later"):
        ohlcache.open(location)


def test_another_version_of_the_store_is_refused_by_its_number(location, admin):
    ohlcache.open(location).close()
    admin.execute("UPDATE ohlcache_store SET version = 99")
    with pytest.raises(StoreVersionUnsupported, match="version 99, .*upgrade ohlcache"):
        ohlcache.open(location)


@pytest.mark.parametrize("table", ["series", "ohlcache_store", "snapshot"])
def test_a_schema_with_tables_of_another_program_is_refused_and_untouched(location, admin, table):
    admin.execute(f"CREATE TABLE {table} (mine integer)")
    with pytest.raises(StoreForeign, match=f"holds a table {table} of another program"):
        ohlcache.open(location)
    assert admin.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
    ).fetchall() == [(table,)]


def test_tables_of_other_names_are_no_obstacle(location, admin):
    admin.execute("CREATE TABLE trades (id integer)")
    with ohlcache.open(location) as md:
        assert md.write(*BTC, make_block(10)).added == 10


def test_several_processes_may_create_the_store_at_once(location):
    start = threading.Barrier(6)

    def create(number):
        start.wait()
        with ohlcache.open(location) as md:
            return md.write(f"X{number}", "1m", make_block(10)).added

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(create, range(6))) == [10] * 6
    with ohlcache.open(location) as md:
        assert len(md.series()) == 6


def test_an_older_store_is_given_the_tables_that_it_lacks(location, admin):
    with ohlcache.open(location) as md:
        md.write(*BTC, make_block(10))
    for table in postgres_schema.NAMES:
        admin.execute(f"DROP TABLE {table} CASCADE")
    with ohlcache.open(location) as md:
        assert len(md.candles(*BTC)) == 10
        assert md.write(*BTC, make_block(20)).added == 10


def test_a_role_without_create_works_on_prepared_tables(location, role, schema):
    ohlcache.open(location).close()
    url = role(
        f"USAGE ON SCHEMA {schema}",
        f"SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema}",
    )
    block = make_block(200_000)
    with ohlcache.open(url) as md:
        assert md.write(*BTC, block).added == 200_000
        assert md.write(*BTC, Block(block.times[:1], block.values[:, :1] + 1)).updated == 1
        md.set_metadata("BTC/USDT", {"tick_size": 0.1})
        assert len(md.candles(*BTC)) == 200_000
        assert md.delete(*BTC, T0, T0 + MINUTE) == 1
        assert md.verify().ok
        assert md.delete(*BTC) == 199_999


def test_a_role_that_may_only_read_reads(location, role, schema):
    with ohlcache.open(location) as md:
        md.write(*BTC, make_block(10))
    url = role(f"USAGE ON SCHEMA {schema}", f"SELECT ON ALL TABLES IN SCHEMA {schema}")
    with ohlcache.open(url) as md:
        assert len(md.candles(*BTC)) == 10
        assert md.verify().ok
        with pytest.raises(StoreReadOnly, match="permission denied for table"):
            md.write(*BTC, make_block(20))


def test_roles_without_rights_are_told_what_they_lack(location, role, schema):
    with pytest.raises(StoreReadOnly, match=f"permission denied for schema {schema}.*CREATE"):
        ohlcache.open(role(f"USAGE ON SCHEMA {schema}"))
    ohlcache.open(location).close()
    with pytest.raises(StoreError, match="schema"):
        ohlcache.open(role())
    with pytest.raises(StoreError, match=r"may not be read by this role .*: GRANT"):
        ohlcache.open(role(f"USAGE ON SCHEMA {schema}"))


def test_a_server_that_is_read_only_is_read(location):
    with ohlcache.open(location) as md:
        md.write(*BTC, make_block(10))
    with ohlcache.open(f"{location}%20-cdefault_transaction_read_only%3Don") as md:
        assert len(md.candles(*BTC)) == 10
        with pytest.raises(StoreReadOnly, match="read-only"):
            md.write(*BTC, make_block(20))


def test_without_a_search_path_the_store_has_a_schema_of_its_own(own_postgres):
    with ohlcache.open(own_postgres.url) as md:
        md.write(*BTC, make_block(10))
    with psycopg.connect(own_postgres.url, autocommit=True) as connection:
        found = "SELECT schemaname FROM pg_tables WHERE tablename = 'chunk'"
        assert connection.execute(found).fetchall() == [("ohlcache",)]
        connection.execute("DROP SCHEMA ohlcache CASCADE; CREATE ROLE bot LOGIN")
        bot = own_postgres.url.replace("postgres@", "bot@")
        with pytest.raises(StoreReadOnly, match="schema public"):
            ohlcache.open(bot)
        connection.execute("CREATE SCHEMA bot AUTHORIZATION bot")
        with ohlcache.open(bot) as md:
            assert md.write(*BTC, make_block(10)).added == 10
        assert connection.execute(found).fetchall() == [("bot",)]


def test_a_missing_driver_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for name in [name for name in sys.modules if name.startswith("ohlcache.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingExtra, match=r"psycopg is not installed: .*ohlcache\[postgres\]"):
        ohlcache.open("postgresql://127.0.0.1/x")


def test_the_command_line_works_on_it_and_keeps_the_password_to_itself(location, capsys):
    url = location.replace("postgres@", "postgres:secret@")
    with ohlcache.open(url) as md:
        md.write(*BTC, make_block(10))
    assert main(["--store", url, "ls"]) == 0
    assert main(["--store", url, "verify"]) == 0
    shown = capsys.readouterr()
    assert "BTC/USDT" in shown.out
    assert "secret" not in shown.out + shown.err


class Meeting:
    """Holds a writer up at its last step before the clock until another one has begun to wait."""

    def __init__(self, admin):
        self.has_come = threading.Event()
        self.admin = admin

    def before(self, step):
        def held_up(writing, *arguments):
            if not self.has_come.is_set():
                list(writing._session.rows("SELECT 1"))  # all before it has been carried out
                self.has_come.set()
                self._await_somebody_waiting()
            return step(writing, *arguments)

        return held_up

    def _await_somebody_waiting(self):
        until = time.monotonic() + 0.5  # without a lock in common nobody waits
        while time.monotonic() < until:
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            if self.admin.execute(waiting).fetchone()[0]:
                return
            time.sleep(0.01)


@pytest.mark.parametrize("what", ["snapshot", "set_metadata"])
def test_writers_never_wait_for_each_other_in_a_circle(location, admin, monkeypatch, what):
    symbol, rows = BTC[0], make_block(400)
    with ohlcache.open(location) as md, ThreadPoolExecutor(1) as pool:
        md.set_metadata(symbol, {"listed": "2019-12-01"})
        for timeframe in ("1m", "5m"):
            md.write(symbol, timeframe, rows.take(rows.times % (5 * MINUTE) == 0))
            key = SeriesKey("local", symbol, Timeframe.parse(timeframe))
            md._store.cover_never_traded(key, Anchor(), (Interval(T0 - 10**11, T0 - 10**10),))
        meeting = Meeting(admin)
        monkeypatch.setattr(Writing, "_store", meeting.before(Writing._store))
        writer = pool.submit(
            md.write, symbol, "5m", make_block(5, start=T0 + 1_000 * MINUTE, step=5 * MINUTE)
        )
        meeting.has_come.wait(5)
        if what == "snapshot":
            md.snapshot("now")
        else:
            md.set_metadata(symbol, {"listed": "2015-01-01"})
        assert writer.result(10).added == 5


def test_forgetting_records_and_deleting_them_never_wait_in_a_circle(location, admin, monkeypatch):
    now = [T0 + 10**9]
    store = Store(PostgresEngine(location, 5.0), keeping=Keeping(lambda: now[0], 1))
    with MarketData(store) as md, ThreadPoolExecutor(1) as pool:
        for symbol, seed in itertools.product(("BTC/USDT", "ETH/USDT"), (0, 1)):
            md.write(symbol, "1m", make_block(10, seed=seed))
        now[0] += 10 * 86_400_000
        md.write("SOL/USDT", "1m", make_block(10))
        now[0] += 2 * 86_400_000  # what is older than the day before the last write is forgotten
        meeting = Meeting(admin)
        monkeypatch.setattr(Writing, "_revision", property(meeting.before(Writing._revision.fget)))
        removed = pool.submit(md.delete, "ETH/USDT", "1m")
        meeting.has_come.wait(5)
        assert md.write(*BTC, make_block(10, seed=2)).updated
        assert removed.result(10) == 10


@pytest.mark.parametrize(("deadlocks", "rows"), [(2, 10), (3, 0)])
def test_a_write_is_repeated_after_a_deadlock_but_not_for_ever(location, admin, deadlocks, rows):
    with ohlcache.open(location) as md:
        admin.execute("CREATE SEQUENCE attempts")  # which counts on when a write is undone
        disturb(
            admin,
            "TRIGGER disturb BEFORE INSERT ON chunk",
            f"IF nextval('attempts') <= {deadlocks} THEN "
            "RAISE EXCEPTION 'deadlock detected' USING ERRCODE = 'deadlock_detected'; END IF",
        )
        if rows:
            assert md.write(*BTC, make_block(10)).added == rows
        else:
            with pytest.raises(StoreLocked, match="nothing was changed"):
                md.write(*BTC, make_block(10))
        assert md._store.numbers()["deadlocks"] == 2
