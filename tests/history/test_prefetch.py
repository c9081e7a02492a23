"""Prefetch: reads that go on find memory warm, others cost little, and nobody sees a difference."""

from __future__ import annotations

import threading
import time
from itertools import pairwise

import numpy as np
import pytest
import stamina
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ohlcache
from made_candles import MINUTE, T0, make_block
from ohlcache.candles import Interval, to_block
from ohlcache.errors import SourceUnavailable
from ohlcache.history.chunks import WINDOW_CANDLES
from ohlcache.history.prefetch.direction import mirrored, step
from ohlcache.history.prefetch.ledger import Ledger
from ohlcache.history.prefetch.usefulness import Usefulness

BTC = ("BTC/USDT", "1m")
WINDOWS = 8
HISTORY = make_block(WINDOWS * WINDOW_CANDLES)
FIRST_WINDOW = -(-T0 // (WINDOW_CANDLES * MINUTE)) * WINDOW_CANDLES * MINUTE
WINDOW = WINDOW_CANDLES * MINUTE
WINDOW_BYTES = WINDOW_CANDLES * 8 * 7
OFF, ON = {"history": {"prefetch": False}}, {"history": {"prefetch": "fetch"}}
PAGE = 100


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stored")
    with ohlcache.open(folder) as md:
        md.write(*BTC, HISTORY)
    return folder


@pytest.fixture
def with_source(tmp_path):
    """Opens an empty store with prefetch and a source."""
    opened = []

    def open_with(source, **history):
        md = ohlcache.open(
            tmp_path / "store",
            source=source,
            settings={"history": {"prefetch": "fetch", **history}},
        )
        opened.append((md, source))
        return md

    with stamina.set_testing(True, attempts=1):
        yield open_with
        for md, source in opened:
            source.gate.set()
            md.close()


class Venue:
    """A source that has one minute of every symbol, and tells what it was asked."""

    venue = "test"

    def __init__(self, candles=100_000, **capabilities):
        self.history = HISTORY.slice(0, candles)
        self.capabilities = ohlcache.Capabilities(page_size=PAGE, **capabilities)
        self.asked = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self.fails_from = None

    def now(self):
        return int(self.history.times[-1]) + MINUTE

    def fetch(self, symbol, timeframe, start, end):
        self.asked.append((symbol, (start - T0) // MINUTE, (end - T0) // MINUTE))
        self.entered.release()
        self.gate.wait(30)
        if self.fails_from is not None and start >= T0 + self.fails_from * MINUTE:
            raise SourceUnavailable("overloaded")
        return self.history.between(start, end)


def settled(md):
    """What was prefetched, once nothing is under way."""
    until = time.monotonic() + 30
    while (stats := md.stats()["prefetch"])["under_way"]:
        assert time.monotonic() < until
        time.sleep(0.001)
    return stats


def read(md, start, end, symbol="X"):
    return to_block(md.candles(symbol, "1m", T0 + start * MINUTE, T0 + end * MINUTE))


def misses(md, ranges, *, is_slow=True):
    """How many reads found memory cold; slow ones wait for what they set off."""
    for start, end in ranges:
        rows = to_block(md.candles(*BTC, start, end))
        assert rows.identical(HISTORY.between(start, end))
        if is_slow and md.stats()["prefetch"]:
            settled(md)
    return md.stats()["reads"]["misses"]


def walk(length, by, first=FIRST_WINDOW, last=FIRST_WINDOW + 6 * WINDOW):
    return [(at, at + length * MINUTE) for at in range(first, last, by * MINUTE)]


PATTERNS = {
    "walking on": walk(2_000, 2_000),
    "walking on by leaps": walk(50_000, 50_000, last=FIRST_WINDOW + 5 * WINDOW),
    "a moving window": walk(5_000, 1_500),
    "every other part": walk(2_000, 3_500),
    "a chart panned left": [*reversed(walk(3_000, 1_000))],
    "all there was until then": [
        (T0, at) for at in range(FIRST_WINDOW + WINDOW // 2, FIRST_WINDOW + 6 * WINDOW, WINDOW // 3)
    ],
}


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS)
def test_reads_that_go_on_find_memory_warm(stored, pattern):
    with ohlcache.open(stored, settings=OFF) as md:
        without = misses(md, pattern)
        assert md.stats()["prefetch"] == {}
    with ohlcache.open(stored, settings=ON) as md:
        with_prefetch = misses(md, pattern)
        stats = md.stats()["prefetch"]
    assert without >= 4
    assert with_prefetch <= 2
    assert stats["is_on"]
    assert stats["usefulness"] > 0.8
    assert stats["used"] >= stats["begun"] - 1
    assert stats["wasted"] == 0


def test_several_symbols_and_timeframes_walked_together_find_memory_warm(tmp_path):
    symbols = ("A", "B", "C")
    with ohlcache.open(tmp_path) as md:
        for symbol in symbols:
            md.write(symbol, "1m", HISTORY.slice(0, 4 * WINDOW_CANDLES))
    with ohlcache.open(tmp_path, settings=ON) as md:
        for start, end in walk(4_000, 4_000, T0, T0 + 3 * WINDOW):
            for symbol in symbols:
                md.candles(symbol, "1m", start, end)
                settled(md)
        assert md.stats()["reads"]["misses"] <= 2 * len(symbols)


def test_walking_on_in_a_made_timeframe_decodes_the_finer_one_ahead(stored):
    with ohlcache.open(stored, settings=ON) as md:
        day = 1440 * MINUTE
        for number in range(4):
            start = FIRST_WINDOW - FIRST_WINDOW % day + number * 20 * day
            md.candles(BTC[0], "1h", start, start + 20 * day)
            settled(md)
        before = md.stats()["reads"].get("hits", 0)
        md.candles(*BTC, start + 20 * day, start + 30 * day)
        assert md.stats()["reads"]["hits"] == before + 1


def test_false_starts_turn_it_off_and_waste_little(tmp_path):
    windows, starts = 38, range(12)
    with ohlcache.open(tmp_path) as md:
        md.write(*BTC, make_block(windows * WINDOW_CANDLES))
    with ohlcache.open(tmp_path, settings=ON) as md:
        for number in starts:
            place = FIRST_WINDOW + (3 * number + 1) * WINDOW - 4_500 * MINUTE
            for start in (place, place + 1_000 * MINUTE):
                md.candles(*BTC, start, start + 2_000 * MINUTE)
                settled(md)
        stats = md.stats()["prefetch"]
        assert stats["series_off"] == 1
        assert stats["passed"] >= 7
        assert stats["wasted"] >= 2
        assert stats["wasted_bytes"] <= 4 * WINDOW_BYTES


@given(
    st.lists(st.integers(0, 250_000), min_size=2, max_size=40), st.integers(1, 5_000), st.booleans()
)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_reads_are_exact_and_the_accounts_add_up(stored, places, length, is_slow):
    ranges = [(T0 + at * MINUTE, T0 + (at + length) * MINUTE) for at in places]
    with ohlcache.open(stored, settings=ON) as md:
        misses(md, ranges, is_slow=is_slow)
        stats = settled(md)
    settled_bytes = sum(stats[f"{outcome}_bytes"] for outcome in ("used", "late", "wasted"))
    assert stats["bytes"] == settled_bytes + stats["waiting_bytes"]
    assert stats["errors"] == {}


def test_what_the_source_has_next_is_fetched_before_it_is_asked_for(with_source):
    venue = Venue()
    md = with_source(venue)
    for start in range(0, 2_000, 50):
        assert read(md, start, start + 50).identical(HISTORY.slice(start, start + 50))
        settled(md)
    stats, sent = md.stats()["prefetch"], len(venue.asked)
    assert stats["requests"] >= 18
    assert sent - stats["requests"] <= 3, "sent while somebody waited"
    assert all(one[2] <= other[1] for one, other in pairwise(venue.asked)), "nothing twice"


def test_panning_into_the_past_fetches_ahead_too(with_source):
    venue = Venue()
    md = with_source(venue)
    for start in range(5_000, 3_000, -50):
        read(md, start, start + 100)
        settled(md)
    assert len(venue.asked) - md.stats()["prefetch"]["requests"] <= 3
    assert sum(end - start for _, start, end in venue.asked) <= 2_150 + 2 * PAGE


def test_the_nearest_pages_of_a_long_step_are_asked_for_first(with_source):
    venue = Venue()
    md = with_source(venue)
    for start in (9_000, 8_700, 8_400):
        read(md, start, start + 300)
        settled(md)
    ahead = [start for _, start, _ in venue.asked if start < 8_400]
    assert ahead == sorted(ahead, reverse=True) != []


def test_a_reader_without_fetch_sends_nothing(with_source):
    venue = Venue()
    md = with_source(venue)
    read(md, 0, 400)
    del venue.asked[:]
    for start in range(0, 400, 50):
        md.candles("X", "1m", T0 + start * MINUTE, T0 + (start + 60) * MINUTE, fetch=False)
        settled(md)
    assert venue.asked == []


def test_a_read_of_what_is_being_prefetched_waits_for_it(with_source):
    venue = Venue()
    md = with_source(venue)
    read(md, 0, 50)
    venue.gate.clear()
    begun = threading.Thread(target=read, args=(md, 50, 100))
    begun.start()
    venue.gate.set()
    begun.join()
    settled(md)
    venue.gate.clear()
    while venue.entered.acquire(blocking=False):
        pass
    last = max(end for _, _, end in venue.asked)
    answers = []
    ahead = threading.Thread(target=lambda: answers.append(read(md, last - 60, last - 10)))
    ahead.start()
    ahead.join()
    venue.entered.acquire(timeout=30)  # the prefetch is at the source
    reader = threading.Thread(target=lambda: answers.append(read(md, last - 10, last + 40)))
    reader.start()
    while not md.stats()["fetch"].get("joined"):
        time.sleep(0.001)
    venue.gate.set()
    reader.join()
    assert answers[1].identical(HISTORY.slice(last - 10, last + 40))
    assert len({start for _, start, _ in venue.asked}) == len(venue.asked)


def test_nothing_is_sent_while_somebody_waits_for_the_source(with_source):
    venue = Venue(concurrency=2)
    md = with_source(venue)
    read(md, 0, 400)
    settled(md)
    venue.gate.clear()
    waiting = threading.Thread(target=read, args=(md, 0, 50, "Y"))
    waiting.start()
    while ("Y", 0, 50) not in venue.asked:
        time.sleep(0.001)
    for start in (200, 250, 300, 350):
        read(md, start, start + 50)  # stored already: only what lies ahead would be asked for
    assert settled(md)["dropped"] >= 1
    assert venue.asked[-1] == ("Y", 0, 50)
    venue.gate.set()
    waiting.join()


def test_requests_for_nothing_are_at_most_a_share(with_source):
    venue = Venue()
    md = with_source(venue)
    random = np.random.default_rng(1)
    for place in random.permutation(np.arange(0, 90_000, 1_000))[:60].tolist():
        for start in (place, place + 20):
            read(md, start, start + 40)
            settled(md)
    ahead = md.stats()["prefetch"]["requests"]
    assert 1 <= ahead <= len(venue.asked) / 4 + 1


def test_errors_of_prefetches_are_counted_only(with_source):
    venue = Venue()
    venue.fails_from = 200
    md = with_source(venue)
    for start in range(0, 200, 50):
        assert len(read(md, start, start + 50)) == 50
        settled(md)
    assert settled(md)["errors"] == {"FetchError": 1}
    venue.fails_from = None
    assert read(md, 200, 250).identical(HISTORY.slice(200, 250))


def test_nothing_is_asked_for_beyond_now(with_source):
    venue = Venue(candles=400)
    md = with_source(venue)
    for start in range(0, 400, 50):
        read(md, start, start + 50)
        settled(md)
    assert max(end for _, _, end in venue.asked) <= 400


def test_closing_leaves_out_what_was_not_begun(tmp_path):
    venue = Venue()
    md = ohlcache.open(tmp_path, source=venue, settings=ON)
    read(md, 0, 50)
    venue.gate.clear()
    threading.Timer(0.05, venue.gate.set).start()
    read(md, 50, 100)
    md.close()
    assert not [one for one in threading.enumerate() if one.name.startswith("ohlcache-ahead")]


ranges_ = st.builds(
    lambda start, length: Interval(start, start + length),
    st.integers(-1_000, 1_000),
    st.integers(1, 500),
)


@given(ranges_, ranges_)
def test_backward_is_forward_with_time_turned_round(one, other):
    assert step(mirrored(one), mirrored(other)) == -step(one, other)
    assert step(one, other) * step(other, one) <= 0


@pytest.mark.parametrize(
    ("one", "other", "size"),
    [
        ((0, 10), (10, 20), 10),
        ((0, 10), (3, 13), 3),
        ((0, 10), (0, 12), 2),
        ((0, 10), (15, 25), 15),
        ((10, 20), (5, 15), -5),
        ((0, 10), (0, 10), 0),
        ((0, 10), (2, 8), 0),
        ((0, 10), (-2, 12), 0),
        ((0, 10), (40, 50), 0),
        ((0, 10), (10, 100), 0),
    ],
)
def test_direction(one, other, size):
    assert step(Interval(*one), Interval(*other)) == size


@given(st.lists(st.tuples(st.integers(1, 10**7), st.booleans()), max_size=50))
def test_usefulness_is_a_share_and_follows_what_happens(outcomes):
    usefulness = Usefulness()
    for nbytes, is_used in outcomes:
        before = usefulness.share(prior=0.5)
        usefulness.note(nbytes, is_used=is_used)
        assert 0 <= usefulness.share(prior=0.5) <= 1
        if len({size for size, _ in outcomes}) == 1:
            assert (usefulness.share(prior=0.5) >= before) == is_used


def test_what_was_of_no_use_is_tried_again_seldom_and_comes_back_when_it_is():
    ledger, usefulness = Ledger(10**9), Usefulness()

    def chances(number, *, is_read):
        taken = passed = 0
        for at in range(number):
            if not ledger.is_chance_taken(usefulness, passed):
                passed += 1
                continue
            taken, passed = taken + 1, 0
            piece = ledger.begin(Interval(at, at + 1), False, usefulness, 1_000)
            ledger.loaded(piece, 1_000)
            (ledger.read if is_read else ledger.give_up)(piece)
        return taken

    assert chances(100, is_read=False) <= 10
    chances(200, is_read=True)
    assert chances(100, is_read=True) == 100


def test_what_nobody_reads_makes_way():
    ledger, usefulness = Ledger(3_000), Usefulness()
    pieces = [ledger.begin(Interval(at, at + 1), False, usefulness, 1_000) for at in range(3)]
    for piece in pieces:
        ledger.loaded(piece, 1_000)
    assert ledger.room() == 0
    for _ in range(100):
        ledger.is_chance_taken(usefulness, 0)
    assert ledger.room() == 3_000
    ledger.read(pieces[0])  # after all, but its account is closed
    assert ledger.stats()["wasted_bytes"] == 3_000
    assert ledger.stats()["used_bytes"] == 0


def test_by_default_nothing_is_asked_of_the_source_that_nobody_asked_for(tmp_path):
    venue = Venue()
    with ohlcache.open(tmp_path / "store", source=venue) as md:
        for hour in range(48):
            start = T0 + hour * 60 * MINUTE
            md.candles("BTC/USDT", "1m", start, start + 60 * MINUTE)
        while md.stats()["prefetch"]["under_way"]:
            time.sleep(0.001)
        assert len(md.candles("BTC/USDT", "1m", fetch=False)) == 48 * 60
