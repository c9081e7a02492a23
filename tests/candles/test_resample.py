"""Resampling against pandas on random and real candles, and what may be resampled at all."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohlcache.candles.block import OHLCV, Block
from ohlcache.candles.grid import UTC_ANCHOR, Anchor, Grid
from ohlcache.candles.interval import normalise
from ohlcache.candles.resample import divides, resample
from ohlcache.candles.timeframe import DAY, HOUR, MINUTE, WEEK, Timeframe
from ohlcache.errors import InvalidArgument

FX = Anchor("America/New_York", -7 * HOUR)
MONDAY = 1_704_067_200_000  # 2024-01-01, a Monday and the first of a month

# what pandas calls our timeframes
RULES = {
    "5m": "5min",
    "15m": "15min",
    "1h": "1h",
    "4h": "4h",
    "1d": "1D",
    "1w": "W-MON",
    "1M": "MS",
    "3M": "QS",
}
AGGREGATION = {"open": "first", "high": "max", "low": "min", "close": "last"}


def grid(text, anchor=UTC_ANCHOR):
    return Grid(Timeframe.parse(text), anchor)


def candles(times, seed=0, names=OHLCV):
    generator = np.random.default_rng(seed)
    times = np.asarray(times, np.int64)
    values = np.empty((len(names), len(times)))
    close = 100 + np.cumsum(generator.normal(size=len(times)))
    values[0] = np.roll(close, 1)
    values[1] = np.maximum(values[0], close) + generator.random(len(times))
    values[2] = np.minimum(values[0], close) - generator.random(len(times))
    values[3] = close
    values[4:] = generator.lognormal(3, 2, (len(names) - 4, len(times)))
    return Block(times, values, tuple(names))


def to_frame(block):
    index = pd.DatetimeIndex(block.times.astype("M8[ms]"), tz="UTC")
    return pd.DataFrame(block.values.T, index=index, columns=list(block.names))


def by_pandas(block, rule, zone="UTC"):
    frame = to_frame(block).tz_convert(zone)
    sums = dict.fromkeys(block.names[4:], "sum")
    resampler = frame.resample(rule, label="left", closed="left")
    result = resampler.agg({**AGGREGATION, **sums})
    return result[resampler.size() > 0]


def assert_equal(block, frame):
    assert block.times.tolist() == [round(t.timestamp() * 1000) for t in frame.index]
    expected = np.ascontiguousarray(frame[list(block.names)].to_numpy().T)
    assert block.values.view(np.int64).tolist() == expected.view(np.int64).tolist()


def read(path):
    frame = pd.read_feather(path)
    times = frame["date"].astype("datetime64[ms, UTC]").astype("int64").to_numpy()
    return Block(times, np.ascontiguousarray(frame[list(OHLCV)].to_numpy().T))


@pytest.mark.parametrize("target", RULES)
@pytest.mark.parametrize("share", [1.0, 0.6, 0.01])
def test_equal_to_pandas(target, share):
    times = MONDAY + 13 * MINUTE + np.arange(120 * 24 * 12) * 5 * MINUTE
    generator = np.random.default_rng(3)
    block = candles(times[generator.random(len(times)) < share], names=(*OHLCV, "quote_volume"))
    block = Block(block.times - block.times % (5 * MINUTE), block.values, block.names)
    result = resample(block, grid("5m"), grid(target), incomplete="keep").block
    assert_equal(result, by_pandas(block, RULES[target]))


@pytest.mark.parametrize("target", ["15m", "1h", "4h", "1d", "1w", "1M"])
@pytest.mark.parametrize(
    ("name", "base"),
    [("UNITTEST_BTC-1m.feather", "1m"), ("XRP_ETH-1m.feather", "1m"), ("ADA_BTC-5m.feather", "5m")],
)
def test_real_candles_equal_pandas(real_candles, name, base, target):
    block = read(real_candles / name)
    result = resample(block, grid(base), grid(target), incomplete="keep").block
    assert_equal(result, by_pandas(block, RULES[target]))


def test_days_to_weeks_months_quarters_and_years():
    block = candles(np.arange(MONDAY - 900 * DAY, MONDAY + 500 * DAY, DAY))
    for target, rule in (("1w", "W-MON"), ("1M", "MS"), ("3M", "QS"), ("12M", "YS")):
        result = resample(block, grid("1d"), grid(target), incomplete="keep").block
        assert_equal(result, by_pandas(block, rule))


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/London", "Australia/Sydney"])
@pytest.mark.parametrize(("target", "rule"), [("1d", "1D"), ("1w", "W-MON"), ("1M", "MS")])
def test_local_days_through_changes_of_the_clock(zone, target, rule):
    block = candles(np.arange(MONDAY, MONDAY + 366 * DAY, 30 * MINUTE))
    result = resample(block, grid("30m"), grid(target, Anchor(zone)), incomplete="keep").block
    assert_equal(result, by_pandas(block, rule, zone))


def test_fx_days_open_at_five_in_new_york():
    block = candles(np.arange(MONDAY, MONDAY + 120 * DAY, HOUR))
    days = resample(block, grid("1h"), grid("1d", FX)).block
    local = to_frame(block).tz_convert("America/New_York").index
    session = (local.tz_localize(None) + pd.Timedelta(hours=7)).floor("D")
    volume = to_frame(block)["volume"].groupby(np.asarray(session)).sum().to_numpy()
    assert np.array_equal(days.column("volume"), volume[1:-1])
    weeks = resample(days, grid("1d", FX), grid("1w", FX)).block
    direct = resample(block, grid("1h"), grid("1w", FX)).block
    assert np.array_equal(weeks.times, direct.times)
    assert np.array_equal(weeks.values[:4], direct.values[:4])


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 400), min_size=1, max_size=60, unique=True),
    st.sampled_from(["5m", "1h", "1d"]),
    st.integers(0, 2**32),
)
def test_any_gaps_equal_pandas(minutes, target, seed):
    times = MONDAY + np.sort(np.array(minutes)) * 37 * MINUTE
    block = candles(times, seed)
    result = resample(block, grid("1m"), grid(target), incomplete="keep").block
    assert_equal(result, by_pandas(block, RULES[target]))


def test_missing_volume_is_skipped_and_wholly_missing_stays_missing():
    block = candles(np.arange(MONDAY, MONDAY + 4 * HOUR, MINUTE))
    block.values[4, :90] = np.nan
    volume = resample(block, grid("1m"), grid("1h")).block.column("volume")
    assert np.isnan(volume[0])
    assert volume[1] == by_pandas(block, "1h")["volume"].iloc[1]
    assert not np.isnan(volume[1:]).any()


def test_missing_prices_are_skipped_as_in_pandas():
    block = candles(np.arange(MONDAY, MONDAY + 3 * HOUR, MINUTE))
    generator = np.random.default_rng(5)
    block.values[:4][generator.random((4, len(block))) < 0.4] = np.nan
    block.values[:4, [0, 59, 60, 119]] = np.nan
    block.values[:4, 120:] = np.nan
    result = resample(block, grid("1m"), grid("1h")).block
    expected = by_pandas(block, "1h")[list(OHLCV)].to_numpy().T
    np.testing.assert_array_equal(result.values, expected)
    assert np.isnan(result.values[:4, 2]).all()


def test_further_columns():
    names = (*OHLCV, "quote_volume", "trades", "taker_buy_base", "count", "cost", "vwap",
             "Average", "open_interest")  # fmt: skip
    block = candles(np.arange(MONDAY, MONDAY + 6 * HOUR, MINUTE), names=names)
    result = resample(block, grid("1m"), grid("1h")).block
    frame = to_frame(block)
    expected = frame.resample("1h").sum()
    for name in ("volume", "quote_volume", "trades", "taker_buy_base", "count", "cost"):
        assert np.array_equal(result.column(name), expected[name]), name
    for name in ("vwap", "Average"):
        mean = (frame[name] * frame["volume"]).resample("1h").sum() / expected["volume"]
        np.testing.assert_allclose(result.column(name), mean, rtol=1e-14)
    last = frame["open_interest"].resample("1h").last()
    assert np.array_equal(result.column("open_interest"), last)
    assert result.names == names


def test_an_average_without_volume_is_its_last_value():
    block = candles(np.arange(MONDAY, MONDAY + 3 * HOUR, MINUTE), names=(*OHLCV, "vwap"))
    vwap, volume = block.column("vwap"), block.column("volume")
    volume[:60] = 0.0  # nothing traded in the first hour
    vwap[60:90] = np.nan  # unknown in half of the second
    vwap[120:] = np.nan  # and in all of the third
    first, second, third = resample(block, grid("1m"), grid("1h")).block.column("vwap")
    assert first == vwap[59]
    assert second == pytest.approx(np.average(vwap[90:120], weights=volume[90:120]))
    assert np.isnan(third)


class TestComplete:
    block = candles(np.arange(MONDAY + 30 * MINUTE, MONDAY + 5 * HOUR + 15 * MINUTE, MINUTE))

    def hours(self, **options):
        return resample(self.block, grid("1m"), grid("1h"), **options)

    def test_both_ends_that_are_cut_are_dropped(self):
        result = self.hours()
        assert result.block.times.tolist() == [MONDAY + hour * HOUR for hour in (1, 2, 3, 4)]
        assert result.complete.tolist() == [True] * 4

    @pytest.mark.parametrize("incomplete", ["keep", "mark"])
    def test_or_marked(self, incomplete):
        result = self.hours(incomplete=incomplete)
        assert result.block.times.tolist() == [MONDAY + hour * HOUR for hour in range(6)]
        assert result.complete.tolist() == [False, True, True, True, True, False]

    def test_the_end_of_the_last_row_counts(self):
        block = candles(np.arange(MONDAY, MONDAY + HOUR, MINUTE))
        assert resample(block, grid("1m"), grid("1h")).complete.tolist() == [True]
        assert len(resample(block.slice(0, 59), grid("1m"), grid("1h")).block) == 0

    def test_coverage_decides(self):
        covered = normalise(
            [
                (MONDAY, MONDAY + 2 * HOUR),
                (MONDAY + 2 * HOUR + 1, MONDAY + 4 * HOUR),
                (MONDAY + 5 * HOUR, MONDAY + 9 * HOUR),
            ]
        )
        result = self.hours(covered=covered, incomplete="mark")
        assert result.complete.tolist() == [True, True, False, True, False, True]
        dropped = self.hours(covered=covered)
        assert dropped.block.identical(result.block.take(result.complete))

    def test_covered_and_empty_minutes_do_not_make_it_incomplete(self):
        thin = self.block.take(np.arange(0, len(self.block), 50))
        covered = normalise([(MONDAY, MONDAY + 6 * HOUR)])
        assert resample(thin, grid("1m"), grid("1h"), covered=covered).complete.all()

    def test_nothing_is_known(self):
        assert len(self.hours(covered=()).block) == 0


def test_empty():
    result = resample(Block.empty((*OHLCV, "x")), grid("1m"), grid("1h"))
    assert result.block.names == (*OHLCV, "x")
    assert len(result.block) == len(result.complete) == 0


def test_a_long_empty_stretch_costs_nothing():
    block = candles([0, MINUTE, 10**15])
    result = resample(block, grid("1m"), grid("5m"), incomplete="keep").block
    assert result.times.tolist() == [0, 10**15 - 10**15 % (5 * MINUTE)]


def test_a_base_that_does_not_divide_is_refused():
    block = candles([MONDAY])
    with pytest.raises(InvalidArgument, match=r"1M candles \(UTC\) cannot be made of 1w ones"):
        resample(block, grid("1w"), grid("1M"))
    with pytest.raises(InvalidArgument, match="use 'drop', 'keep' or 'mark'"):
        resample(block, grid("1m"), grid("1h"), incomplete="fill")


KOLKATA = Anchor("Asia/Kolkata")
LORD_HOWE = Anchor("Australia/Lord_Howe")


@pytest.mark.parametrize(
    ("base", "target", "expected"),
    [
        (grid("1m"), grid("1m"), True),
        (grid("1m"), grid("1h"), True),
        (grid("1s"), grid("1M"), True),
        (grid("5m"), grid("7m"), False),
        (grid("1h"), grid("1m"), False),
        (grid("5h"), grid("1d"), False),
        (grid("5h"), grid("10h"), True),
        (grid("8h"), grid("1d"), True),
        (grid("1d"), grid("1w"), True),
        (grid("1d"), grid("1M"), True),
        (grid("2d"), grid("1M"), False),
        (grid("2d"), grid("4d"), True),
        (grid("7d"), grid("1w"), False),
        (grid("1w"), grid("7d"), False),
        (grid("1w"), grid("2w"), True),
        (grid("2w"), grid("1w"), False),
        (grid("1w"), grid("1M"), False),
        (grid("1w"), grid("12M"), False),
        (grid("1M"), grid("3M"), True),
        (grid("1M"), grid("12M"), True),
        (grid("2M"), grid("3M"), False),
        (grid("1M"), grid("1d"), False),
        (grid("1d"), grid("1h"), False),
        # anchors
        (grid("1h"), grid("1d", FX), True),
        (grid("1h"), grid("1w", FX), True),
        (grid("2h"), grid("1d", FX), False),  # 21:00 UTC in summer, 22:00 in winter
        (grid("2h"), grid("1d", Anchor("UTC", 8 * HOUR)), True),
        (grid("3h"), grid("1d", Anchor("UTC", 8 * HOUR)), False),
        (grid("30m"), grid("1d", KOLKATA), True),
        (grid("1h"), grid("1d", KOLKATA), False),
        (grid("30m"), grid("1d", LORD_HOWE), True),
        (grid("1h"), grid("1d", LORD_HOWE), False),
        (grid("15m"), grid("1d", Anchor("UTC", 15 * MINUTE)), True),
        (grid("1d"), grid("1d", FX), False),
        (grid("1d", FX), grid("1d", FX), True),
        (grid("1d", FX), grid("1w", FX), True),
        (grid("1d", FX), grid("1M", FX), True),
        (grid("1d", FX), grid("1w"), False),
        (grid("1d"), grid("1w", FX), False),
        (grid("1d", Anchor("America/New_York")), grid("1w", FX), False),
    ],
    ids=lambda value: f"{value.timeframe}@{value.anchor}" if isinstance(value, Grid) else None,
)
def test_divides(base, target, expected):
    assert divides(base, target) is expected


@pytest.mark.parametrize("text", ["1m", "1h", "1d", "1w", "1M"])
@pytest.mark.parametrize("anchor", [UTC_ANCHOR, FX], ids=str)
def test_dividing_means_that_open_times_are_shared(text, anchor):
    """The definition itself, over a span that holds both changes of the clock."""
    base = grid(text, anchor)
    for other in ("5m", "1h", "4h", "1d", "3d", "1w", "1M", "3M"):
        target = grid(other, anchor)
        opens = target.points(MONDAY, MONDAY + 52 * 3 * WEEK)
        if divides(base, target):
            assert base.contains(opens).all()
        else:
            assert not base.contains(opens).all()
