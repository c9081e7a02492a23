"""What is known of symbols: checked, shared by all processes, and what it spares the source."""

from __future__ import annotations

import asyncio
import datetime as dt

import ccxt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ohlcache
from made_candles import MINUTE, T0, make_block
from ohlcache.candles import Grid, Interval, Timeframe, to_block
from ohlcache.candles.gaps import Gap
from ohlcache.candles.interval import difference, intersection, normalise
from ohlcache.errors import InvalidArgument, UnknownSymbol, UnsupportedBySource
from ohlcache.history.listing import Listing, mark_never_traded
from ohlcache.sources.ccxt import CcxtSource

DAY = 1440 * MINUTE
LISTED, DELISTED = T0 + DAY, T0 + 3 * DAY
HISTORY = make_block(2 * 1440, start=LISTED)
NOW = T0 + 5 * DAY


class Venue:
    """A source that holds two days of candles, and tells what it was asked."""

    venue = "test"
    capabilities = ohlcache.Capabilities()

    def __init__(self):
        self.asked = []

    def now(self):
        return NOW

    def fetch(self, symbol, timeframe, start, end):
        self.asked.append((start, end))
        return HISTORY.between(start, end) if timeframe == "1m" else []


class DescribingVenue(Venue):
    def properties(self, symbol):
        if symbol != "X":
            raise UnknownSymbol(f"symbol {symbol!r} is not known: there is X")
        return {"tick_size": 0.01, "listed": LISTED, "delisted": None}


@pytest.fixture
def venue():
    return DescribingVenue()


@pytest.fixture
def md(location, venue):
    with ohlcache.open(location, source=venue) as market_data:
        yield market_data


@pytest.fixture
def other(location, venue):
    """Another opening of the same store, as another process has it."""
    with ohlcache.open(location, source=venue) as market_data:
        yield market_data


def read(md, start=T0, end=NOW, **options):
    return to_block(md.candles("X", "1m", start, end, **options))


def test_documented_properties_come_back_in_one_form(md):
    md.set_metadata(
        "X",
        {
            "tick_size": np.float64(0.01),
            "lot_size": 1,
            "listed": dt.date(2017, 8, 17),
            "delisted": pd.Timestamp("2024-01-31T12:00", tz="Europe/Berlin"),
            "session": "Mon-Fri 09:00-17:30 Europe/Berlin",
            "base": "X",
            "quote": "USDT",
            "source": None,
            "mine": {"tags": ["a", 1]},
        },
    )
    assert md.metadata("X") == {
        "tick_size": 0.01,
        "lot_size": 1,
        "listed": "2017-08-17",
        "delisted": "2024-01-31T11:00Z",
        "session": "Mon-Fri 09:00-17:30 Europe/Berlin",
        "base": "X",
        "quote": "USDT",
        "mine": {"tags": ["a", 1]},
    }


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"tick_size": 0}, "tick_size of X is 0: give a number above 0"),
        ({"tick_size": float("nan")}, "tick_size of X is nan"),
        ({"lot_size": True}, "lot_size of X is True"),
        ({"lot_size": "0.1"}, "lot_size of X is '0.1'"),
        ({"listed": "some day"}, "listed of X is 'some day': write it as 2024-01-31"),
        ({"listed": 1.5}, "listed of X is 1.5: give a datetime"),
        ({"listed": "2024", "delisted": "2023"}, "delisted of X is 2023-01-01, not after listed"),
        ({"session": "never heard of"}, "session"),
        ({"base": ""}, "base of X is ''"),
        ({"quote": 5}, "quote of X is 5"),
        ({"mine": object()}, "metadata of X: .*use JSON types"),
        ({"mine": float("inf")}, "metadata of X: .*use JSON types"),
        ({5: "mine"}, "metadata of X has the key 5"),
        ([("base", "X")], "metadata of X is .*give a dict"),
    ],
)
def test_what_cannot_be_is_refused_by_name_and_nothing_is_stored(tmp_path, properties, message):
    with ohlcache.open(tmp_path) as md:
        with pytest.raises(InvalidArgument, match=message):
            md.set_metadata("X", properties)
        assert md.metadata("X") == {}


def test_what_one_process_sets_every_other_sees(md, other):
    assert other.metadata("X") == {}
    md.set_metadata("X", {"tick_size": 0.5})
    assert other.metadata("X") == md.metadata("X") == {"tick_size": 0.5}


def test_changing_what_was_answered_changes_nothing(md):
    md.set_metadata("X", {"mine": {"tags": ["a"]}})
    md.metadata("X")["mine"]["tags"].append("b")
    assert md.metadata("X") == {"mine": {"tags": ["a"]}}


def test_nothing_is_asked_for_outside_the_listing_and_later_reads_are_hits(md, venue):
    md.set_metadata("X", {"listed": LISTED, "delisted": DELISTED})
    assert read(md).identical(HISTORY)
    assert venue.asked == [(LISTED, DELISTED)]
    assert read(md).identical(HISTORY)
    assert md.stats()["reads"]["hits"] == 1
    assert md.coverage("X", "1m") == [Interval(T0, NOW)]


def test_a_range_before_the_listing_alone_sends_nothing(md, venue):
    md.set_metadata("X", {"listed": LISTED})
    assert len(read(md, T0, LISTED)) == 0
    assert venue.asked == []
    assert md.coverage("X", "1m") == [Interval(T0, LISTED)]


def test_the_candle_within_which_trading_begins_is_asked_for(md, venue):
    md.set_metadata("X", {"listed": LISTED + MINUTE // 2, "delisted": DELISTED - MINUTE // 2})
    assert read(md).identical(HISTORY)
    assert venue.asked == [(LISTED, DELISTED)]


def test_gaps_outside_the_listing_are_closed(md):
    md.set_metadata("X", {"listed": LISTED, "delisted": DELISTED})
    read(md)
    assert md.gaps("X", "1m") == [
        Gap(T0, LISTED, "closed", 1440),
        Gap(DELISTED, NOW, "closed", 2880),
    ]


def test_a_listing_that_turns_out_longer_is_fetched_by_every_process(md, other, venue):
    md.set_metadata("X", {"listed": LISTED + DAY, "delisted": LISTED + DAY + MINUTE})
    assert len(read(md)) == len(read(other)) == 1
    md.set_metadata("X", {"listed": LISTED})
    del venue.asked[:]
    assert read(other).identical(HISTORY)
    assert read(md).identical(HISTORY)
    assert normalise(venue.asked) == ((LISTED, LISTED + DAY), (LISTED + DAY + MINUTE, NOW))


def test_coverage_of_what_was_written_stays_when_the_listing_changes(md):
    md.set_metadata("X", {"listed": DELISTED})
    md.write("X", "1m", HISTORY)
    assert len(read(md, end=DELISTED)) == len(HISTORY)
    assert md.coverage("X", "1m") == [Interval(T0, DELISTED)]
    md.set_metadata("X", {})
    assert md.coverage("X", "1m") == [Interval(LISTED, DELISTED)]


def test_a_wrong_listing_between_candles_is_taken_back(md, venue):
    early, late = HISTORY.slice(0, 10), HISTORY.slice(2870, 2880)
    md.set_metadata("X", {"listed": DELISTED})
    read(md, end=DELISTED)
    md.write("X", "1m", early)
    md.write("X", "1m", late)
    md.set_metadata("X", {})
    gap = Interval(LISTED + 10 * MINUTE, DELISTED - 10 * MINUTE)
    assert md.coverage("X", "1m") == [Interval(LISTED, gap.start), Interval(gap.end, DELISTED)]
    assert read(md, end=DELISTED).identical(HISTORY)


def test_a_listing_stored_before_it_was_checked_does_not_keep_candles_from_being_read(
    md, sql, venue
):
    md.set_metadata("X", {"base": "X"})
    sql("UPDATE metadata SET data = ?", '{"listed": "some day"}')
    with_it = {"listed": "some day"}
    md.write("Y", "1m", HISTORY)  # anything that changes the store
    assert md.metadata("X") == with_it
    assert read(md).identical(HISTORY)


def test_refreshing_takes_what_the_source_tells_and_keeps_the_rest(md, other):
    md.set_metadata("X", {"tick_size": 5, "session": "fx"})
    expected = {"tick_size": 0.01, "session": "fx", "listed": "2020-01-02"}
    assert md.refresh_metadata("X") == expected
    assert other.metadata("X") == expected
    assert asyncio.run(other.arefresh_metadata("X")) == expected
    with pytest.raises(UnknownSymbol, match="there is X"):
        md.refresh_metadata("Y")


def test_refreshing_without_somebody_who_could_tell(tmp_path):
    with ohlcache.open(tmp_path) as md, pytest.raises(InvalidArgument, match="without a source"):
        md.refresh_metadata("X")
    with (
        ohlcache.open(tmp_path, source=Venue()) as md,
        pytest.raises(UnsupportedBySource, match="'test' tells no properties of X"),
    ):
        md.refresh_metadata("X")


def market(**told):
    return {
        "id": "BTCUSDT",
        "symbol": "BTC/USDT",
        "base": "BTC",
        "quote": "USDT",
        "type": "spot",
        "spot": True,
        "created": None,
        **told,
    }


@pytest.mark.parametrize(
    ("mode", "precision", "steps"),
    [
        (ccxt.TICK_SIZE, {"price": 0.05, "amount": 0.001}, {"tick_size": 0.05, "lot_size": 0.001}),
        (ccxt.DECIMAL_PLACES, {"price": 2, "amount": 0}, {"tick_size": 0.01, "lot_size": 1.0}),
        (ccxt.SIGNIFICANT_DIGITS, {"price": 5, "amount": 5}, {}),
        (ccxt.TICK_SIZE, {"price": None}, {}),
    ],
)
def test_ccxt_tells_properties(tmp_path, mode, precision, steps):
    exchange = ccxt.binance()
    exchange.precisionMode = mode
    exchange.set_markets([market(precision=precision, created=LISTED, expiry=DELISTED)])
    with ohlcache.open(tmp_path, source=CcxtSource(exchange)) as md:
        assert md.refresh_metadata("BTC/USDT") == {
            **steps,
            "listed": "2020-01-02",
            "delisted": "2020-01-04",
            "base": "BTC",
            "quote": "USDT",
            "source": "binance",
            "market": "spot",
        }
        with pytest.raises(UnknownSymbol):
            md.refresh_metadata("NO/SUCH")


times = st.integers(0, 60).map(lambda number: T0 + number * MINUTE // 2)
ranges = st.lists(st.tuples(times, times), max_size=4)


@given(ranges, times, times)
def test_a_range_is_traded_or_it_is_not(wanted, start, end):
    grid, listing = Grid(Timeframe.parse("1m")), Listing(start, end)
    traded, never = listing.traded(grid, wanted), listing.never_traded(grid, wanted)
    assert intersection(traded, never) == ()
    assert difference(wanted, (*traded, *never)) == ()
    for opens in range(T0, T0 + 30 * MINUTE, MINUTE):
        is_within = opens + MINUTE > start and opens < end
        if is_within:
            assert not intersection(never, [(opens, opens + 1)])


@given(
    st.lists(st.sampled_from(["empty", "closed", "never_fetched", None]), max_size=20),
    times,
    times,
)
def test_marking_keeps_every_absent_candle_once(kinds, start, end):
    grid, listing = Grid(Timeframe.parse("1m")), Listing(start, end)
    gaps = [
        Gap(T0 + at * MINUTE, T0 + (at + 1) * MINUTE, kind, 1)
        for at, kind in enumerate(kinds)
        if kind is not None
    ]
    marked = mark_never_traded(gaps, grid, listing)
    assert sum(gap.candles for gap in marked) == len(gaps)
    kind_of = {opens: gap.kind for gap in marked for opens in range(gap.start, gap.end, MINUTE)}
    for gap in gaps:
        is_within = gap.end > start and gap.start < end
        assert kind_of[gap.start] == (gap.kind if is_within else "closed")
