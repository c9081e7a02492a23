"""Made-up candles: always the same, always labelled, and like real ones where it matters."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohlcache.candles.block import OHLCV
from ohlcache.candles.grid import Grid
from ohlcache.candles.resample import resample
from ohlcache.candles.timeframe import DAY, HOUR, MINUTE, Timeframe
from ohlcache.errors import InvalidArgument, UnknownTimeframe, UnsupportedBySource
from ohlcache.sources import synthetic as module
from ohlcache.sources.protocol import Source
from ohlcache.sources.synthetic import NEWEST, OLDEST, SyntheticSource, synthetic_candles

MONDAY = 1_704_067_200_000  # 2024-01-01
LATER = MONDAY + 1000 * DAY


def source(seed=0, now=LATER):
    return SyntheticSource(seed, clock=lambda: now)


@settings(max_examples=30)
@given(
    st.lists(st.integers(0, 40 * 24 * 60), min_size=1, max_size=5),
    st.randoms(use_true_random=False),
)
def test_any_parts_in_any_order_are_the_same(cuts, random):
    start, end = MONDAY - 20 * DAY, MONDAY + 20 * DAY
    whole = source().fetch("A/B", "1m", start, end)
    bounds = [start, *(start + cut * MINUTE for cut in sorted(cuts)), end]
    parts = list(pairwise(bounds))
    random.shuffle(parts)
    for low, high in parts:
        module._window.cache_clear()
        assert source().fetch("A/B", "1m", low, high).identical(whole.between(low, high))


def test_the_same_in_another_process():
    """Python's own hashes differ from process to process; these candles must not."""
    code = (
        "from ohlcache.sources.synthetic import synthetic_candles;"
        "print(synthetic_candles('A/B', '1m', '2024-01-01', '2024-01-03', 7).values.sum().hex())"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    here = synthetic_candles("A/B", "1m", "2024-01-01", "2024-01-03", 7).values.sum().hex()
    assert outputs == {here}


def test_symbols_and_seeds_differ():
    def values(symbol, seed):
        return source(seed).fetch(symbol, "1m", MONDAY, MONDAY + DAY).values

    first = values("A/B", 0)
    assert np.array_equal(first, values("A/B", 0))
    assert not np.array_equal(first, values("A/C", 0))
    assert not np.array_equal(first, values("A/B", 1))


@pytest.mark.parametrize("timeframe", ["5m", "7m", "1h", "1d", "1w", "1M"])
def test_longer_timeframes_are_made_of_the_minutes(timeframe):
    grid = Grid(Timeframe.parse(timeframe))
    start = grid.ceil(MONDAY)
    end = grid.shifted(start, 3)
    minutes = source().fetch("A/B", "1m", start, end)
    expected = resample(minutes, Grid(Timeframe.parse("1m")), grid).block
    assert len(expected) == 3
    assert source().fetch("A/B", timeframe, start, end).identical(expected)


def test_a_long_range_of_days_is_made_in_pieces():
    days = synthetic_candles("A/B", "1d", MONDAY, MONDAY + 800 * DAY)
    assert days.times.tolist() == list(range(MONDAY, MONDAY + 800 * DAY, DAY))
    some = synthetic_candles("A/B", "1d", MONDAY + 340 * DAY, MONDAY + 360 * DAY)
    assert days.between(MONDAY + 340 * DAY, MONDAY + 360 * DAY).identical(some)


def test_the_venue_is_always_synthetic():
    made = SyntheticSource()
    assert made.venue == "synthetic"
    with pytest.raises(AttributeError):
        made.venue = "binance"
    with pytest.raises(TypeError):
        SyntheticSource(venue="binance")
    assert isinstance(made, Source)


class TestNow:
    now = MONDAY + 90 * MINUTE + 31_000

    def test_only_minutes_that_are_over(self):
        block = source(now=self.now).fetch("A/B", "1m", MONDAY, MONDAY + DAY)
        assert block.times.tolist() == list(range(MONDAY, MONDAY + 90 * MINUTE, MINUTE))

    def test_a_longer_candle_forms(self):
        block = source(now=self.now).fetch("A/B", "1h", MONDAY, MONDAY + DAY)
        whole = source().fetch("A/B", "1h", MONDAY, MONDAY + DAY)
        minutes = source().fetch("A/B", "1m", MONDAY + HOUR, MONDAY + 90 * MINUTE)
        assert block.times.tolist() == [MONDAY, MONDAY + HOUR]
        assert block.slice(0, 1).identical(whole.slice(0, 1))
        assert block.column("close")[1] == minutes.column("close")[-1]
        assert block.column("volume")[1] == pytest.approx(minutes.column("volume").sum())

    def test_nothing_of_the_future(self):
        ahead = source(now=self.now)
        for timeframe in ("1m", "1h", "1M"):
            assert len(ahead.fetch("A/B", timeframe, MONDAY + DAY, LATER)) == 0

    def test_the_clock_of_this_machine_otherwise(self):
        assert MONDAY < SyntheticSource().now() < NEWEST
        assert source(now=5).now() == 5


def test_the_years_that_there_are():
    assert synthetic_candles("A/B", "1M", 0, 2**42).times[0] == OLDEST
    assert len(synthetic_candles("A/B", "1m", 0, OLDEST)) == 0
    assert len(synthetic_candles("A/B", "1m", NEWEST, NEWEST + DAY)) == 0
    last = synthetic_candles("A/B", "1m", NEWEST - 3 * MINUTE, NEWEST + DAY)
    assert last.times[-1] == NEWEST - MINUTE
    assert source().capabilities.oldest == OLDEST


@pytest.mark.parametrize(("start", "end"), [(MONDAY, MONDAY), (MONDAY, MONDAY - DAY)])
@pytest.mark.parametrize("timeframe", ["1m", "1h", "1w"])
def test_empty_ranges(timeframe, start, end):
    block = source().fetch("A/B", timeframe, start, end)
    assert len(block) == 0
    assert block.names == OHLCV


def test_ranges_are_of_open_times():
    block = source().fetch("A/B", "1m", MONDAY + 1, MONDAY + 2 * MINUTE + 1)
    assert block.times.tolist() == [MONDAY + MINUTE, MONDAY + 2 * MINUTE]


def test_what_it_does_not_have():
    with pytest.raises(UnsupportedBySource, match="30s is not made of minutes.*ask for 1m"):
        source().fetch("A/B", "30s", MONDAY, LATER)
    with pytest.raises(UnknownTimeframe):
        source().fetch("A/B", "1x", MONDAY, LATER)
    with pytest.raises(InvalidArgument, match="start is 'soon'"):
        synthetic_candles("A/B", "1m", "soon", LATER)


def test_its_own_timeframes_work():
    made = source()
    for timeframe in made.capabilities.timeframes:
        assert len(made.fetch("A/B", timeframe, MONDAY - 400 * DAY, MONDAY)) > 0


class TestLikeARealMarket:
    block = synthetic_candles("BTC/USDT", "1m", "2022-01-01", "2023-01-01")
    open_, high, low, close, volume = block.values
    returns = np.diff(np.log(close))

    def test_candles_are_sound(self):
        assert (self.high >= np.maximum(self.open_, self.close)).all()
        assert (self.low <= np.minimum(self.open_, self.close)).all()
        assert (self.low > 0).all()
        assert (self.volume > 0).all()
        assert (np.diff(self.block.times) == MINUTE).all()

    def test_prices_are_whole_ticks_written_as_decimals(self):
        for symbol in ("BTC/USDT", "A", "B", "DEMO/USD"):
            values = synthetic_candles(symbol, "1m", "2022-01-01", "2022-01-05").values
            for column in values:
                digits = max(len(repr(value).partition(".")[2]) for value in column.tolist())
                assert digits <= 9
                assert np.array_equal(column, np.round(column, digits))

    def test_big_moves_are_more_frequent_than_a_normal_distribution_has_them(self):
        centred = self.returns - self.returns.mean()
        kurtosis = (centred**4).mean() / (centred**2).mean() ** 2
        assert 8 < kurtosis < 100

    def test_moves_cluster_but_do_not_repeat(self):
        moves = np.abs(self.returns)
        assert np.corrcoef(moves[:-1], moves[1:])[0, 1] > 0.1
        assert np.corrcoef(moves[:-60], moves[60:])[0, 1] > 0.05
        assert abs(np.corrcoef(self.returns[:-1], self.returns[1:])[0, 1]) < 0.05

    def test_volume_goes_with_moves(self):
        assert np.corrcoef(np.abs(self.returns), self.volume[1:])[0, 1] > 0.2

    def test_the_day_has_a_pulse(self):
        hours = (self.block.times // HOUR) % 24
        by_hour = [self.volume[hours == hour].mean() for hour in range(24)]
        assert by_hour[14] > 1.5 * by_hour[3]

    def test_a_day_moves_as_much_as_its_minutes_say(self):
        days = synthetic_candles("BTC/USDT", "1d", "2012-01-01", "2024-01-01").column("close")
        daily = np.diff(np.log(days)).std()
        assert 0.01 < daily < 0.12
        assert days.max() / days.min() < 1000
