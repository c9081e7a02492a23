"""Candles and metadata in the cache: kept for their freshness, never answered short."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohlcache.cache.manager import CacheManager
from ohlcache.cache.market.recent import MarketDataCache
from ohlcache.candles.block import Block
from ohlcache.candles.frames import to_block, to_frame
from ohlcache.errors import InvalidArgument, UnknownTimeframe

T0, MINUTE = 1_577_836_800_000, 60_000  # 2020-01-01
ROWS = 30
END = T0 + ROWS * MINUTE
BLOCK = Block(
    np.arange(T0, END, MINUTE), np.random.default_rng(1).integers(1, 999, (5, ROWS)) / 100
)


@pytest.fixture(params=["memory", "database"])
def cache(request, tmp_path):
    tiers = {"l3": {"url": f"sqlite:///{tmp_path}/l3.db"}} if request.param == "database" else {}
    with CacheManager({"cache": tiers}) as manager:
        yield manager


@pytest.fixture
def market(cache):
    return MarketDataCache(cache)


class Recorder:
    """A cache that only tells what it was asked to keep."""

    def set(self, key, value, category, ttl=None):
        self.category, self.ttl = category, ttl

    async def aset(self, key, value, category, ttl=None):
        self.set(key, value, category, ttl)


@pytest.mark.parametrize("as_", ["pandas", "polars", "arrow", "numpy", "ccxt"])
def test_a_range_comes_back_in_the_type_of_frame_that_was_given(market, as_):
    data = to_frame(BLOCK, as_)
    market.set_ohlcv("BTC/USDT", "1m", data)
    for start, end, rows in ((None, None, (0, ROWS)), (T0 + MINUTE, END - MINUTE, (1, ROWS - 1))):
        found = market.get_ohlcv("BTC/USDT", "1m", start, end)
        assert type(found) is type(data)
        assert to_block(found).identical(BLOCK.slice(*rows))


def test_an_array_and_a_frame_with_a_time_column_come_back(market):
    rows = np.column_stack([BLOCK.times, BLOCK.values.T])
    market.set_ohlcv("A", "1m", rows)
    np.testing.assert_array_equal(market.get_ohlcv("A", "1m", T0 + MINUTE), rows[1:])
    frame = pd.DataFrame(to_frame(BLOCK, "numpy")).assign(note="x")
    market.set_ohlcv("A", "1m", frame)
    found = market.get_ohlcv("A", "1m", T0 + MINUTE, T0 + 3 * MINUTE)
    pd.testing.assert_frame_equal(found, frame.iloc[1:3])


@pytest.mark.parametrize(
    ("start", "end", "is_hit"),
    [
        (T0, END, True),
        (T0, END + 1, False),
        (T0 - 1, END, False),
        (None, END, True),
        (None, END + 1, False),
        (T0 - 1, None, False),
        (T0 + 1, T0 + 2, True),
        (END, END + MINUTE, False),
        ("2020-01-01T00:01", datetime(2020, 1, 1, 0, 3, tzinfo=UTC), True),
        (pd.Timestamp("2020-01-01 00:29", tz="UTC"), None, True),
    ],
)
def test_what_the_frame_does_not_cover_to_both_ends_is_a_miss(market, start, end, is_hit):
    market.set_ohlcv("BTC/USDT", "1m", to_frame(BLOCK))
    assert (market.get_ohlcv("BTC/USDT", "1m", start, end) is not None) == is_hit


@given(st.integers(-3, ROWS + 3), st.integers(1, ROWS + 6))
def test_an_answer_is_exactly_the_candles_that_open_in_the_range(first, length):
    start, end = T0 + first * MINUTE, T0 + (first + length) * MINUTE
    with CacheManager({"cache": {}}) as manager:
        market = MarketDataCache(manager)
        market.set_ohlcv("BTC/USDT", "1m", to_frame(BLOCK))
        found = market.get_ohlcv("BTC/USDT", "1m", start, end)
    if first < 0 or first + length > ROWS:
        assert found is None
    else:
        assert to_block(found).times.tolist() == list(range(start, end, MINUTE))


@pytest.mark.parametrize(
    ("timeframe", "opens", "close"),
    [
        ("1M", ["2024-01-01", "2024-02-01"], "2024-03-01"),
        ("1w", ["2024-01-01", "2024-01-08"], "2024-01-15"),
        # New York's midnight; the last day has 23 hours.
        ("1d", ["2023-11-05T04:00", "2023-11-06T05:00", "2024-03-10T05:00"], "2024-03-11T04:00"),
    ],
)
def test_the_last_candle_is_covered_to_its_close(market, timeframe, opens, close):
    index = pd.DatetimeIndex(opens, tz="UTC")
    frame = pd.DataFrame(1.0, index, ["open", "high", "low", "close", "volume"])
    market.set_ohlcv("X", timeframe, frame)
    assert len(market.get_ohlcv("X", timeframe, opens[0], close)) == len(opens)
    later = pd.Timestamp(close, tz="UTC") + pd.Timedelta("1ms")
    assert market.get_ohlcv("X", timeframe, opens[0], later) is None


def test_an_empty_frame_covers_nothing(market):
    empty = to_frame(BLOCK.slice(0, 0))
    market.set_ohlcv("X", "1m", empty)
    assert len(market.get_ohlcv("X", "1m")) == 0
    assert market.get_ohlcv("X", "1m", T0) is None


def test_symbols_timeframes_and_venues_are_kept_apart(market):
    for number, (symbol, timeframe, venue) in enumerate(
        [("A", "1m", None), ("A", "1m", "x"), ("A", "1m", "None"), ("A:x", "1m", None)]
    ):
        market.set_ohlcv(symbol, timeframe, to_frame(BLOCK.slice(number, ROWS)), venue=venue)
    assert len(market.get_ohlcv("A", "60s")) == ROWS
    assert len(market.get_ohlcv("A", "1m", venue="x")) == ROWS - 1
    assert len(market.get_ohlcv("A", "1m", venue="None")) == ROWS - 2
    assert len(market.get_ohlcv("A:x", "1m")) == ROWS - 3
    assert market.get_ohlcv("A", "5m") is None
    assert market.get_ohlcv("A", "1m", venue="y") is None


@pytest.mark.parametrize(
    ("timeframe", "seconds"), [("1m", 60), ("5m", 300), ("1h", 1800), ("1d", 14400)]
)
def test_a_frame_is_kept_for_the_freshness_of_its_timeframe(timeframe, seconds):
    recorder = Recorder()
    market = MarketDataCache(recorder)
    market.set_ohlcv("A", timeframe, to_frame(BLOCK))
    assert (recorder.ttl, recorder.category) == (seconds, "market_data_ohlcv")
    asyncio.run(market.aset_ohlcv("A", timeframe, to_frame(BLOCK), ttl=7))
    assert recorder.ttl == 7


def test_what_is_handed_out_cannot_change_what_is_kept(market):
    market.set_ohlcv("A", "1m", to_frame(BLOCK))
    for found in (market.get_ohlcv("A", "1m"), market.get_ohlcv("A", "1m", T0, END)):
        found["close"] = 0.0
    assert to_block(market.get_ohlcv("A", "1m")).identical(BLOCK)


def test_metadata_comes_back_as_a_dict_of_ones_own(market):
    facts = {"tick": 0.01, "lots": {"min": 1}}
    market.set_metadata("A", facts)
    found = market.get_metadata("A")
    assert found == facts
    found["tick"] = 1
    assert market.get_metadata("A") == facts
    assert market.get_metadata("A", venue="x") is None
    assert market.get_metadata("B") is None


def test_the_async_doors_do_the_same(market):
    async def visit():
        await market.aset_ohlcv("A", "1m", to_frame(BLOCK), venue="x")
        await market.aset_metadata("A", {"tick": 1}, venue="x")
        return (
            await market.aget_ohlcv("A", "1m", T0, END, venue="x"),
            await market.aget_ohlcv("A", "1m", T0, END + 1, venue="x"),
            await market.aget_metadata("A", venue="x"),
            await market.aget_metadata("A"),
        )

    found, beyond, metadata, absent = asyncio.run(visit())
    assert to_block(found).identical(BLOCK)
    assert (beyond, metadata, absent) == (None, {"tick": 1}, None)
    assert to_block(market.get_ohlcv("A", "1m", venue="x")).identical(BLOCK)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (to_frame(BLOCK).iloc[::-1], "ascending order"),
        (pd.concat([to_frame(BLOCK)] * 2), "ascending order"),
        (pd.DataFrame({"a": [1]}), "no column open"),
        (to_frame(BLOCK, "polars").drop("close"), "no column close"),
        (pa.table({"a": [1]}), "no column"),
        ([[1, 2]], "rows of 2 fields"),
        ("text", "data is"),
    ],
)
def test_what_is_no_table_of_candles_is_refused(market, data, message):
    with pytest.raises(InvalidArgument, match=message):
        market.set_ohlcv("A", "1m", data)
    assert market.get_ohlcv("A", "1m") is None


def test_arguments_that_cannot_be(market):
    with pytest.raises(UnknownTimeframe, match="1x"):
        market.set_ohlcv("A", "1x", to_frame(BLOCK))
    with pytest.raises(UnknownTimeframe, match="1x"):
        market.get_ohlcv("A", "1x")
    with pytest.raises(InvalidArgument, match="is not before end"):
        market.get_ohlcv("A", "1m", END, T0)
    with pytest.raises(InvalidArgument, match="start is 1.5"):
        market.get_ohlcv("A", "1m", 1.5)
    with pytest.raises(InvalidArgument, match="metadata is"):
        market.set_metadata("A", ["tick"])
