"""Timeframes that are not stored, made from finer ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import ohlcache
from made_candles import MINUTE, T0, make_block
from ohlcache.candles import to_frame
from ohlcache.candles.resample import resample
from ohlcache.errors import UnknownSymbol, UnsupportedBySource
from ohlcache.history import walk

HOW = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
HOUR = 60 * MINUTE


def by_pandas(block, rule):
    options = {"label": "left", "closed": "left"} if rule.startswith("W") else {}
    return to_frame(block).resample(rule, **options).agg(HOW).dropna()


@pytest.mark.parametrize(
    ("timeframe", "rule"), [("5m", "5min"), ("1h", "h"), ("1d", "D"), ("1w", "W-MON")]
)
def test_equal_to_pandas(md, timeframe, rule):
    block = make_block(40 * 1440, start=T0 + 5 * 1440 * MINUTE)  # from a Monday
    md.write("X", "1m", block)
    frame = md.candles("X", timeframe)
    expected = by_pandas(block, rule).iloc[: len(frame)]
    pd.testing.assert_frame_equal(frame, expected, check_exact=True, check_freq=False)
    assert len(frame) >= len(by_pandas(block, rule)) - 1


def test_a_bucket_that_is_only_partly_covered_is_never_given(md):
    block = make_block(300)
    md.write("X", "1m", block.slice(30, 150))
    md.write("X", "1m", block.slice(200, 300))
    index = md.candles("X", "1h").index
    assert [time.hour for time in index] == [1, 4]


def test_a_gap_of_the_venue_does_not_make_a_bucket_incomplete(md):
    md.write("X", "1m", make_block(120).take(np.r_[0:10, 50:120]))
    assert len(md.candles("X", "1h")) == 2


def test_stored_candles_go_before_derived_ones(md):
    minutes = make_block(240)
    md.write("X", "1m", minutes)
    hours = make_block(2, step=HOUR, seed=9)
    md.write("X", "1h", hours)
    frame = md.candles("X", "1h")
    assert frame["close"].tolist()[:2] == hours.column("close").tolist()
    assert frame["close"].tolist()[2:] == minutes.column("close")[[179, 239]].tolist()


def test_the_finest_that_divides_is_taken(md):
    md.write("X", "1m", make_block(60))
    md.write("X", "7m", make_block(20, step=7 * MINUTE, start=T0 - T0 % (7 * MINUTE), seed=3))
    md.write("X", "15m", make_block(8, step=15 * MINUTE, seed=4))
    frame = md.candles("X", "1h")
    assert frame["close"].iloc[0] == make_block(60).column("close")[-1]
    assert len(frame) == 2  # the second hour follows from the quarters


def test_what_does_not_divide_is_not_stored(md):
    md.write("X", "1h", make_block(100, step=HOUR))
    with pytest.raises(UnknownSymbol, match="90m of X .*1h"):
        md.candles("X", "90m")
    with pytest.raises(UnknownSymbol):
        md.candles("X", "30m")


@pytest.mark.parametrize("ask", ["info", "coverage", "gaps", "revisions"])
def test_what_is_made_when_read_has_nothing_stored_to_tell_of(md, ask):
    md.write("X", "1m", make_block(100))
    with pytest.raises(UnknownSymbol, match="made from 1m when it is read: ask for 1m"):
        getattr(md, ask)("X", "5m")


def test_the_source_is_asked_only_for_what_does_not_follow(tmp_path):
    asked = []

    def source(symbol, timeframe, start, end):
        asked.append((timeframe, start, end))
        step = HOUR if timeframe == "1h" else MINUTE
        return make_block((end - start) // step, start=start, step=step)

    with ohlcache.open(tmp_path, source=source) as market_data:
        market_data.write("X", "1m", make_block(180))
        frame = market_data.candles("X", "1h", T0, T0 + 5 * HOUR)
    assert len(frame) == 5
    assert asked == [("1h", T0 + 3 * HOUR, T0 + 5 * HOUR)]


def test_a_timeframe_that_the_source_lacks_is_fetched_as_its_base(tmp_path):
    asked = []

    def fetch(symbol, timeframe, start, end):
        asked.append((timeframe, start, end))
        return make_block((end - start) // MINUTE, start=start)

    source = ohlcache.CallableSource(
        fetch, capabilities=ohlcache.Capabilities(timeframes=frozenset({"1m"}))
    )
    with ohlcache.open(tmp_path, source=source) as market_data:
        market_data.write("X", "1m", make_block(30))
        frame = market_data.candles("X", "1h", T0, T0 + 2 * HOUR)
        assert len(frame) == 2
        assert asked == [("1m", T0 + 30 * MINUTE, T0 + 2 * HOUR)]
        with pytest.raises(UnsupportedBySource, match="30s .*use one of 1m"):
            market_data.candles("X", "30s", T0, T0 + HOUR)


def test_bases_with_different_sessions_do_not_mix(md):
    day = 24 * HOUR
    hours = make_block(24 * 30, step=HOUR)
    md.write("X", "1h", hours)
    md.write("X", "1d", make_block(30, start=T0 + 22 * HOUR, step=day, seed=5))
    md.write("Y", "1h", hours)
    assert len(md.candles("X", "1w", T0, T0 + 30 * day)) > 0
    assert len(md.candles("X", "1d", T0, T0 + 30 * day)) == 30
    assert len(md.candles("Y", "1d", T0, T0 + 30 * day)) == 30


def test_a_write_while_candles_are_made_is_in_all_of_them_or_none(location, monkeypatch):
    block = make_block(30)
    later = make_block(30, seed=1)
    with ohlcache.open(location) as md, ohlcache.open(location) as other:
        for start, end in ((0, 10), (20, 30)):  # two ranges to be made into longer candles
            md.write("X", "1m", block.slice(start, end))

        def write_first(*arguments, **options):
            monkeypatch.undo()
            other.write("X", "1m", later.take(np.r_[0:10, 20:30]))
            return resample(*arguments, **options)

        monkeypatch.setattr(walk, "resample", write_first)
        closes = md.candles("X", "5m")["close"].tolist()
        assert closes in [made.column("close")[[4, 9, 24, 29]].tolist() for made in (block, later)]
        monkeypatch.undo()
        assert (
            md.candles("X", "5m")["close"].tolist()
            == later.column("close")[[4, 9, 24, 29]].tolist()
        )
