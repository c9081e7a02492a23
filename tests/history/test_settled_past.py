"""What was read as of a time is read again the same, whatever clocks say and whoever writes."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import ohlcache
from made_candles import MINUTE, make_block
from ohlcache.candles import to_block
from ohlcache.errors import InvalidArgument, UnknownSymbol
from ohlcache.history import MarketData, Store
from ohlcache.history.past.recording import Keeping
from ohlcache.history.postgres_session import PostgresSession
from ohlcache.history.sqlite_engine import SQLiteSession

from .test_past import BTC, DAY, HOUR, Clock, engine_at

YEAR = 365 * DAY
ETH = ("ETH/USDT", "1m")


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def opened(location, clock):
    """Openings of one store, at times of the database's clock that can be wrong."""
    made = []

    def open_with(ahead=0, days=None):
        store = Store(engine_at(location), keeping=Keeping(lambda: clock.now + ahead, days))
        made.append(MarketData(store, clock=clock))
        return made[-1]

    yield open_with
    for market_data in made:
        market_data.close()


def read(md, timeframe="1m", **options):
    return to_block(md.candles(BTC[0], timeframe, as_="numpy", **options))


# -- clocks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [-YEAR, -30_000, YEAR])
def test_the_past_bears_the_time_of_the_database(location, sql, ahead, monkeypatch):
    session = PostgresSession if isinstance(location, str) else SQLiteSession

    def now():
        return sql(f"SELECT {session.NOW}")[0][0]

    time_ns = time.time_ns
    with ohlcache.open(location) as md:
        before = now()
        monkeypatch.setattr("time.time_ns", lambda: time_ns() + ahead * 1_000_000)
        md.write(*BTC, make_block(5))
        md.write(*BTC, make_block(5, seed=1))
        md.snapshot("state")
        after = now()
        stamps = [at for (at,) in sql("SELECT at FROM past_write UNION SELECT at FROM snapshot")]
        assert before <= min(stamps) <= max(stamps) <= after
        assert read(md, as_of=after).identical(read(md))


def test_a_write_by_a_clock_far_ahead_neither_ends_the_past_nor_hides_what_follows(opened, clock):
    good, wrong = opened(days=30), opened(ahead=YEAR, days=30)
    first = make_block(5)
    good.write(*BTC, first)
    known = clock.tick()
    clock.tick()
    good.write(*BTC, make_block(5, seed=1))
    clock.tick()
    assert wrong.write(*ETH, make_block(1)).added
    wrong.write(*ETH, make_block(1, seed=1))
    assert read(good, as_of=known).identical(first)
    assert len(good.revisions(*BTC)) == 5
    for seed in range(2, 5):  # as many as contradict it, and one more
        clock.tick()
        good.write(*BTC, make_block(5, seed=seed))
        clock.tick()
    assert read(good, as_of=known).identical(first)
    assert read(good, as_of=clock.now).identical(read(good))
    assert good.revisions(*BTC)[-1].at.timestamp() * 1000 == clock.now - 3 * MINUTE


def test_a_write_by_a_clock_far_behind_changes_no_other_time(opened, clock):
    good, wrong = opened(), opened(ahead=-YEAR)
    states = {}
    for seed in range(4):
        good.write(*BTC, make_block(5, seed=seed))
        clock.tick()
        states[clock.now] = read(good, as_of=clock.now)
    assert wrong.write(*BTC, make_block(5, seed=9)).updated
    assert all(read(good, as_of=at).identical(state) for at, state in states.items())


def test_what_was_read_stays_when_the_clock_is_set_back_a_little(opened, clock):
    good, behind = opened(), opened(ahead=-30_000)
    good.write(*BTC, make_block(5))
    clock.tick()
    seen = read(good, as_of=clock.now - 1_000)
    clock.tick(10_000)
    assert behind.write(*BTC, make_block(5, seed=1)).updated
    assert read(good, as_of=clock.now - 11_000).identical(seen)
    assert not read(good).identical(seen)


# -- the present ----------------------------------------------------------------------------------


def test_a_revision_that_comes_while_the_present_is_read_is_not_in_it(opened, clock, monkeypatch):
    md, other = opened(), opened()
    md.write(*BTC, make_block(10))
    clock.tick()
    load = md._holder.load

    def overtaken(*args):
        monkeypatch.setattr(md._holder, "load", load)
        other.write(*BTC, make_block(10, seed=1))
        return load(*args)

    monkeypatch.setattr(md._holder, "load", overtaken)
    assert read(md, as_of=clock.now).identical(make_block(10))
    assert read(md, as_of=clock.now).identical(make_block(10))


def test_who_reads_the_present_waits_for_a_write_that_has_its_time_already(
    location, clock, opened, monkeypatch
):
    is_stamped, may_commit = threading.Event(), threading.Event()
    is_slow = False

    def told():
        now = clock.now
        if is_slow and threading.current_thread() is not threading.main_thread():
            is_stamped.set()
            assert may_commit.wait(10)
        return now

    reader = opened()
    store = Store(engine_at(location), keeping=Keeping(told))
    with MarketData(store, clock=clock) as writer, ThreadPoolExecutor(1) as pool:
        writer.write(*BTC, make_block(10))
        clock.tick()
        is_slow = True
        written = pool.submit(writer.write, *BTC, make_block(10, seed=1))
        assert is_stamped.wait(10)
        at = clock.now
        clock.tick(1_000)
        close_past = reader._store.close_past

        def closing(time):
            may_commit.set()
            close_past(time)

        monkeypatch.setattr(reader._store, "close_past", closing)
        seen = read(reader, as_of=at)
        assert written.result(10).updated == 10
        assert read(reader, as_of=at).identical(seen)


def test_a_closed_candle_that_comes_after_it_was_asked_for_was_not_known_then(md_and_end, clock):
    md, end = md_and_end
    clock.tick(5_000)  # it closes, and is late by seconds
    asked = clock.now + MINUTE - 1_000
    clock.now = asked + 500
    missing = read(md, as_of=asked)
    five = read(md, "5m", as_of=asked)
    md.write(*BTC, make_block(1, start=end))
    assert read(md, as_of=asked).identical(missing)
    assert read(md, "5m", as_of=asked).identical(five)
    assert missing.times[-1] == end - MINUTE
    clock.tick()
    assert read(md, as_of=clock.now).times[-1] == end


def test_a_later_write_of_another_series_settles_no_time_of_one_that_is_late(opened, clock):
    md, end = opened(), clock.now // HOUR * HOUR
    md.write(BTC[0], "1h", make_block(3, start=end - 4 * HOUR, step=HOUR))
    md.write(*ETH, make_block(5))
    clock.now = end + MINUTE
    assert md.write(*ETH, make_block(5, seed=1)).updated
    asked = end + 30_000
    clock.tick(500)
    missing = read(md, "1h", as_of=asked)
    clock.tick(30_000)
    assert md.write(BTC[0], "1h", make_block(1, start=end - HOUR, step=HOUR)).added
    assert read(md, "1h", as_of=asked).identical(missing)
    clock.tick()
    assert read(md, "1h", as_of=clock.now).times[-1] == end - HOUR


def test_a_closed_candle_whose_write_took_long_was_not_known_before(location, md_and_end, clock):
    md, end = md_and_end
    clock.now = end + MINUTE
    times = iter([clock.now])  # afterwards an hour has gone by
    store = Store(engine_at(location), keeping=Keeping(lambda: next(times, clock.now + HOUR)))
    with MarketData(store, clock=clock) as slow:
        slow.write(*BTC, make_block(1, start=end))
    clock.tick(HOUR + MINUTE)
    assert read(md, as_of=end + HOUR // 2).times[-1] == end - MINUTE
    assert read(md, as_of=clock.now).times[-1] == end


@pytest.fixture
def md_and_end(opened, clock):
    """A series that grows as its candles close, and when the next one opens."""
    md, end = opened(), clock.now
    md.write(*BTC, make_block(9, start=end - 9 * MINUTE))
    return md, end


def test_who_may_not_write_reads_only_what_is_a_while_ago(postgres_schema_url, clock):
    with MarketData(Store(engine_at(postgres_schema_url), keeping=Keeping(clock))) as md:
        md.write(*BTC, make_block(10))
    clock.tick(HOUR)
    url = f"{postgres_schema_url}%20-cdefault_transaction_read_only%3Don"
    with MarketData(Store(engine_at(url), keeping=Keeping(clock)), clock=clock) as md:
        assert read(md, as_of=clock.now - 3 * MINUTE).identical(make_block(10))
        with pytest.raises(InvalidArgument, match="180 s after it only who may write"):
            read(md, as_of=clock.now - 2 * MINUTE)
        # Made from the same candles, but its own could still come as they close.
        with pytest.raises(InvalidArgument, match="420 s after it only who may write"):
            read(md, "5m", as_of=clock.now - 3 * MINUTE)


# -- what is gone ---------------------------------------------------------------------------------


def test_a_series_deleted_as_a_whole_is_not_made_up_from_finer_ones(opened, clock):
    md = opened()
    md.write(*BTC, make_block(10))
    before = clock.now
    clock.tick()
    own = make_block(2, step=5 * MINUTE, seed=3)
    md.write(BTC[0], "5m", own)
    between = clock.tick()
    clock.tick()
    made = read(md, "5m", as_of=before)
    assert read(md, "5m", as_of=between).identical(own)
    md.delete(BTC[0], "5m")
    for _ in range(2):
        with pytest.raises(UnknownSymbol, match=r"BTC/USDT 5m was deleted as a whole after 2020-"):
            read(md, "5m", as_of=between)
        assert read(md, "5m", as_of=before).identical(made)
        clock.tick()
        md.write(BTC[0], "5m", own)
    assert read(md, "5m", as_of=clock.now).identical(own)
    assert read(md, as_of=between).identical(make_block(10))


def test_that_a_series_was_deleted_is_forgotten_with_its_time(opened, clock, sql):
    md = opened(days=7)
    md.write(*BTC, make_block(10))
    md.delete(*BTC)
    assert sql("SELECT count(*) FROM past_deleted") == [(1,)]
    for _ in range(3):
        clock.tick(8 * DAY)
        md.write(*ETH, make_block(10, seed=clock.now // DAY))
    assert sql("SELECT count(*) FROM past_deleted") == [(0,)]
