"""Gaps: against a candle-by-candle model, on real files, and at a size that counts."""

import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohlcache.candles.gaps import Gap, classify
from ohlcache.candles.grid import UTC_ANCHOR, Anchor, Grid
from ohlcache.candles.session import session
from ohlcache.candles.timeframe import DAY, HOUR, MINUTE, Timeframe

MONDAY = 1_704_067_200_000  # 2024-01-01


def grid(text, anchor=UTC_ANCHOR):
    return Grid(Timeframe.parse(text), anchor)


def naive(times, grid, covered, start, end, session):
    """One candle after the other."""
    gaps = []
    open_time = grid.ceil(start)
    while open_time < end:
        following = grid.next(open_time)
        if open_time in set(times):
            kind = None
        elif not any(low <= open_time < high for low, high in covered):
            kind = "never_fetched"
        elif session and not session.has_trading(np.array([open_time]), np.array([following]))[0]:
            kind = "closed"
        else:
            kind = "empty"
        if kind:
            if gaps and gaps[-1].end == open_time and gaps[-1].kind == kind:
                last = gaps.pop()
                gaps.append(Gap(last.start, following, kind, last.candles + 1))
            else:
                gaps.append(Gap(open_time, following, kind, 1))
        open_time = following
    return gaps


moments = st.integers(MONDAY - 9 * DAY, MONDAY + 9 * DAY)


@given(
    st.sampled_from(
        [
            grid("1h"),
            grid("4h"),
            grid("1d"),
            grid("1d", Anchor("America/New_York", -7 * HOUR)),
            grid("1w"),
            grid("1M"),
        ]
    ),
    st.sampled_from([None, "24/7", "fx", "us_equities", "Sat-Sun 00:30-23:10 UTC"]),
    st.lists(st.tuples(moments, moments), max_size=4),
    st.sets(st.integers(0, 500), max_size=40),
    moments,
    moments,
)
def test_against_the_model(grid, name, covered, present, start, end):
    points = grid.points(MONDAY - 10 * DAY, MONDAY + 10 * DAY)
    times = points[sorted(index for index in present if index < len(points))]
    named = session(name) if name else None
    gaps = classify(times, grid, covered, start, end, named)
    assert gaps == naive(times.tolist(), grid, covered, start, end, named)


def times_of(path):
    if path.suffix == ".gz":
        lines = gzip.decompress(path.read_bytes()).split()
        return np.array([int(line.split(b",", 1)[0]) for line in lines], np.int64)
    frame = pd.read_feather(path, columns=["date"])
    return frame["date"].astype("datetime64[ms, UTC]").astype("int64").to_numpy()


@pytest.mark.parametrize(
    ("name", "text", "gaps", "candles"),
    [
        ("UNITTEST_BTC-1m.feather", "1m", 538, 717),
        ("ADA_BTC-5m.feather", "5m", None, 40),
        ("bitfinex_BTCUSD_1m_2013.csv.gz", "1m", 49_884, None),
    ],
)
def test_real_files(real_candles, name, text, gaps, candles):
    times, series = times_of(real_candles / name), grid(text)
    start, end = int(times[0]), series.next(int(times[-1]))
    found = classify(times, series, [(start, end)], start, end)
    assert {gap.kind for gap in found} == {"empty"}
    absent = np.concatenate([series.points(gap.start, gap.end) for gap in found])
    assert sorted(absent.tolist() + times.tolist()) == series.points(start, end).tolist()
    assert sum(gap.candles for gap in found) == len(absent)
    if gaps:
        assert len(found) == gaps
    if candles:
        assert len(absent) == candles


def test_fx_weekends_are_closed_and_a_quiet_hour_is_empty():
    hours = grid("1h")
    start, end = MONDAY, MONDAY + 14 * DAY
    points = hours.points(start, end)
    trading = session("fx").is_open(points)
    trading[30] = False
    gaps = classify(points[trading], hours, [(start, end)], start, end, session("fx"))
    assert [(gap.kind, gap.candles) for gap in gaps] == [
        ("empty", 1),
        ("closed", 48),
        ("closed", 48),
    ]
    assert gaps[0] == Gap(MONDAY + 30 * HOUR, MONDAY + 31 * HOUR, "empty", 1)
    assert gaps[1].start == MONDAY + 4 * DAY + 22 * HOUR


def test_an_hour_in_which_trading_begins_is_not_closed():
    hours = grid("1h")  # US equities open at 14:30 UTC in winter
    gaps = classify(
        np.empty(0, np.int64), hours, [(0, 2**42)], MONDAY, MONDAY + DAY, session("us_equities")
    )
    assert [(gap.kind, (gap.start - MONDAY) // HOUR, gap.candles) for gap in gaps] == [
        ("closed", 0, 14),
        ("empty", 14, 7),
        ("closed", 21, 3),
    ]


def test_what_was_never_fetched_is_not_called_closed():
    saturday = MONDAY + 5 * DAY
    gaps = classify(np.empty(0, np.int64), grid("1h"), [], saturday, saturday + DAY, session("fx"))
    assert gaps == [Gap(saturday, saturday + DAY, "never_fetched", 24)]


def test_coverage_splits_a_gap():
    gaps = classify(
        np.array([MONDAY]), grid("1h"), [(MONDAY, MONDAY + 5 * HOUR)], MONDAY, MONDAY + DAY
    )
    assert gaps == [
        Gap(MONDAY + HOUR, MONDAY + 5 * HOUR, "empty", 4),
        Gap(MONDAY + 5 * HOUR, MONDAY + DAY, "never_fetched", 19),
    ]


def test_a_very_long_range_that_was_never_fetched():
    gaps = classify(np.empty(0, np.int64), grid("1s"), [], 0, 10**13, session("fx"))
    assert gaps == [Gap(0, 10**13, "never_fetched", 10**10)]


def test_many_rows():
    times = np.arange(MONDAY, MONDAY + 1_500_000 * MINUTE, MINUTE)
    kept = np.ones(len(times), np.bool_)
    kept[1::1000] = False
    end = int(times[-1]) + MINUTE
    gaps = classify(times[kept], grid("1m"), [(MONDAY, end)], MONDAY, end)
    assert [gap.start for gap in gaps] == times[1::1000].tolist()
    assert all(gap.candles == 1 for gap in gaps)


@pytest.mark.parametrize(("start", "end"), [(5, 5), (9, 3), (1, MINUTE)])
def test_a_range_without_candles(start, end):
    assert classify(np.empty(0, np.int64), grid("1m"), [], start, end) == []


def test_nothing_is_absent():
    times = np.arange(0, DAY, MINUTE)
    assert classify(times, grid("1m"), [(0, DAY)], 0, DAY) == []
    assert classify(times, grid("1m"), [], 0, DAY) == []
