"""Point in time: reads as of a moment, snapshots, revisions, and for how long they are kept."""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ohlcache
from made_candles import MINUTE, T0, make_block
from ohlcache.candles import Block, to_block
from ohlcache.errors import (
    InvalidArgument,
    StoreDamaged,
    StoreVersionUnsupported,
    UnknownSnapshot,
    UnknownSymbol,
)
from ohlcache.history import MarketData, SQLiteEngine, Store
from ohlcache.history.past.recording import Keeping
from ohlcache.history.sqlite_engine import _SCHEMA
from ohlcache.sqlite import Database

BTC = ("BTC/USDT", "1m")
HOUR = 60 * MINUTE
DAY = 24 * HOUR
NOW = T0 + 10 * DAY


class Clock:
    """Time that goes on when it is told to, from one write to the next."""

    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now

    def tick(self, ms=3 * MINUTE):
        self.now += ms
        return self.now


@pytest.fixture
def clock():
    return Clock()


def engine_at(location):
    if isinstance(location, str):
        from ohlcache.history.postgres_engine import PostgresEngine

        return PostgresEngine(location, 5.0)
    return SQLiteEngine(location / "ohlcache.sqlite", 5.0)


def open_at(location, clock, days=None):
    store = Store(engine_at(location), keeping=Keeping(clock, days))
    return MarketData(store, clock=clock)


@pytest.fixture
def md(location, clock):
    with open_at(location, clock) as market_data:
        yield market_data


@pytest.fixture
def records(sql):
    """How many rows tell of earlier states."""
    tables = ("past_rows", "past_coverage", "past_series", "past_write")
    return lambda: sum(sql(f"SELECT count(*) FROM {table}")[0][0] for table in tables)


def read(md, timeframe="1m", **options):
    return to_block(md.candles(BTC[0], timeframe, as_="numpy", **options))


# -- the whole, against full copies of every state ------------------------------------------------

SPAN = {"start": T0 - DAY, "end": NOW + 30 * DAY}

rows_of = st.tuples(st.integers(0, 400), st.integers(1, 300), st.integers(0, 3))
operations = st.one_of(
    st.tuples(st.just("write 1m"), rows_of),
    st.tuples(st.just("write 5m"), rows_of),
    st.tuples(st.just("write extra"), rows_of),
    st.tuples(st.just("patch"), st.lists(st.integers(0, 700), min_size=1, max_size=5)),
    st.tuples(st.just("live"), st.integers(1, 8)),
    st.tuples(st.just("each minute"), st.integers(1, 7)),
    st.tuples(st.just("delete range"), st.tuples(st.integers(0, 700), st.integers(1, 400))),
    st.tuples(st.just("delete tail"), st.integers(0, 700)),
    st.tuples(st.just("delete all"), st.sampled_from(["1m", "5m"])),
    st.tuples(st.just("snapshot"), st.none()),
    st.tuples(st.just("forget snapshot"), st.none()),
    st.tuples(st.just("wait"), st.integers(1, 60)),
    st.tuples(st.just("ask"), st.integers(-1_000, 3 * MINUTE)),
)


class Copies:
    """A store, and a full copy of what it gave at every moment."""

    def __init__(self, folder, days):
        self.clock = Clock()
        self.folder = folder
        self.days = days
        self.md = open_at(folder, self.clock, days)
        self.of_time = {}
        self.asked = {}  # what was answered as of a time, soon after it
        self.was_deleted = set()  # times after which a series was deleted as a whole
        self.of_snapshot = {}
        self.has_gone = {}  # series deleted as a whole, by snapshot

    def run(self, name, argument):
        self.clock.tick()
        verb, _, what = name.partition(" ")
        getattr(self, f"_{verb}")(what, argument)
        self.of_time[self.clock.now] = self.present()

    def _write(self, what, argument):
        start, count, seed = argument
        step = 5 * MINUTE if what == "5m" else MINUTE
        block = make_block(count, start=T0 + start * step, step=step, seed=seed)
        if what == "extra":
            funding = np.where(np.arange(count) % 3, np.nan, -0.0)[None]
            block = Block(
                block.times, np.vstack([block.values, funding]), (*block.names, "funding")
            )
        self.md.write(BTC[0], "5m" if what == "5m" else "1m", block)

    def _patch(self, _, places):
        for place in places:  # each is a hole in what is there, or a revision
            self.md.write(*BTC, make_block(1, start=T0 + place * MINUTE, seed=place % 7))

    def _live(self, _, count):
        end = self.clock.now - self.clock.now % MINUTE
        self.md.write(*BTC, make_block(count, start=end - count * MINUTE))

    def _each(self, _, minutes):
        for _ in range(minutes):
            self.of_time[self.clock.now] = self.present()
            end = self.clock.tick(MINUTE)
            self.md.write(*BTC, make_block(1, start=end - MINUTE))

    def _delete(self, what, argument):
        stored = [info.timeframe for info in self.md.series()]
        if what == "all" and argument in stored:
            self.md.delete(BTC[0], argument)
            self.was_deleted = {*self.of_time, *self.asked}
            self.has_gone = dict.fromkeys(self.has_gone, True)
        elif what == "range" and "1m" in stored:
            start, count = argument
            self.md.delete(*BTC, T0 + start * MINUTE, T0 + (start + count) * MINUTE)
        elif what == "tail" and "1m" in stored:
            self.md.delete(*BTC, T0 + argument * MINUTE)

    def _snapshot(self, *_):
        title = f"state {len(self.of_snapshot)}-{self.clock.now}"
        self.md.snapshot(title)
        self.of_snapshot[title] = self.present()
        self.has_gone[title] = False

    def _forget(self, *_):
        if self.of_snapshot:
            title = min(self.of_snapshot)
            self.md.delete_snapshot(title)
            del self.of_snapshot[title]

    def _wait(self, _, hours):
        self.clock.tick(hours * HOUR)

    def _ask(self, _, ago):
        self.asked[self.clock.now - ago] = self.present(as_of=self.clock.now - ago)

    def present(self, **options):
        return {
            timeframe: self.answer(self.md, timeframe, **options)
            for timeframe in ("1m", "5m", "1h")
        }

    @staticmethod
    def answer(md, timeframe, **options):
        try:
            return read(md, timeframe, **SPAN, **options)
        except UnknownSymbol:
            return None

    def check(self, md):
        for title, copy in self.of_snapshot.items():
            for timeframe, block in copy.items():
                found = self.answer(md, timeframe, as_of=title)
                assert same(found, block) or (found is None and self.has_gone[title])
        for at, copy in (*self.of_time.items(), *self.asked.items()):
            for timeframe, block in copy.items():
                try:
                    found = self.answer(md, timeframe, as_of=at)
                except InvalidArgument:
                    assert self.days is not None
                    assert at < self.clock.now - self.days * DAY
                else:
                    assert same(found, block) or (found is None and at in self.was_deleted)


def same(one, other):
    return one is other if one is None or other is None else one.identical(other)


@given(st.lists(operations, min_size=1, max_size=14), st.sampled_from([None, 0.5]))
@settings(max_examples=60)
def test_every_state_reads_as_it_was(tmp_path_factory, steps, days):
    folder = tmp_path_factory.mktemp("past")
    copies = Copies(folder, days)
    with copies.md as md:
        for step in steps:
            copies.run(*step)
        copies.check(md)
        assert md.verify().ok
    with open_at(folder, copies.clock, days) as another:
        copies.check(another)


@pytest.mark.parametrize("seed", range(3))
def test_every_state_reads_as_it_was_in_postgres(postgres_schema_url, seed):
    random = Random(seed)
    copies = Copies(postgres_schema_url, None)
    with copies.md as md:
        for _ in range(12):
            rows = (random.randrange(400), random.randrange(1, 300), random.randrange(4))
            copies.run(
                *random.choice(
                    [
                        ("write 1m", rows),
                        ("write extra", rows),
                        ("live", random.randrange(1, 9)),
                        ("each minute", random.randrange(1, 8)),
                        ("delete range", rows[:2]),
                        ("snapshot", None),
                    ]
                )
            )
        copies.check(md)
        assert md.verify().ok


# -- one thing at a time --------------------------------------------------------------------------


def test_a_revised_candle_keeps_its_earlier_value(md, clock):
    before = make_block(1000)
    md.write(*BTC, before)
    md.snapshot("backtest-42")
    known = clock.now
    after = make_block(3, start=T0 + 500 * MINUTE, seed=1)
    changed_at = clock.tick()
    md.write(*BTC, after)

    assert read(md, as_of="backtest-42").identical(before)
    assert read(md, as_of=known).identical(before)
    assert read(md, as_of=datetime.fromtimestamp(known / 1000, UTC)).identical(before)
    assert read(md, as_of=changed_at).identical(read(md))
    found = md.revisions(*BTC)
    assert [one.timestamp for one in found] == after.times.tolist()
    assert {one.at for one in found} == {datetime.fromtimestamp(changed_at / 1000, UTC)}
    assert [one.before["close"] for one in found] == before.column("close")[500:503].tolist()
    assert [one.after["close"] for one in found] == after.column("close").tolist()
    assert md.revisions(*BTC, end=T0 + 500 * MINUTE) == []


def test_revisions_of_revisions_and_removals_are_listed_in_order(md, clock):
    for seed in range(3):
        md.write(*BTC, make_block(2, seed=seed))
        clock.tick()
    md.delete(*BTC, T0, T0 + MINUTE)
    found = md.revisions(*BTC, T0, T0 + MINUTE)
    closes = [make_block(2, seed=seed).column("close")[0] for seed in range(3)]
    assert [one.before["close"] for one in found] == closes
    assert [one.after and one.after["close"] for one in found] == [*closes[1:], None]


def test_candles_that_come_as_they_close_leave_no_record(md, clock, records):
    end = clock.now
    md.write(*BTC, make_block(1, start=end - MINUTE))
    of_the_series = records()
    for _ in range(20):
        end = clock.tick(MINUTE)
        md.write(*BTC, make_block(1, start=end - MINUTE))
    assert records() == of_the_series == 2  # its creation
    assert len(read(md)) == 21
    assert read(md, as_of=end - 5 * MINUTE).times.tolist() == read(md).times[:-5].tolist()


def test_a_backfill_was_not_known_before(md, clock, records):
    md.write(*BTC, make_block(100, start=T0 + DAY))
    known, counted = clock.now, records()
    clock.tick()
    md.write(*BTC, make_block(100, start=T0))
    assert records() == counted + 3  # rows, coverage, the write
    assert read(md, as_of=known, start=T0).times[0] == T0 + DAY
    assert len(read(md)) == 200


def test_an_hour_that_was_incomplete_is_not_made_of_what_came_later(md, clock):
    clock.now = NOW + 30 * MINUTE
    md.write(*BTC, make_block(90, start=NOW - HOUR))
    md.snapshot("half past")
    for minute in range(30, 60):
        end = clock.tick(MINUTE)
        md.write(*BTC, make_block(1, start=NOW + minute * MINUTE))
    assert len(read(md, "1h")) == 2
    assert len(read(md, "1h", as_of="half past")) == 1
    assert len(read(md, "1h", as_of=end - MINUTE)) == 1


def test_a_moment_before_the_first_write_names_the_first_one_known(md, clock):
    clock.now = NOW + 90_000
    md.write(*BTC, make_block(10))
    with pytest.raises(UnknownSymbol, match=r"1m since 2020-01-11T00:01:30Z"):
        read(md, as_of=NOW)
    with pytest.raises(UnknownSymbol, match="nothing to this day"):
        md.candles("ETH/USDT", "1m", as_of=clock.now)
    with pytest.raises(InvalidArgument, match="future"):
        read(md, as_of=clock.now + 2_000)


def test_an_unknown_snapshot_is_answered_with_those_that_look_like_it(md):
    md.write(*BTC, make_block(10))
    with pytest.raises(UnknownSnapshot, match="there are none"):
        read(md, as_of="backtest")
    for name in ("backtest-41", "backtest-42", "other"):
        md.snapshot(name)
    with pytest.raises(UnknownSnapshot, match="'backtest-43'.*backtest-42, backtest-41.: give"):
        read(md, as_of="backtest-43")
    with pytest.raises(UnknownSnapshot):
        md.delete_snapshot("backtest-43")


@pytest.mark.parametrize("name", ["", "2024-01-01", "20240101", "1700000000000", "a\0b", None])
def test_a_name_that_could_be_mistaken_is_refused(md, name):
    with pytest.raises(InvalidArgument, match="snapshot"):
        md.snapshot(name)
    assert md.snapshots() == []


def test_an_as_of_that_means_nothing_is_told_of_times_and_names(md):
    md.write(*BTC, make_block(1))
    with pytest.raises(InvalidArgument, match="as_of is 1.5: .* or the name of a snapshot"):
        md.candles(*BTC, as_of=1.5)


def test_snapshots_are_listed_and_forgotten(md, clock):
    md.write(*BTC, make_block(10))
    first = md.snapshot("first")
    with pytest.raises(InvalidArgument, match="'first' exists already, of 2020-01-11"):
        md.snapshot("first")
    clock.tick()
    md.write("ETH/USDT", "1m", make_block(10))
    second = md.snapshot("second")
    assert md.snapshots() == [first, second]
    assert (first.series, second.series) == (1, 2)
    md.delete_snapshot("first")
    assert md.snapshots() == [second]
    with pytest.raises(UnknownSymbol, match="as of snapshot 'second'"):
        md.candles("SOL/USDT", "1m", as_of="second")


def test_a_series_deleted_as_a_whole_is_said_to_be(md):
    md.write(*BTC, make_block(10))
    md.snapshot("state")
    md.delete(*BTC)
    for _ in range(2):
        with pytest.raises(UnknownSymbol, match="deleted as a whole after snapshot 'state'"):
            read(md, as_of="state")
        md.write(*BTC, make_block(10, seed=1))
    assert md.snapshots()[0].deleted == 1


def test_a_snapshot_stays_the_same_while_others_write(md, location, clock):
    block = make_block(2000)
    md.write(*BTC, block)
    md.snapshot("state")

    def revise():
        with open_at(location, clock) as writer:
            for seed in range(1, 40):
                writer.write(*BTC, make_block(500, start=T0 + 40 * seed * MINUTE, seed=seed))

    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit(revise)
        while not writing.done():
            assert read(md, as_of="state").identical(block)
        writing.result()
    assert read(md, as_of="state").identical(block)


async def in_async_code(md):
    return to_block(await md.acandles(*BTC, as_="numpy", as_of="state"))


def test_async_code_reads_the_past_too(md):
    block = make_block(10)
    md.write(*BTC, block)
    md.snapshot("state")
    md.write(*BTC, make_block(10, seed=1))
    assert asyncio.run(in_async_code(md)).identical(block)


def test_the_past_is_never_fetched(tmp_path):
    asked = []
    with ohlcache.open(tmp_path, source=lambda *request: asked.append(request) or []) as md:
        md.write(*BTC, make_block(10), venue="callable")
        md.snapshot("state")
        rows = md.candles(*BTC, T0 - DAY, T0 + DAY, venue="callable", as_of="state")
    assert len(rows) == 10
    assert not asked


def test_this_very_moment_is_no_time_to_come(md, clock):
    md.write(*BTC, make_block(3))
    now = datetime.fromtimestamp(clock.now / 1000, UTC)
    held = to_block(md.candles(*BTC))
    for microseconds in (1, 999, 900_000):  # the last by a clock that is ahead of the store's
        as_of = now + timedelta(microseconds=microseconds)
        assert read(md, as_of=as_of).identical(held)
    moment = clock.now
    clock.tick(1)
    md.write(*BTC, make_block(3, seed=1))
    for microseconds in (999, 900_000):
        assert read(md, as_of=now + timedelta(microseconds=microseconds)).identical(held)
    assert read(md, as_of=moment + 901).identical(read(md))
    with pytest.raises(InvalidArgument, match="lies in the future"):
        read(md, as_of=clock.now + 2_000)


# -- for how long ---------------------------------------------------------------------------------


def test_earlier_values_are_dropped_after_their_days(location, clock, records):
    with open_at(location, clock, days=7) as md:
        for seed in range(100):
            md.write(*BTC, make_block(10, seed=seed))
            clock.tick(HOUR)
        written, long_ago, known = records(), clock.now - 2 * HOUR, read(md)
        clock.tick(8 * DAY)
        md.write(*BTC, make_block(10, seed=100))
        assert records() > written  # that so much time has passed only one write has said
        clock.tick(DAY)
        for seed in range(101, 105):
            md.write(*BTC, make_block(10, seed=seed))
            clock.tick(HOUR)
        assert records() < written / 10
        assert read(md, as_of=clock.now - 7 * DAY).identical(known)
        with pytest.raises(InvalidArgument, match=r"kept since 2020-01-.*revisions_days"):
            read(md, as_of=long_ago)


def test_what_a_snapshot_needs_is_kept_until_it_is_deleted(location, clock, records):
    with open_at(location, clock, days=7) as md:
        md.write(*BTC, make_block(10))
        md.snapshot("state")
        state = read(md)
        for seed in range(1, 40):
            clock.tick(DAY)
            md.write(*BTC, make_block(10, seed=seed))
        assert read(md, as_of="state").identical(state)
        written = records()
        md.delete_snapshot("state")
        for seed in range(40, 43):
            md.write(*BTC, make_block(10, seed=seed))
        assert records() < written / 2


# -- damage, and stores of before -----------------------------------------------------------------


def test_a_damaged_record_is_found_and_never_read(md, sql, clock):
    md.write(*BTC, make_block(100))
    md.snapshot("state")
    md.write(*BTC, make_block(10, start=T0 + 50 * MINUTE, seed=1))
    assert md.verify().ok
    ((data,),) = sql("SELECT data FROM past_rows WHERE rows > 0")
    data = bytes(data)
    sql("UPDATE past_rows SET data = ? WHERE rows > 0", data[:-20] + b"\0" + data[-19:])
    (problem,) = md.verify().problems
    assert "earlier values of 2020-01-01T00:50Z to 2020-01-01T00:59" in problem.message
    with pytest.raises(StoreDamaged, match="BTC/USDT 1m as of snapshot 'state'"):
        read(md, as_of="state")
    assert len(read(md, as_of="state", end=T0 + 50 * MINUTE)) == 50
    assert len(read(md)) == 100


def test_what_was_damaged_when_it_was_removed_is_lost_and_said_to_be(md, sql):
    md.write(*BTC, make_block(100))
    md.write(*BTC, make_block(100, start=T0 + DAY))
    md.snapshot("state")
    sql("UPDATE chunk SET data = ?", b"OHLC")
    md.delete(*BTC, T0 - DAY, T0 + 100 * DAY)
    assert md.verify().ok
    with pytest.raises(StoreDamaged, match="was damaged and has been dropped"):
        read(md, as_of="state")


def test_a_store_of_before_opens_and_remembers_from_then_on(tmp_path, clock):
    with open_at(tmp_path, clock) as md:
        md.write(*BTC, make_block(10))
    with sqlite3.connect(tmp_path / "ohlcache.sqlite") as connection:
        for table in ("snapshot_series", "snapshot", "known_since", "past_rows", "past_coverage"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("DROP TABLE past_series")
        connection.execute("DROP TABLE past_write")
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    with ohlcache.open(tmp_path) as md:
        known = read(md)
        md.snapshot("state")
        md.write(*BTC, make_block(10, seed=1))
        assert read(md, as_of="state").identical(known)
        with pytest.raises(InvalidArgument, match="kept since"):
            read(md, as_of=T0 + DAY)
    with pytest.raises(StoreVersionUnsupported, match="version 2, .*: upgrade ohlcache"):
        Database(tmp_path / "ohlcache.sqlite", 1, _SCHEMA._replace(version=1))  # as of before
