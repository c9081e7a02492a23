"""One fetch of a missing range across all processes, whatever becomes of them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections import Counter
from contextlib import contextmanager

import pytest
import stamina
from hypothesis import given, settings
from hypothesis import strategies as st

import ohlcache
from made_candles import MINUTE, T0, make_block
from ohlcache.candles import Anchor, Block, Interval, Timeframe, to_block
from ohlcache.candles.interval import difference, intersection, normalise, total
from ohlcache.errors import FetchError, SourceUnavailable, StoreError, StoreLocked
from ohlcache.history import SQLiteEngine, Store
from ohlcache.history.reports import SeriesKey
from ohlcache.history.turns import Turns

from .fetchers import PAGE, ROWS

HISTORY = make_block(1_000)
LEASE = 0.2
_PATIENCE = 30


class Venue:
    """A source that answers from HISTORY when its gate is open, and can fail."""

    venue = "test"

    def __init__(self, **capabilities):
        self.capabilities = ohlcache.Capabilities(**{"page_size": 100, **capabilities})
        self.asked = []
        self.failure = None
        self.is_asked = threading.Event()
        self.gate = threading.Event()
        self.gate.set()

    def now(self):
        return T0 + 1_000 * MINUTE

    def fetch(self, symbol, timeframe, start, end):
        self.asked.append((symbol, (start - T0) // MINUTE, (end - T0) // MINUTE))
        self.is_asked.set()
        assert self.gate.wait(_PATIENCE)
        if self.failure is not None:
            raise self.failure
        return HISTORY.between(start, end)


@pytest.fixture(autouse=True)
def _retries_do_not_wait():
    with stamina.set_testing(True, attempts=1):
        yield


@pytest.fixture
def opened(location):
    """Openings of one store, each as a process of its own would have it."""
    made = []

    def open_with(source, lease_seconds=LEASE):
        tree = {"history": {"lease_seconds": lease_seconds}}
        made.append(ohlcache.open(location, source=source, settings=tree))
        return made[-1]

    yield open_with
    for market_data in made:
        market_data.close()


def read(md, start, end, symbol="X"):
    return to_block(md.candles(symbol, "1m", T0 + start * MINUTE, T0 + end * MINUTE))


@contextmanager
def reading(md, *range_, asks=None):
    """A read in a thread; gives a list that holds its outcome when the block has ended.

    asks: the venue that it shall have asked when the block begins.
    """
    outcome = []

    def run():
        try:
            outcome.append(read(md, *range_))
        except ohlcache.OhlcacheError as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    if asks is not None:
        assert asks.is_asked.wait(_PATIENCE)
    yield outcome
    thread.join()


def until(condition):
    """Wait for what another thread is about to do."""
    pause = threading.Event()
    for _ in range(_PATIENCE * 200):
        if condition():
            return
        pause.wait(0.005)
    pytest.fail("it never happened")


# -- processes -----------------------------------------------------------------------------------


class Processes:
    def __init__(self, location, folder):
        self.location = str(location)
        self.log = folder / "requests"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "history.fetchers", self.log],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": ":".join(sys.path)},
        )

    def read(self, *readers, lease_seconds=5.0):
        order = {
            "location": self.location,
            "readers": [(*reader, None) if len(reader) == 2 else reader for reader in readers],
            "lease_seconds": lease_seconds,
        }
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def requests(self):
        lines = self.log.read_text().splitlines()
        return [tuple(map(int, line.split())) for line in lines]

    def close(self):
        self._process.communicate()


@pytest.fixture
def processes(location, tmp_path):
    started = Processes(location, tmp_path)
    yield started
    started.close()


def test_processes_share_the_work_and_fetch_every_candle_once(processes):
    readers = [(0, ROWS), (250, 750), (30, 730), (500, ROWS)]
    assert processes.read(*readers) == [True] * len(readers)
    requests = processes.requests()
    asked = [(start, end) for _, start, end in requests]
    assert normalise(asked) == (Interval(T0, T0 + ROWS * MINUTE),)
    assert sum(end - start for start, end in asked) == ROWS * MINUTE
    assert len({process for process, _, _ in requests}) > 1


def test_a_killed_process_costs_others_its_lease_and_its_last_page(processes):
    assert processes.read((0, ROWS, 3), (0, ROWS), (0, ROWS), lease_seconds=LEASE) == [
        None,
        True,
        True,
    ]
    requests = processes.requests()
    assert sum(end - start for _, start, end in requests) <= (ROWS + PAGE) * MINUTE
    assert normalise((start, end) for _, start, end in requests)[0].end == T0 + ROWS * MINUTE


_LEAVES_WHILE_WAITING = """
import sys
import ohlcache
from history.fetchers import HISTORY, LoggingVenue, MINUTE, T0
from ohlcache.candles import Interval, Timeframe
from ohlcache.history.reports import SeriesKey

md = ohlcache.open(sys.argv[1], source=LoggingVenue(sys.argv[2], None))
key = SeriesKey("test", "X", Timeframe.parse("1m"))
md._store.leases.claim(key, (Interval(T0, T0 + 10 * MINUTE),), "one that died", 1.0)
md.prefetch("X", "1m", T0, T0 + 10 * MINUTE)
while not md.stats()["fetch"].get("waited"):
    pass
"""


def test_a_process_that_ends_while_it_waits_for_another_does_end(tmp_path):
    command = [sys.executable, "-c", _LEAVES_WHILE_WAITING, tmp_path / "store", tmp_path / "log"]
    done = subprocess.run(
        command,
        check=False,
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "log").read_text() == ""


# -- openings of one store -----------------------------------------------------------------------


def test_what_another_is_fetching_is_waited_for_and_the_rest_fetched_meanwhile(opened):
    leader, follower = Venue(), Venue()
    one, other = opened(leader), opened(follower)
    leader.gate.clear()
    with reading(one, 0, 300, asks=leader) as first, reading(other, 50, 300) as second:
        until(lambda: other.stats()["fetch"].get("waited"))
        leader.gate.set()
    assert first[0].identical(HISTORY.slice(0, 300))
    assert second[0].identical(HISTORY.slice(50, 300))
    pages = [page[1:] for page in (*leader.asked, *follower.asked)]
    assert total(pages) == sum(end - start for start, end in pages) == 300
    assert one.verify().ok


def test_waiting_for_one_series_keeps_nobody_from_fetching_another(opened):
    leader, follower = Venue(), Venue(concurrency=1)
    one, other = opened(leader), opened(follower)
    leader.gate.clear()
    with reading(one, 0, 100, asks=leader) as first, reading(other, 0, 100) as second:
        until(lambda: other.stats()["fetch"].get("waited"))
        assert len(read(other, 0, 100, symbol="Y")) == 100
        leader.gate.set()
    assert first[0].identical(second[0])
    assert follower.asked == [("Y", 0, 100)]


def test_an_event_loop_goes_on_while_a_task_waits_for_another_process(opened):
    leader, follower = Venue(), Venue()
    one, other = opened(leader), opened(follower)
    leader.gate.clear()

    async def wait_and_count():
        waiting = asyncio.create_task(other.acandles("X", "1m", T0, T0 + 100 * MINUTE))
        turns = 0
        while not waiting.done():
            turns += 1
            if turns == 20:
                leader.gate.set()
            await asyncio.sleep(0.001)
        return turns, len(waiting.result())

    with reading(one, 0, 100, asks=leader):
        turns, rows = asyncio.run(wait_and_count())
    assert turns >= 20
    assert rows == 100
    assert follower.asked == []


def test_a_clock_that_is_set_back_makes_nobody_wait_for_a_dead_owner(opened, sql):
    venue = Venue()
    md = opened(venue)
    ranges = (Interval(T0, T0 + 10 * MINUTE),)
    assert md._store.leases.claim(KEY, ranges, "one that died", LEASE).granted == ranges
    sql("UPDATE fetching SET until = until + 3600000")
    assert md._store.leases.busy([KEY]) == {KEY: ()}
    assert read(md, 0, 10).identical(HISTORY.slice(0, 10))


def test_a_clock_that_is_adjusted_ends_no_lease(opened, sql):
    leases = opened(Venue())._store.leases
    ranges = (Interval(T0, T0 + 10 * MINUTE),)
    leases.claim(KEY, ranges, "slow", 3600)
    sql("UPDATE fetching SET until = until + 1000")
    assert leases.busy([KEY]) == {KEY: ranges}
    assert leases.renew({(KEY, ranges[0])}, "slow", 3600) == {(KEY, ranges[0])}


def test_a_failed_fetch_is_the_failure_of_its_own_callers_only(opened):
    leader, follower = Venue(), Venue()
    one, other = opened(leader), opened(follower)
    leader.gate.clear()
    leader.failure = SourceUnavailable("overloaded")
    with reading(one, 0, 100, asks=leader) as first, reading(other, 0, 100) as second:
        until(lambda: other.stats()["fetch"].get("waited"))
        leader.gate.set()
    assert isinstance(first[0], FetchError)
    assert second[0].identical(HISTORY.slice(0, 100))


def test_a_slow_fetch_keeps_its_lease(opened):
    leader, follower = Venue(), Venue()
    one, other = opened(leader, lease_seconds=0.1), opened(follower)
    leader.gate.clear()
    renewals = []
    renew = one._store.leases.renew

    def counted(*args):
        renewals.append(renew(*args))
        return renewals[-1]

    one._store.leases.renew = counted
    with reading(one, 0, 100, asks=leader), reading(other, 0, 100) as second:
        until(lambda: len(renewals) > 6)  # twice as long as the lease
        leader.gate.set()
    assert second[0].identical(HISTORY.slice(0, 100))
    assert follower.asked == []


def test_a_lost_lease_is_counted_and_what_was_fetched_is_stored(opened, sql):
    leader, follower = Venue(), Venue()
    one, other = opened(leader), opened(follower)
    leader.gate.clear()
    with reading(one, 0, 100, asks=leader) as first:
        sql("DELETE FROM fetching")
        assert read(other, 0, 100).identical(HISTORY.slice(0, 100))
        until(lambda: one.stats()["fetch"].get("leases lost"))
        leader.gate.set()
    assert first[0].identical(HISTORY.slice(0, 100))
    assert leader.asked == follower.asked == [("X", 0, 100)]
    assert one.verify().ok


def test_a_page_whose_lease_was_lost_overwrites_nothing_newer(opened, sql):
    leader, follower = Venue(), Venue()
    one, other = opened(leader), opened(follower)
    corrected = [[T0, 3.0, 3.0, 3.0, 3.0, 3.0]]
    leader.gate.clear()
    with reading(one, 0, 100, asks=leader):
        sql("DELETE FROM fetching")
        read(other, 0, 50)
        other.write("X", "1m", corrected, venue="test")
        leader.gate.set()
    assert to_block(corrected).identical(read(other, 0, 1))
    assert read(other, 1, 100).identical(HISTORY.slice(1, 100))
    assert one.stats()["fetch"]["pages outrun"] == 1


def test_closing_ends_those_who_wait_for_another_process(opened):
    leader, follower = Venue(), Venue()
    one, other = opened(leader), opened(follower)
    leader.gate.clear()
    with reading(one, 0, 100, asks=leader) as first:
        with reading(other, 0, 100) as second:
            until(lambda: other.stats()["fetch"].get("waited"))
            other.close()
        leader.gate.set()
    assert isinstance(second[0], StoreError)
    assert "closed during a fetch" in str(second[0])
    assert first[0].identical(HISTORY.slice(0, 100))


def test_nothing_is_leased_once_nobody_fetches(opened, sql):
    venue = Venue()
    md = opened(venue)
    read(md, 0, 500)
    venue.failure = SourceUnavailable("overloaded")
    with pytest.raises(FetchError):
        read(md, 0, 1_000)
    assert sql("SELECT * FROM fetching") == []


# -- the leases themselves -----------------------------------------------------------------------

KEY = SeriesKey("test", "X", Timeframe.parse("1m"))
OWNERS = ("a", "b", "c")
ranges = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=3).map(
    lambda pairs: normalise((T0 + low * MINUTE, T0 + high * MINUTE) for low, high in pairs)
)
steps = st.lists(
    st.tuples(
        st.sampled_from(("claim", "release", "die", "store", "delete", "renew")),
        st.sampled_from(OWNERS),
        ranges,
    ),
    max_size=25,
)


@settings(max_examples=60)
@given(steps)
def test_no_range_is_granted_to_two_nor_when_it_is_stored(tmp_path_factory, steps):
    engine = SQLiteEngine(tmp_path_factory.mktemp("leases") / "s.sqlite", 30.0)
    store = Store(engine)
    held = dict.fromkeys(OWNERS, ())
    stored = ()
    for step, owner, wanted in steps:
        others = normalise(pair for name in OWNERS if name != owner for pair in held[name])
        if step == "claim":
            wanted = difference(wanted, held[owner])
            claim = store.leases.claim(KEY, wanted, owner, 3600)
            lacking = difference(wanted, stored)
            assert claim.granted == difference(lacking, others)
            assert claim.busy == intersection(lacking, others)
            held[owner] += claim.granted
        elif step == "release":
            store.leases.release(KEY, held[owner], owner)
            held[owner] = ()
        elif step == "die":
            with engine.writing() as session:
                session.run("UPDATE fetching SET until = 1 WHERE owner = ?", owner)
            held[owner] = ()
        elif step == "renew":
            mine = {(KEY, range_) for range_ in held[owner]}
            assert store.leases.renew(mine, owner, 3600) == mine
        elif step == "store":
            store.write(KEY, Anchor(), Block.empty(), wanted)
            stored = normalise((*stored, *wanted))
        else:
            store.delete(KEY, wanted[0].start if wanted else T0, T0 + 100 * MINUTE)
            stored = intersection(stored, [(0, wanted[0].start if wanted else T0)])
        leased = normalise(pair for name in OWNERS for pair in held[name])
        assert store.leases.busy([KEY]) == {KEY: leased}
    store.close()


def test_claims_at_the_same_time_get_different_ranges(location):
    """Each thread has connections of its own, as another machine would."""
    whole = (Interval(T0, T0 + 400 * MINUTE),)
    with ohlcache.open(location) as one, ohlcache.open(location) as other:
        begin = threading.Barrier(4)
        granted = []

        def claim_all(number):
            leases = (one, other)[number % 2]._store.leases
            begin.wait(_PATIENCE)
            for low in range(0, 400, 10):
                wanted = (Interval(T0 + low * MINUTE, T0 + (low + 15 + number) * MINUTE),)
                granted.extend(leases.claim(KEY, wanted, f"owner {number}", 3600).granted)

        threads = [threading.Thread(target=claim_all, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert difference(whole, granted) == ()
    assert total(granted) == sum(end - start for start, end in granted)


def test_a_lease_that_cannot_be_given_up_is_counted_and_ends_by_itself(opened):
    one, other = opened(Venue()), opened(Venue())

    def locked(*_):
        raise StoreLocked("store is locked by another process: try again later")

    one._store.leases.release = locked
    assert read(one, 0, 100).identical(HISTORY.slice(0, 100))
    assert one.stats()["fetch"]["lease error:StoreLocked"] == 1
    one.delete("X", "1m")
    assert read(other, 0, 100).identical(HISTORY.slice(0, 100))


def test_only_what_is_still_held_is_renewed(opened, sql):
    leases = opened(Venue())._store.leases
    kept, left = Interval(T0, T0 + MINUTE), Interval(T0 + MINUTE, T0 + 2 * MINUTE)
    for range_ in (kept, left):
        leases.claim(KEY, (range_,), "one", 3600)
    assert leases.renew({(KEY, kept)}, "one", 7200) == {(KEY, kept)}
    assert sql("SELECT start, lasts FROM fetching ORDER BY start") == [
        (kept.start, 7_200_000),
        (left.start, 3_600_000),
    ]


def test_a_lease_that_could_not_be_given_up_ends_while_the_process_keeps_another(opened):
    leases = opened(Venue())._store.leases
    other, minute = KEY._replace(symbol="Y"), (Interval(T0, T0 + MINUTE),)
    turns = Turns(leases, LEASE, Counter())
    release, is_free = leases.release, threading.Event()

    def locked(*_):
        raise StoreLocked("store is locked by another process: try again later")

    try:
        turns.claim(other, minute)
        turns.claim(KEY, minute)
        leases.release = locked
        turns.release(KEY, minute)
        leases.release = release
        turns.wait(KEY, minute, is_free.set)
        assert is_free.wait(_PATIENCE)
        assert leases.busy([KEY, other]) == {KEY: (), other: minute}
    finally:
        turns.close()
