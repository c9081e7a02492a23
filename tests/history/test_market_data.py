"""MarketData as its users see it: write, read, coverage, gaps, delete, metadata."""

from __future__ import annotations

import asyncio
import datetime as dt

import numpy as np
import pandas as pd
import pytest

import ohlcache
from made_candles import MINUTE, T0, make_block
from ohlcache import reclaim
from ohlcache.candles import OHLCV, Block, to_block, to_frame
from ohlcache.errors import CandlesRefused, InvalidArgument, UnknownSymbol, UnknownTimeframe
from ohlcache.telemetry import Readings
from ohlcache.telemetry import vocabulary as metrics

BTC = ("BTC/USDT", "1m")
DAY = 1440 * MINUTE


def test_what_was_written_is_read_bit_for_bit(md):
    frame = to_frame(make_block(200_000))
    report = md.write(*BTC, frame)
    assert (report.added, report.updated, report.unchanged, report.rejected) == (200_000, 0, 0, 0)
    pd.testing.assert_frame_equal(md.candles(*BTC), frame, check_exact=True, check_freq=False)


def test_writing_again_changes_nothing_and_a_revision_is_an_update(md):
    block = make_block(1_000)
    md.write(*BTC, block)
    assert md.write(*BTC, block).unchanged == 1_000
    revised = Block(block.times, block.values.copy())
    revised.column("close")[500] += 0.01
    report = md.write(*BTC, revised)
    assert (report.added, report.updated, report.unchanged) == (0, 1, 999)
    assert md.candles(*BTC)["close"].iloc[500] == revised.column("close")[500]


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2020-01-01T01:00", "2020-01-01T02:00"),
        (dt.datetime(2020, 1, 1, 1), dt.datetime(2020, 1, 1, 2, tzinfo=dt.UTC)),
        (pd.Timestamp("2020-01-01 02:00", tz="Europe/Berlin"), np.datetime64("2020-01-01T02:00")),
        (T0 + 60 * MINUTE, T0 + 120 * MINUTE),
        (np.int64(T0 + 60 * MINUTE), "2020-01-01T03:00+01:00"),
        (T0 + 60 * MINUTE - 59_999, T0 + 120 * MINUTE - 59_999),
    ],
)
def test_ranges_are_half_open_over_open_times_in_any_notation(md, start, end):
    md.write(*BTC, make_block(1_000))
    index = md.candles(*BTC, start, end).index
    assert index[0] == pd.Timestamp("2020-01-01 01:00", tz="UTC")
    assert index[-1] == pd.Timestamp("2020-01-01 01:59", tz="UTC")
    assert len(index) == 60


def test_open_ends_and_no_overlap(md):
    md.write(*BTC, make_block(100))
    assert len(md.candles(*BTC, end="2020-01-01T00:10")) == 10
    assert len(md.candles(*BTC, start="2020-01-01T01:30")) == 10
    assert len(md.candles(*BTC, "2019-01-01", "2019-02-01")) == 0
    assert list(md.candles(*BTC, "2019-01-01", "2019-02-01").columns) == list(OHLCV)


def test_frames_share_read_only_memory_and_copies_do_not(md):
    md.write(*BTC, make_block(1_000))
    one, other = (md.candles(*BTC, T0, T0 + DAY, as_="numpy") for _ in range(2))
    assert np.shares_memory(one["close"], other["close"])
    with pytest.raises(ValueError, match="read-only"):
        one["close"][0] = 0.0
    frame = md.candles(*BTC, T0, T0 + DAY)
    with pytest.raises(ValueError, match="read-only"):
        frame.iloc[0, 0] = 0.0
    mine = md.candles(*BTC, T0, T0 + DAY, copy=True)
    mine.iloc[0, 0] = -1.0
    assert md.candles(*BTC, T0, T0 + DAY).iloc[0, 0] != -1.0


def test_a_frame_handed_out_does_not_change_when_more_is_written(md):
    block = make_block(1_000)
    md.write(*BTC, block.slice(0, 500))
    before = md.candles(*BTC, T0, T0 + DAY)
    md.write(*BTC, block.slice(500, 1_000))
    revised = Block(block.times, block.values + 1.0)
    md.write(*BTC, revised)
    assert to_block(before).identical(block.slice(0, 500))
    assert to_block(md.candles(*BTC, T0, T0 + DAY)).identical(revised)


def test_columns_and_forms(md):
    names = (*OHLCV, "trades")
    block = make_block(10)
    md.write(*BTC, Block(block.times, np.concatenate([block.values, np.arange(10.0)[None]]), names))
    assert list(md.candles(*BTC).columns) == list(names)
    assert list(md.candles(*BTC, columns=["close", "trades"]).columns) == ["close", "trades"]
    assert md.candles(*BTC, columns=["trades"], as_="numpy")["trades"].tolist() == list(range(10))
    assert md.candles(*BTC, as_="ccxt")[0][0] == T0
    assert md.candles(*BTC, as_="polars").height == md.candles(*BTC, as_="arrow").num_rows == 10
    with pytest.raises(InvalidArgument, match="columns names vwap: there are open, high"):
        md.candles(*BTC, columns=["vwap"])


def test_an_extra_column_that_comes_later_is_nan_before(md):
    block = make_block(2_000)
    md.write(*BTC, block.slice(0, 1_000))
    md.candles(*BTC)
    names = (*OHLCV, "trades")
    later = np.concatenate([block.values[:, 1_000:], np.ones((1, 1_000))])
    md.write(*BTC, Block(block.times[1_000:], later, names))
    trades = md.candles(*BTC)["trades"]
    assert trades.isna().sum() == 1_000
    assert trades.iloc[1_000:].eq(1).all()


def test_coverage_is_what_each_write_spans(md):
    block = make_block(100)
    md.write(*BTC, block.slice(0, 10))
    md.write(*BTC, block.slice(50, 60))
    assert md.coverage(*BTC) == [
        (T0, T0 + 10 * MINUTE),
        (T0 + 50 * MINUTE, T0 + 60 * MINUTE),
    ]
    md.write(*BTC, block.slice(10, 50))
    assert md.coverage(*BTC) == [(T0, T0 + 60 * MINUTE)]


def test_gaps_tell_never_fetched_from_empty(md):
    block = make_block(100)
    md.write(*BTC, block.take(np.r_[0:10, 15:20]))
    md.write(*BTC, block.slice(50, 60))
    gaps = md.gaps(*BTC)
    assert [(gap.kind, gap.candles) for gap in gaps] == [("empty", 5), ("never_fetched", 30)]
    assert gaps[0][:2] == (T0 + 10 * MINUTE, T0 + 15 * MINUTE)
    assert md.gaps(*BTC, T0, T0 + 10 * MINUTE) == []
    wider = md.gaps(*BTC, T0 - 5 * MINUTE, T0 + 10 * MINUTE)
    assert [(gap.kind, gap.candles) for gap in wider] == [("never_fetched", 5)]


def test_gaps_outside_the_session_are_closed_hours(md):
    friday = T0 + 2 * DAY  # 2020-01-03
    block = make_block(3 * 1440, start=friday)
    hours = (block.times - friday) // (60 * MINUTE)
    md.write("EUR/USD", "1m", block.take((hours < 22) | (hours >= 70)))
    md.set_metadata("EUR/USD", {"session": "fx"})
    assert [(gap.kind, gap.candles) for gap in md.gaps("EUR/USD", "1m")] == [("closed", 48 * 60)]
    with pytest.raises(InvalidArgument, match="session"):
        md.set_metadata("EUR/USD", {"session": "never heard of"})


def test_the_report_counts_every_row_once(md):
    block = make_block(100)
    block.column("high")[3] = 0.0
    block.column("volume")[4] = -1.0
    block.times[5] += 1
    data = Block.concatenate([block, block.slice(90, 100)])
    report = md.write(*BTC, data)
    assert report.reasons == {"high_below_low": 1, "negative_volume": 1, "off_grid": 1}
    assert (report.added, report.rejected, report.duplicates) == (97, 3, 10)
    assert report.offenders[0].timestamp == T0 + 3 * MINUTE
    refused = md.verify().refused["local BTC/USDT 1m"]
    assert refused.counts == report.reasons
    block.column("high")[3] = 1e6
    md.write(*BTC, block.slice(3, 4))
    assert "high_below_low" not in md.verify().refused["local BTC/USDT 1m"].counts


def test_strict_refuses_the_whole_write(md):
    block = make_block(100)
    block.column("high")[3] = 0.0
    with pytest.raises(CandlesRefused, match="1 of 100 rows"):
        md.write(*BTC, block, strict=True)
    assert md.series() == []


def test_the_unclosed_candle_is_not_stored(md):
    block = make_block(10)
    report = md.write(*BTC, block, closed_until=T0 + 9 * MINUTE + 30_000)
    assert report.reasons == {"not_closed": 1}
    assert md.coverage(*BTC) == [(T0, T0 + 9 * MINUTE)]
    future = Block(block.times + 10**8 * MINUTE, block.values)
    assert md.write("X", "1m", future).reasons == {"not_closed": 10}
    assert [info.symbol for info in md.series()] == ["BTC/USDT"]


def test_times_in_seconds_are_recognised(md):
    block = make_block(10)
    seconds = Block(block.times // 1000, block.values)
    with pytest.raises(InvalidArgument, match="1577836800, which looks like seconds"):
        md.write(*BTC, seconds)
    assert md.series() == []


def test_daily_series_find_their_anchor_and_keep_it(md):
    days = pd.date_range("2019-06-01 17:00", "2020-06-01 17:00", freq="D", tz="America/New_York")
    times = days.tz_convert("UTC").as_unit("ms").asi8
    block = Block(np.asarray(times), make_block(len(times)).values)
    report = md.write("EUR/USD", "1d", block)
    assert report.rejected == 0
    assert md.info("EUR/USD", "1d").anchor == "America/New_York-07:00"
    midnight = Block(np.array([T0 - 400 * DAY]), block.values[:, :1])
    assert md.write("EUR/USD", "1d", midnight).reasons == {"off_grid": 1}


def test_an_anchor_seen_only_in_winter_is_corrected_in_summer(md):
    days = pd.date_range("2020-01-01 17:00", "2020-06-01 17:00", freq="D", tz="America/New_York")
    times = np.asarray(days.tz_convert("UTC").as_unit("ms").asi8)
    values = make_block(len(times)).values
    md.write("EUR/USD", "1d", Block(times[:30], values[:, :30]))
    assert md.info("EUR/USD", "1d").anchor == "UTC-02:00"
    report = md.write("EUR/USD", "1d", Block(times[30:], values[:, 30:]))
    assert report.rejected == 0
    assert md.info("EUR/USD", "1d").anchor == "America/New_York-07:00"
    assert len(md.candles("EUR/USD", "1d")) == len(times)
    assert md.verify().ok


def test_timeframes_are_canonical(md):
    md.write("X", "60m", make_block(10, step=60 * MINUTE))
    assert md.series()[0].timeframe == "1h"
    assert len(md.candles("X", "1h")) == len(md.candles("X", "3600s")) == 10


def test_symbols_may_hold_anything(md):
    symbols = [
        "BTC/USDT:USDT",
        "a b",
        "Ünï/代币",
        "'; DROP TABLE chunk; --",
        "../../etc/passwd",
        "%",
    ]
    for seed, symbol in enumerate(symbols):
        md.write(symbol, "1m", make_block(10, seed=seed))
    for seed, symbol in enumerate(symbols):
        assert to_block(md.candles(symbol, "1m")).identical(make_block(10, seed=seed))
    assert sorted(info.symbol for info in md.series()) == sorted(symbols)


def test_venues_are_kept_apart_and_found_when_there_is_only_one(md):
    md.write(*BTC, make_block(10, seed=1), venue="binance")
    assert len(md.candles(*BTC)) == 10
    md.write(*BTC, make_block(20, seed=2), venue="kraken")
    assert len(md.candles(*BTC, venue="kraken")) == 20
    with pytest.raises(InvalidArgument, match="several venues: name one of binance, kraken"):
        md.candles(*BTC)


def test_metadata(md):
    assert md.metadata("BTC/USDT") == {}
    md.set_metadata("BTC/USDT", {"tick_size": 0.01, "listed": "2017-08-17"})
    assert md.metadata("BTC/USDT") == {"tick_size": 0.01, "listed": "2017-08-17"}
    with pytest.raises(InvalidArgument, match="JSON"):
        md.set_metadata("BTC/USDT", {"x": object()})


def test_delete_a_range_and_a_series(md):
    block = make_block(70_000)
    md.write(*BTC, block)
    md.candles(*BTC)
    assert md.delete(*BTC, T0 + 10 * MINUTE, T0 + 69_000 * MINUTE) == 68_990
    kept = block.take(np.r_[0:10, 69_000:70_000])
    assert to_block(md.candles(*BTC)).identical(kept)
    assert len(md.coverage(*BTC)) == 2
    assert md.verify().ok
    assert md.delete(*BTC) == 1_010
    assert md.series() == []
    with pytest.raises(UnknownSymbol):
        md.candles(*BTC)


def test_a_series_deleted_and_written_again_is_the_new_one(md):
    md.write(*BTC, make_block(100, seed=1))
    md.candles(*BTC)
    md.delete(*BTC)
    md.write(*BTC, make_block(50, seed=2))
    assert to_block(md.candles(*BTC)).identical(make_block(50, seed=2))


def test_info(md):
    md.write(*BTC, make_block(70_000))
    md.write(*BTC, make_block(3, start=T0 + 70_000 * MINUTE))
    info = md.info(*BTC)
    assert (info.rows, info.start, info.end) == (70_003, T0, T0 + 70_003 * MINUTE)
    assert info.bytes > 0
    assert md.series() == [info]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("X", "7x"), UnknownTimeframe, "s .second.*M .calendar month"),
        (("BTC/USDT", "1m", "2020-01-02", "2020-01-01"), InvalidArgument, "not before end"),
        (("BTC/USDT", "1m", T0, T0), InvalidArgument, "not before end"),
        (("BTC/USDT", "1m", "yesterday"), InvalidArgument, "start is 'yesterday'"),
        (("BTC/USDT", "1m", "2200-01-01", "2200-02-01"), InvalidArgument, "future"),
        (("BTC/USDT", "1m", "2200-01-01"), InvalidArgument, "future"),
        (("BTC/USDT", "1m", 1.5), InvalidArgument, "start is 1.5"),
        (("NOPE", "1m"), UnknownSymbol, "'NOPE' is not stored.*BTC/USDT"),
        (("", "1m"), InvalidArgument, "symbol is ''"),
        (("BTC/USDT", "45s"), UnknownSymbol, "45s of BTC/USDT is not stored"),
    ],
)
def test_wrong_arguments_get_one_line_that_helps(md, arguments, error, message):
    md.write(*BTC, make_block(10))
    with pytest.raises(error, match=message) as caught:
        md.candles(*arguments)
    assert "\n" not in str(caught.value)


def test_async_reads_and_many(md):
    for seed, symbol in enumerate("ABC"):
        md.write(symbol, "1m", make_block(100, seed=seed))

    async def read():
        many = await md.acandles_many(list("ABC"), "1m", T0, T0 + DAY)
        one = await md.acandles("A", "1m", T0, T0 + DAY)
        return many, one

    many, one = asyncio.run(read())
    assert list(many) == ["A", "B", "C"]
    pd.testing.assert_frame_equal(many["A"], one)
    same = md.candles_many(list("ABC"), "1m", T0, T0 + DAY)
    pd.testing.assert_frame_equal(many["C"], same["C"])


def test_a_context_manager_in_async_code(location):
    async def use():
        async with ohlcache.open(location) as market_data:
            market_data.write(*BTC, make_block(10))
            return await market_data.acandles(*BTC)

    assert len(asyncio.run(use())) == 10


def test_parts_of_one_history_are_covered_from_end_to_end(md):
    block = make_block(100)
    parts = [block.slice(0, 40), block.slice(45, 80), block.slice(90, 100)]
    reports = list(md.write_blocks(*BTC, parts))
    assert [report.added for report in reports] == [40, 35, 10]
    assert md.coverage(*BTC) == [(T0, T0 + 100 * MINUTE)]
    assert [gap.candles for gap in md.gaps(*BTC)] == [5, 10]


def test_memory_is_bounded_and_reads_stay_right(location):
    with ohlcache.open(location, settings={"history": {"memory_mb": 4}}) as market_data:
        for seed in range(6):
            market_data.write(f"S{seed}", "1m", make_block(30_000, seed=seed))
        for _ in range(2):
            for seed in range(6):
                read = to_block(market_data.candles(f"S{seed}", "1m"))
                assert read.identical(make_block(30_000, seed=seed))
                assert market_data.stats()["memory"]["bytes"] <= 4 * 2**20
        assert market_data.stats()["memory"]["evictions"] > 0


@pytest.mark.parametrize(
    "data",
    [
        [1, 2, 3],
        [[T0, "a", 2, 1, 1, 1]],
        {"timestamp": 5, **dict.fromkeys(OHLCV, 1.0)},
        np.zeros((2, 2, 6)),
        [[T0, [1], 2, 1, 1, 1]],
        [[float("inf"), 1, 2, 1, 1, 1]],
        [[2**70, 1, 2, 1, 1, 1]],
    ],
)
def test_data_that_is_no_table_is_refused_in_one_line(md, data):
    with pytest.raises(InvalidArgument) as caught:
        md.write(*BTC, data)
    assert "\n" not in str(caught.value)
    assert md.series() == []


def test_columns_that_repeat_a_name_are_refused(md):
    frame = to_frame(make_block(10)).rename(columns=str.title)
    with pytest.raises(InvalidArgument, match="two columns for open"):
        md.write(*BTC, frame.assign(open=1.0))
    with pytest.raises(InvalidArgument, match="two columns 'Close'"):
        md.write(*BTC, frame[["Open", "High", "Low", "Close", "Close", "Volume"]])


@pytest.mark.parametrize("symbol", ["", "\ud800", "a\0b", None, 5])
def test_symbols_that_are_no_text_are_refused(md, symbol):
    with pytest.raises(InvalidArgument, match="symbol is"):
        md.write(symbol, "1m", make_block(1))


def test_ranges_that_end_before_the_history_begins(md):
    md.write(*BTC, make_block(10))
    assert len(md.candles(*BTC, end="1990-01-01")) == 0
    assert md.gaps(*BTC, end="1990-01-01") == []
    for method in (md.gaps, md.delete, md.candles):
        with pytest.raises(InvalidArgument, match="not before end"):
            method(*BTC, "2020-01-02", "1990-01-01")


def test_a_new_column_of_nothing_is_seen_by_everyone(md, location):
    md.write(*BTC, make_block(10))
    with ohlcache.open(location) as other:
        other.candles(*BTC)
        block = make_block(10)
        names = (*OHLCV, "trades")
        md.write(*BTC, Block(block.times, np.vstack([block.values, np.full(10, np.nan)]), names))
        assert list(other.candles(*BTC).columns) == list(names)


def test_one_symbol_and_one_column_may_be_given_as_texts(md):
    md.write(*BTC, make_block(10))
    assert list(md.candles_many("BTC/USDT", "1m")) == ["BTC/USDT"]
    assert list(md.candles(*BTC, columns="close").columns) == ["close"]


def test_decoded_candles_are_dropped_as_far_as_asked_for_and_decoded_again(md):
    for number in range(4):
        md.write(f"S{number}", "1m", make_block(10_000))
        md.candles(f"S{number}", "1m")
    frame, held = md.candles("S3", "1m"), md.stats()["memory"]["bytes"]
    dropped = md.drop_decoded(held // 3)
    assert held // 3 <= dropped < held
    assert md.stats()["memory"]["bytes"] == held - dropped
    assert md.drop_decoded(10**12) == held - dropped
    assert md.stats()["memory"]["bytes"] == 0
    pd.testing.assert_frame_equal(md.candles("S3", "1m"), frame, check_exact=True)
    with pytest.raises(InvalidArgument, match="nbytes"):
        md.drop_decoded(-1)


def test_what_decoding_will_take_is_announced_once(md):
    announced = []
    md.write(*BTC, make_block(40_000))
    reclaim.watch(announced.append)
    try:
        md.candles(*BTC)
        md.candles(*BTC)
        md.candles(*BTC, T0, T0 + DAY)
    finally:
        reclaim.unwatch(announced.append)
    assert announced == [40_000 * 8 * 7]


def test_runs_that_have_to_move_are_announced_too(md):
    announced = []
    md.write(*BTC, make_block(80_000))
    md.candles(*BTC, T0 + 40 * DAY, T0 + 41 * DAY)
    held = md.held_bytes()
    reclaim.watch(announced.append)
    try:
        md.candles(*BTC)  # longer at its beginning
        whole = md.held_bytes()
        md.write(*BTC, [[T0, 1, 1, 1, 1, 1]])  # before the end of what is decoded
        md.candles(*BTC)
    finally:
        reclaim.unwatch(announced.append)
    longer, changed = announced
    assert longer >= 80_000 * 8 * 7
    assert longer > whole - held
    assert changed >= whole


def test_reads_are_reported_by_result_and_series(md):
    md.write(*BTC, make_block(1_000))
    md.write("ETH/USDT", "1m", make_block(1_000))
    for symbol, reads in (("BTC/USDT", 5), ("ETH/USDT", 2)):
        for _ in range(reads):
            md.candles(symbol, "1m", T0, T0 + 60 * MINUTE)
    told = Readings()
    md.report(told)
    assert told.values[metrics.HISTORY_READS, ("hit",)] == 5
    assert told.values[metrics.HISTORY_READS, ("miss",)] == 2
    assert told.values[metrics.HISTORY_MEMORY_BYTES, ()] > 2 * 1_000 * 48
    by_series = {labels[0]: reads for labels, reads in told.of(metrics.HISTORY_SERIES_READS)}
    assert sorted(by_series.values()) == [1, 4]
    assert next(iter(by_series)).startswith("local BTC/USDT 1m")
