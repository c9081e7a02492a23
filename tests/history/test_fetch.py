"""Fetching what is missing, only that, and only once."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter

import numpy as np
import pytest
import stamina

import ohlcache
from made_candles import MINUTE, T0, make_block
from ohlcache.candles import Block, Grid, Interval, Timeframe, to_block
from ohlcache.candles.interval import normalise
from ohlcache.errors import FetchError, SourceUnavailable, StoreError, UnknownSymbol
from ohlcache.history import MarketData, SQLiteEngine, Store
from ohlcache.history.reports import SeriesKey

HISTORY = make_block(10_000)
END = T0 + 10_000 * MINUTE


class Venue:
    """A source that answers from HISTORY, remembers what it was asked, and can misbehave."""

    venue = "test"

    def __init__(self, history=HISTORY, now=END, most=None, **capabilities):
        self.capabilities = ohlcache.Capabilities(**capabilities)
        self.history = history
        self.time = now
        self.most = most
        self.asked = []
        self.failures = []
        self.gate = threading.Event()
        self.gate.set()
        self.lock = threading.Lock()
        self.under_way = self.most_under_way = 0

    def now(self):
        return self.time

    def fetch(self, symbol, timeframe, start, end):
        with self.lock:
            self.asked.append(Interval(start, end))
            failure = self.failures.pop(0) if self.failures else None
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
        self.gate.wait(30)
        with self.lock:
            self.under_way -= 1
        if failure is not None:
            raise failure
        return self.history.between(start, end).slice(0, self.most or len(self.history))


@pytest.fixture(autouse=True)
def _retries_do_not_wait():
    with stamina.set_testing(True, attempts=4):
        yield


@pytest.fixture
def opened(tmp_path):
    made = []

    def open_with(source, **options):
        market_data = MarketData(
            Store(SQLiteEngine(tmp_path / "s.sqlite", 30.0)), source, clock=source.now, **options
        )
        made.append(market_data)
        return market_data

    yield open_with
    for market_data in made:
        market_data.close()


def read(md, start, end, timeframe="1m"):
    return to_block(md.candles("X", timeframe, T0 + start * MINUTE, T0 + end * MINUTE))


def test_missing_ranges_and_only_those_are_fetched(opened):
    venue = Venue()
    md = opened(venue)
    assert read(md, 100, 200).identical(HISTORY.slice(100, 200))
    assert read(md, 50, 300).identical(HISTORY.slice(50, 300))
    assert read(md, 60, 290).identical(HISTORY.slice(60, 290))
    minutes = [((start - T0) // MINUTE, (end - T0) // MINUTE) for start, end in venue.asked]
    assert sorted(minutes) == [(50, 100), (100, 200), (200, 300)]


def test_pages_are_of_the_sources_size(opened):
    venue = Venue(page_size=300)
    md = opened(venue)
    assert read(md, 0, 1_000).identical(HISTORY.slice(0, 1_000))
    assert [(end - start) // MINUTE for start, end in venue.asked] == [300, 300, 300, 100]


def test_pages_are_fetched_concurrently_as_far_as_the_source_allows(opened):
    venue = Venue(page_size=100, concurrency=3)
    md = opened(venue)
    venue.gate.clear()
    reading = threading.Thread(target=read, args=(md, 0, 1_000))
    reading.start()
    while venue.under_way < 3:
        pass
    venue.gate.set()
    reading.join()
    assert venue.most_under_way == 3


def test_what_arrived_is_kept_when_a_later_page_fails(opened):
    venue = Venue(page_size=100)
    md = opened(venue)
    venue.failures = [None, None, *[SourceUnavailable("overloaded")] * 4]
    with pytest.raises(FetchError, match=r"X 1m from test.*overloaded.*call again"):
        read(md, 0, 1_000)
    assert md.coverage("X", "1m") == [Interval(T0, T0 + 200 * MINUTE)]
    venue.asked.clear()
    assert read(md, 0, 1_000).identical(HISTORY.slice(0, 1_000))
    assert venue.asked[0].start == T0 + 200 * MINUTE


def test_passing_failures_are_tried_again_and_counted(opened):
    venue = Venue()
    md = opened(venue)
    venue.failures = [SourceUnavailable("busy"), ConnectionResetError("reset")]
    assert len(read(md, 0, 100)) == 100
    assert md.stats()["fetch"]["retries"] == 2


@pytest.mark.parametrize("mistake", [TypeError("bug"), UnknownSymbol("no such symbol X")])
def test_what_another_try_would_repeat_is_not_tried_again(opened, mistake):
    venue = Venue()
    md = opened(venue)
    venue.failures = [mistake]
    with pytest.raises((FetchError, UnknownSymbol), match=str(mistake)):
        read(md, 0, 100)
    assert len(venue.asked) == 1


def test_an_answer_cut_short_is_completed_not_taken_for_a_gap(opened):
    venue = Venue(most=40)
    md = opened(venue)
    assert read(md, 0, 1_000).identical(HISTORY.slice(0, 1_000))


def test_an_answer_from_the_end_of_the_range_is_completed(opened):
    class Newest(Venue):
        def fetch(self, symbol, timeframe, start, end):
            rows = super().fetch(symbol, timeframe, start, end)
            return rows.slice(max(0, len(rows) - 40), len(rows))

    md = opened(Newest())
    assert read(md, 0, 1_000).identical(HISTORY.slice(0, 1_000))


def test_gaps_of_the_venue_are_fetched_once_and_never_again(opened):
    venue = Venue(history=HISTORY.take(np.r_[0:100, 300:1_000]))
    md = opened(venue)
    assert len(read(md, 0, 1_000)) == 800
    venue.asked.clear()
    assert len(read(md, 0, 1_000)) == 800
    assert len(read(md, 150, 250)) == 0
    assert venue.asked == []
    assert [gap.kind for gap in md.gaps("X", "1m")] == ["empty"]


def test_rows_beyond_the_range_are_not_stored(opened):
    class Generous(Venue):
        def fetch(self, symbol, timeframe, start, end):
            super().fetch(symbol, timeframe, start, end)
            return self.history

    md = opened(Generous())
    read(md, 100, 200)
    assert md.info("X", "1m").rows == 100


def test_nothing_before_the_oldest_is_asked_for(opened):
    venue = Venue(oldest=T0)
    md = opened(venue)
    assert len(read(md, -5_000, 10)) == 10
    assert venue.asked == [Interval(T0, T0 + 10 * MINUTE)]


def test_the_venues_clock_decides_what_is_closed(opened):
    venue = Venue(now=T0 + 100 * MINUTE + 59_999)
    md = opened(venue)
    assert len(read(md, 0, 200)) == 100
    venue.time += 1
    assert len(read(md, 0, 200)) == 101


def test_a_candle_published_late_is_asked_for_again(opened):
    venue = Venue(history=HISTORY.slice(0, 99), now=T0 + 100 * MINUTE + 500)
    md = opened(venue)
    assert len(read(md, 0, 100)) == 99
    assert md.coverage("X", "1m") == [Interval(T0, T0 + 99 * MINUTE)]
    asked = len(venue.asked)
    assert len(read(md, 0, 100)) == 99
    assert len(venue.asked) == asked  # not again within the same second
    venue.history = HISTORY
    venue.time += 1_000
    assert read(md, 0, 100).identical(HISTORY.slice(0, 100))


@pytest.mark.parametrize("behind", [5, 150, 800])
def test_a_venue_that_publishes_late_is_waited_for_and_not_asked_all_the_time(opened, behind):
    venue = Venue(now=T0 + 100 * MINUTE)
    md = opened(venue)
    for _ in range(300):  # read every 20 seconds
        closed = (venue.time - T0) // MINUTE
        venue.history = HISTORY.slice(0, (venue.time - behind * 1_000 - T0) // MINUTE)
        rows = read(md, 0, closed)
        assert rows.identical(HISTORY.slice(0, len(rows)))
        assert closed - len(rows) <= 2 * behind / 60 + 2
        venue.time += 20_000
    assert len(venue.asked) < 400  # pages: an answer that stops short of the range is asked on
    assert {gap.kind for gap in md.gaps("X", "1m")} <= {"never_fetched"}


def test_a_clock_that_was_ahead_holds_nothing_back_once_it_is_right(opened):
    venue = Venue(history=HISTORY.slice(0, 100), now=T0 + 110 * MINUTE)  # ten minutes ahead
    md = opened(venue)
    assert len(read(md, 0, 110)) == 100
    for closed in range(101, 120):
        venue.time = T0 + closed * MINUTE
        venue.history = HISTORY.slice(0, closed)
        assert read(md, 0, closed).identical(HISTORY.slice(0, closed))


def test_a_clock_that_is_set_back_during_a_read_does_not_make_it_fail(opened):
    class SetBack(Venue):
        def now(self):
            told, self.time = self.time, T0 + 100 * MINUTE + 2_500
            return told

    venue = SetBack(history=HISTORY.slice(0, 99), now=T0 + 100 * MINUTE + 5_500)
    assert len(read(opened(venue), 0, 100)) == 99


def test_an_empty_tail_is_final_once_it_is_old(opened):
    venue = Venue(history=HISTORY.slice(0, 90), now=T0 + 1_000 * MINUTE)
    md = opened(venue)
    read(md, 0, 100)
    assert md.coverage("X", "1m") == [Interval(T0, T0 + 100 * MINUTE)]


def test_threads_that_need_the_same_range_fetch_it_once(opened):
    venue = Venue(page_size=100, concurrency=2)
    md = opened(venue)
    venue.gate.clear()
    found = []
    readers = [
        threading.Thread(target=lambda: found.append(len(read(md, 0, 500)))) for _ in range(8)
    ]
    for reader in readers:
        reader.start()
    while md.stats()["fetch"].get("joined", 0) < 7 * 5:
        pass
    venue.gate.set()
    for reader in readers:
        reader.join()
    assert found == [500] * 8
    assert Counter(venue.asked).most_common(1)[0][1] == 1
    assert len(venue.asked) == 5


def test_threads_and_tasks_with_overlapping_ranges_never_fetch_a_candle_twice(opened):
    venue = Venue(page_size=70, concurrency=4)
    md = opened(venue)
    random = np.random.default_rng(1)
    ranges = [sorted(random.choice(2_000, 2, replace=False).tolist()) for _ in range(40)]

    def in_thread(pairs):
        for start, end in pairs:
            assert read(md, start, end).identical(HISTORY.slice(start, end))

    async def in_tasks(pairs):
        async def one(start, end):
            frame = await md.acandles("X", "1m", T0 + start * MINUTE, T0 + end * MINUTE)
            assert to_block(frame).identical(HISTORY.slice(start, end))

        await asyncio.gather(*(one(*pair) for pair in pairs))

    threads = [threading.Thread(target=in_thread, args=(ranges[i::4],)) for i in range(2)]
    for thread in threads:
        thread.start()
    asyncio.run(in_tasks(ranges[2::4] + ranges[3::4]))
    for thread in threads:
        thread.join()
    assert sum(end - start for start, end in venue.asked) == sum(
        end - start for start, end in normalise(venue.asked)
    )
    assert md.verify().ok


def test_cancelling_the_caller_that_began_harms_no_other(opened):
    venue = Venue()
    md = opened(venue)
    venue.gate.clear()

    async def race():
        leader = asyncio.create_task(md.acandles("X", "1m", T0, T0 + 100 * MINUTE))
        while not venue.asked:
            await asyncio.sleep(0)
        follower = asyncio.create_task(md.acandles("X", "1m", T0, T0 + 100 * MINUTE))
        while not md.stats()["fetch"].get("joined"):
            await asyncio.sleep(0)
        leader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leader
        venue.gate.set()
        return await follower

    assert len(asyncio.run(race())) == 100
    assert len(venue.asked) == 1


def test_a_failure_reaches_all_who_wait_and_the_range_is_free_again(opened):
    venue = Venue()
    md = opened(venue)
    venue.failures = [TypeError("bug")]

    async def race():
        reads = (md.acandles("X", "1m", T0, T0 + 100 * MINUTE) for _ in range(3))
        return await asyncio.gather(*reads, return_exceptions=True)

    outcomes = asyncio.run(race())
    assert any(isinstance(outcome, FetchError) for outcome in outcomes)
    assert len(read(md, 0, 100)) == 100


def test_without_fetch_only_what_is_stored_is_read(opened):
    venue = Venue()
    md = opened(venue)
    read(md, 0, 100)
    venue.asked.clear()
    frame = md.candles("X", "1m", T0, T0 + 200 * MINUTE, fetch=False)
    assert len(frame) == 100
    assert venue.asked == []
    with pytest.raises(UnknownSymbol):
        md.candles("Y", "1m", T0, T0 + MINUTE, fetch=False)


def test_many_symbols_are_fetched_in_parallel_and_one_failure_spares_the_others(opened):
    venue = Venue(concurrency=4)
    md = opened(venue)
    venue.gate.clear()
    many = threading.Thread(
        target=md.candles_many, args=(list("ABCD"), "1m", T0, T0 + 100 * MINUTE)
    )
    many.start()
    while venue.under_way < 4:
        pass
    venue.gate.set()
    many.join()
    assert venue.most_under_way == 4

    class Picky(Venue):
        def fetch(self, symbol, timeframe, start, end):
            if symbol == "E":
                raise UnknownSymbol("symbol 'E' is not known")
            return super().fetch(symbol, timeframe, start, end)

    other = opened(Picky())
    with pytest.raises(UnknownSymbol, match="'E'"):
        other.candles_many(list("EFG"), "1m", T0, T0 + 100 * MINUTE)
    assert {info.symbol for info in other.series()} >= {"F", "G"}


def test_prefetch_fills_store_and_memory(opened):
    venue = Venue()
    md = opened(venue)
    md.prefetch(["X", "Y"], "1m", T0, T0 + 100 * MINUTE).result(30)
    asked = len(venue.asked)
    assert asked == 2
    read(md, 0, 100)
    assert len(venue.asked) == asked
    assert md.stats()["reads"]["hits"] == 1


def test_rows_that_cannot_be_candles_are_counted_and_not_asked_for_again(opened):
    history = Block(HISTORY.times, HISTORY.values.copy())
    history.column("high")[5] = 0.0
    venue = Venue(history=history)
    md = opened(venue)
    assert len(read(md, 0, 100)) == 99
    assert md.stats()["fetch"]["rejected"] == 1
    read(md, 0, 100)
    assert len(venue.asked) == 1


@pytest.mark.parametrize(
    "answer",
    [
        lambda block: block,
        lambda block: None,
        lambda block: [],
        ohlcache.candles.to_frame,
        lambda block: ohlcache.candles.to_frame(block, "arrow"),
        lambda block: ohlcache.candles.to_frame(block, "polars"),
        lambda block: ohlcache.candles.to_frame(block, "ccxt"),
    ],
)
def test_any_callable_is_a_source(tmp_path, answer):
    def source(symbol, timeframe, start, end):
        return answer(HISTORY.between(start, end))

    with ohlcache.open(tmp_path, source=source) as md:
        expected = answer(HISTORY.slice(0, 50))
        frame = md.candles("X", "1m", T0, T0 + 50 * MINUTE)
        assert to_block(frame).identical(to_block(expected))


def test_coroutine_functions_are_sources_too(tmp_path):
    async def source(symbol, timeframe, start, end):
        await asyncio.sleep(0)
        return HISTORY.between(start, end)

    with ohlcache.open(tmp_path, source=source) as md:
        assert len(md.candles("X", "1m", T0, T0 + 50 * MINUTE)) == 50


def test_the_newest_candle_of_an_anchored_series_is_fetched_once_it_is_closed(opened):
    day = 1440 * MINUTE
    opens = T0 + 22 * 60 * MINUTE + np.arange(40) * day  # 22:00 UTC, which nobody told us
    history = Block(opens, make_block(40).values)
    venue = Venue(history=history, now=int(opens[30]) + 12 * 60 * MINUTE)
    md = opened(venue)
    md.candles("X", "1d", T0, T0 + 100 * day)
    venue.time += 5 * day
    assert len(md.candles("X", "1d", T0, T0 + 100 * day)) == 35


def test_a_clock_that_steps_back_loses_no_candle(opened):
    class Unsteady(Venue):
        def now(self):
            self.time, later = self.time - 10, self.time
            return later

    venue = Unsteady(now=T0 + 100 * MINUTE + 5)
    md = opened(venue)
    read(md, 0, 100)
    venue.time = T0 + 200 * MINUTE
    assert read(md, 0, 100).identical(HISTORY.slice(0, 100))


def test_a_read_up_to_now_ends_although_candles_go_on_closing(opened):
    class Slow(Venue):
        def fetch(self, symbol, timeframe, start, end):
            self.time += MINUTE
            return super().fetch(symbol, timeframe, start, end)

    venue = Slow(now=T0 + 100 * MINUTE)
    md = opened(venue)
    assert len(md.candles("X", "1m", T0, None)) == 100
    assert len(md.candles("X", "1m", T0, T0 + 5_000 * MINUTE)) == 101


def test_refused_rows_are_gaps_of_their_own_kind(opened):
    history = Block(HISTORY.times, HISTORY.values.copy())
    history.column("close")[5] = np.nan
    venue = Venue(history=history.take(np.r_[0:7, 8:100]))
    md = opened(venue)
    read(md, 0, 100)
    assert [(gap.kind, gap.candles) for gap in md.gaps("X", "1m")] == [("refused", 1), ("empty", 1)]


def test_an_empty_answer_for_the_newest_candles_makes_no_series(opened):
    venue = Venue(history=HISTORY.slice(0, 0), now=T0 + 100 * MINUTE + 1)
    md = opened(venue)
    assert len(read(md, 99, 100)) == 0
    assert md.series() == []


def test_a_venue_that_is_not_the_sources_is_unknown(opened):
    md = opened(Venue())
    with pytest.raises(UnknownSymbol, match="venue typo"):
        md.candles("X", "1m", T0, T0 + MINUTE, venue="typo")


def test_closing_ends_those_who_wait_with_an_error_of_ours(opened):
    venue = Venue(page_size=10)
    md = opened(venue)
    venue.gate.clear()
    outcome = []

    def reading():
        try:
            read(md, 0, 1_000)
        except ohlcache.OhlcacheError as error:
            outcome.append(str(error))

    reader = threading.Thread(target=reading)
    reader.start()
    while not venue.under_way:
        pass
    closing = threading.Thread(target=md.close)
    closing.start()
    venue.gate.set()
    closing.join()
    reader.join()
    assert "closed" in outcome[0]
    assert len(venue.asked) < 10


@pytest.mark.parametrize(
    "use",
    [
        lambda md: md.candles("X", "1m", T0, T0 + MINUTE),
        lambda md: md.write("X", "1m", HISTORY),
        lambda md: md.series(),
        lambda md: md.prefetch("X", "1m", T0, T0 + MINUTE),
    ],
)
def test_what_is_closed_says_so(opened, use):
    md = opened(Venue())
    md.close()
    with pytest.raises(ohlcache.OhlcacheError, match="is closed: open it again"):
        use(md)


def test_failures_are_told_in_one_line(opened):
    venue = Venue()
    venue.failures = [TypeError("one\ntwo")]
    with pytest.raises(FetchError) as caught:
        read(opened(venue), 0, 10)
    assert "\n" not in str(caught.value)


def test_the_memory_bound_holds_for_derived_candles_too(opened):
    md = opened(Venue(), memory_bytes=400_000)
    read(md, 0, 10_000)
    for start in range(0, 3_000, 100):
        md.candles("X", "2m", T0 + start * MINUTE, T0 + 9_000 * MINUTE)
        assert md.stats()["memory"]["bytes"] <= 400_000


def test_a_timeframe_is_made_from_what_the_source_has_when_nothing_is_stored(opened):
    venue = Venue(timeframes=frozenset({"1m", "7m"}))
    md = opened(venue)
    assert len(md.candles("X", "1h", T0, T0 + 120 * MINUTE)) == 2
    assert [(info.timeframe, info.rows) for info in md.series()] == [("1m", 120)]


def test_what_is_asked_for_after_closing_is_refused_like_the_rest(opened):
    md = opened(Venue())
    md.close()
    key = SeriesKey("test", "X", Timeframe.parse("1m"))
    with pytest.raises(StoreError, match="was closed: open it again"):
        md._fetcher.request(key, Grid(key.timeframe), (Interval(T0, T0 + MINUTE),))
