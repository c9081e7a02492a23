"""Trades to candles: against pandas on real trades, in any batches, and what is refused."""

import gzip
import json
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohlcache.candles import trades as module
from ohlcache.candles.block import Block
from ohlcache.candles.grid import Anchor, Grid
from ohlcache.candles.timeframe import DAY, HOUR, MINUTE, Timeframe
from ohlcache.candles.trades import TradeAggregator, Trades, trades_to_candles
from ohlcache.errors import InvalidArgument

MONDAY = 1_704_067_200_000
FOREVER = 2**42


def grid(text, **anchor):
    return Grid(Timeframe.parse(text), Anchor(**anchor))


MINUTES = grid("1m")


def trades(*rows):
    times, prices, amounts = zip(*rows, strict=True) if rows else ((), (), ())
    return Trades(
        np.array(times, np.int64), np.array(prices, np.float64), np.array(amounts, np.float64)
    )


def random_trades(count, seed=0, span=DAY):
    generator = np.random.default_rng(seed)
    return Trades(
        MONDAY + np.sort(generator.integers(0, span, count)),
        100 + generator.normal(size=count).cumsum().round(2),
        generator.lognormal(0, 2, count),
    )


def by_pandas(trades, rule):
    index = pd.DatetimeIndex(trades.times.astype("M8[ms]"))
    frame = pd.DataFrame({"price": trades.prices, "amount": trades.amounts}, index=index)
    frame["quote"] = frame["price"] * frame["amount"]
    resampler = frame.resample(rule)
    candles = resampler["price"].ohlc()
    candles["volume"] = resampler["amount"].sum()
    candles["trades"] = resampler["price"].count()
    candles["quote_volume"] = resampler["quote"].sum()
    candles = candles[candles["trades"] > 0]
    times = candles.index.to_numpy().astype("M8[ms]").astype(np.int64)
    return Block(times, np.ascontiguousarray(candles.to_numpy(np.float64).T), tuple(candles))


@pytest.fixture
def real(real_candles):
    rows = json.loads(gzip.decompress((real_candles / "XRP_ETH-trades.json.gz").read_bytes()))
    return Trades(
        np.array([row[0] for row in rows], np.int64),
        np.array([row[4] for row in rows], np.float64),
        np.array([row[5] for row in rows], np.float64),
    )


@pytest.mark.parametrize(("text", "rule"), [("1m", "1min"), ("1h", "1h"), ("1d", "1D")])
def test_real_trades_equal_pandas(real, text, rule):
    candles = trades_to_candles(real, grid(text), closed_until=FOREVER)
    assert candles.identical(by_pandas(real, rule))
    assert candles.column("trades").sum() == len(real)


def test_real_trades_are_the_candles_of_the_venue(real, real_candles):
    frame = pd.read_feather(real_candles / "XRP_ETH-1m.feather")
    times = frame["date"].astype("datetime64[ms, UTC]").astype("int64").to_numpy()
    venue = Block(times, np.ascontiguousarray(frame.iloc[:, 1:6].to_numpy(np.float64).T))
    ours = trades_to_candles(real, MINUTES, closed_until=FOREVER)
    # both from the first whole minute of the trades to the last minute of the candles
    start, end = MINUTES.ceil(int(real.times[0])), int(times[-1]) + MINUTE
    venue, ours = venue.between(start, end), ours.between(start, end)
    assert len(venue) > 2000
    assert venue.times.tolist() == ours.times.tolist()
    assert np.array_equal(venue.values[:4], ours.values[:4])
    np.testing.assert_allclose(venue.values[4], ours.values[4], rtol=1e-12)


@pytest.mark.parametrize(("text", "rule"), [("1s", "1s"), ("5m", "5min"), ("4h", "4h")])
def test_random_trades_equal_pandas(text, rule):
    block = random_trades(50_000)
    candles = trades_to_candles(block, grid(text), closed_until=FOREVER)
    assert candles.identical(by_pandas(block, rule))


@settings(max_examples=80)
@given(
    st.lists(st.integers(0, 5_000), max_size=12),
    st.sampled_from(["1m", "5m", "1h", "1d"]),
    st.sampled_from([1, 2, 7, 100, 1 << 20]),
)
def test_batches_do_not_matter(cuts, text, piece):
    """Bit for bit, sums included, also where a candle has more trades than one piece."""
    every = random_trades(5_000, seed=len(cuts), span=3 * HOUR)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_PIECE", piece)
        whole = trades_to_candles(every, grid(text), closed_until=FOREVER)
        aggregator = TradeAggregator(grid(text))
        bounds = [0, *sorted(cuts), len(every)]
        blocks = [aggregator.add(every.slice(start, stop)) for start, stop in pairwise(bounds)]
        blocks.append(aggregator.finish(FOREVER))
    assert Block.concatenate(blocks).identical(whole)


def test_many_trades_in_a_candle_are_not_all_held(monkeypatch):
    monkeypatch.setattr(module, "_PIECE", 100)
    aggregator = TradeAggregator(grid("1d"))
    every = random_trades(5_050)
    held = []
    for start in range(0, len(every), 70):
        assert len(aggregator.add(every.slice(start, start + 70))) == 0
        held.append(sum(len(part) for part in aggregator._waiting))
    assert max(held) <= 100
    candle = aggregator.finish(FOREVER)
    assert candle.column("trades").tolist() == [5_050]
    np.testing.assert_allclose(candle.column("volume"), every.amounts.sum())


class TestTheLastCandle:
    rows = trades((MONDAY + 1, 10, 1), (MONDAY + MINUTE + 5, 11, 2))

    def test_is_left_out_unless_it_is_closed(self):
        assert trades_to_candles(self.rows, MINUTES).times.tolist() == [MONDAY]

    @pytest.mark.parametrize(("until", "count"), [(2 * MINUTE - 1, 1), (2 * MINUTE, 2)])
    def test_closed_until_decides(self, until, count):
        candles = trades_to_candles(self.rows, MINUTES, closed_until=MONDAY + until)
        assert len(candles) == count

    def test_the_aggregator_names_what_it_left_out(self):
        aggregator = TradeAggregator(MINUTES)
        assert aggregator.add(self.rows).times.tolist() == [MONDAY]
        assert len(aggregator.finish()) == 0
        assert aggregator.incomplete == MONDAY + MINUTE
        aggregator.add(self.rows)
        assert len(aggregator.finish(MONDAY + 2 * MINUTE)) == 1
        assert aggregator.incomplete is None

    def test_nothing_at_all(self):
        aggregator = TradeAggregator(MINUTES)
        assert len(aggregator.add(trades())) == 0
        assert aggregator.finish(FOREVER).names == module.CANDLE_NAMES
        assert aggregator.incomplete is None
        assert len(trades_to_candles(trades(), MINUTES)) == 0


def test_a_candle_comes_out_when_the_next_one_begins():
    aggregator = TradeAggregator(MINUTES)
    assert len(aggregator.add(trades((MONDAY, 10, 1)))) == 0
    assert len(aggregator.add(trades((MONDAY + 59_999, 12, 1)))) == 0
    candle = aggregator.add(trades((MONDAY + 7 * MINUTE, 9, 1)))
    assert candle.times.tolist() == [MONDAY]
    assert candle.values[:, 0].tolist() == [10, 12, 10, 12, 2, 2, 22]


def test_the_same_millisecond_keeps_the_order_of_the_file():
    same = trades((MONDAY + 5, 3, 1), (MONDAY + 5, 1, 1), (MONDAY + 5, 2, 1), (MONDAY, 9, 1))
    candle = trades_to_candles(same, MINUTES, closed_until=FOREVER)
    assert candle.values[:4, 0].tolist() == [9, 9, 1, 2]
    aggregator = TradeAggregator(MINUTES)
    aggregator.add(trades((MONDAY + 5, 3, 1)))
    aggregator.add(trades((MONDAY + 5, 1, 1)))
    assert aggregator.finish(FOREVER).values[:4, 0].tolist() == [3, 3, 1, 1]


def test_order_within_a_batch_and_within_the_open_candle_does_not_matter():
    every = random_trades(3_000, span=2 * HOUR)
    mixed = np.random.default_rng(1).permutation(len(every))
    shuffled = Trades(every.times[mixed], every.prices[mixed], every.amounts[mixed])
    unique = np.unique(every.times, return_counts=True)[1].max() == 1
    assert unique, "trades of the same millisecond would have no order to restore"
    expected = trades_to_candles(every, MINUTES)
    assert trades_to_candles(shuffled, MINUTES).identical(expected)
    aggregator = TradeAggregator(MINUTES)
    aggregator.add(trades((MONDAY + 900, 2, 1)))
    aggregator.add(trades((MONDAY + 100, 1, 1)))
    assert aggregator.finish(FOREVER).values[:4, 0].tolist() == [1, 2, 1, 2]


def test_a_trade_of_a_candle_already_given_is_refused():
    aggregator = TradeAggregator(MINUTES)
    aggregator.add(trades((MONDAY, 10, 1), (MONDAY + MINUTE, 11, 1)))
    late = trades((MONDAY + MINUTE + 5, 12, 1), (MONDAY + 59_999, 1, 1))
    with pytest.raises(InvalidArgument, match=r"trade at 2024-01-01T00:00:59\.999Z is older than "
                                              r"2024-01-01T00:01Z"):  # fmt: skip
        aggregator.add(late)
    assert aggregator.finish(FOREVER).column("trades").tolist() == [1]  # nothing of it was taken


def test_a_trade_older_than_a_finished_piece_is_refused(monkeypatch):
    monkeypatch.setattr(module, "_PIECE", 2)
    aggregator = TradeAggregator(grid("1h"))
    aggregator.add(trades(*((MONDAY + second * 1000, 1, 1) for second in range(5))))
    with pytest.raises(InvalidArgument, match="is older than 2024-01-01T00:00:03Z"):
        aggregator.add(trades((MONDAY + 2_000, 1, 1)))
    aggregator.add(trades((MONDAY + 3_000, 1, 1)))
    assert aggregator.finish(FOREVER).column("trades").tolist() == [6]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((MONDAY, np.nan, 1), "trade 1 at 1704067200000 ms has the price nan"),
        ((MONDAY, np.inf, 1), "has the price inf"),
        ((MONDAY, 1, np.nan), "has the amount nan"),
        ((MONDAY, 1, np.inf), "has the amount inf"),
        ((MONDAY, 1, -0.5), "has the amount -0.5.*without the sign"),
        ((MONDAY * 1000, 1, 1), "has the time 1704067200000000 .*give ms"),
    ],
)
def test_what_cannot_be_a_trade_is_refused(row, message):
    with pytest.raises(InvalidArgument, match=message):
        trades_to_candles(trades((MONDAY, 1, 1), row), MINUTES)


def test_prices_may_be_zero_or_negative_and_amounts_zero():
    rows = trades((MONDAY, 0, 1), (MONDAY + 1, -37.63, 2), (MONDAY + 2, -1, 0))
    candle = trades_to_candles(rows, MINUTES, closed_until=FOREVER)
    assert candle.values[:, 0].tolist() == [0, 0, -37.63, -1, 3, 3, -75.26]


def test_columns_of_one_length():
    with pytest.raises(InvalidArgument, match="have 2, 1 and 1 rows"):
        Trades(np.zeros(2, np.int64), np.zeros(1), np.zeros(1))


def test_days_of_a_session():
    fx = grid("1d", zone="America/New_York", offset=-7 * HOUR)
    times = MONDAY + np.arange(0, 4 * DAY, HOUR)
    every = Trades(times, np.ones(len(times)), np.ones(len(times)))
    days = trades_to_candles(every, fx)
    assert (days.times % DAY == 22 * HOUR).all()
    assert days.column("trades").tolist() == [22, 24, 24, 24]
