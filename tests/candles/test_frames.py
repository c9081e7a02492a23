"""Blocks from and to pandas, polars, Arrow, numpy and ccxt's lists."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from made_candles import make_block
from ohlcache.candles import OHLCV, Block, to_block, to_frame
from ohlcache.errors import InvalidArgument

BLOCK = make_block(100)


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow", "numpy", "ccxt"])
def test_every_form_comes_back_bit_for_bit(kind):
    assert to_block(to_frame(BLOCK, kind)).identical(BLOCK)


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow", "numpy"])
def test_extra_columns_travel_along(kind):
    names = (*OHLCV, "quote_volume", "trades")
    block = Block(BLOCK.times, np.concatenate([BLOCK.values, BLOCK.values[:2]]), names)
    assert to_block(to_frame(block, kind)).identical(block)


def test_pandas_has_the_documented_form():
    frame = to_frame(BLOCK)
    assert list(frame.columns) == list(OHLCV)
    assert (frame.dtypes == np.float64).all()
    assert frame.index.dtype == "datetime64[ns, UTC]"
    assert frame.index.name == "timestamp"
    assert frame.index[0] == pd.Timestamp("2020-01-01", tz="UTC")


@pytest.mark.parametrize("kind", ["pandas", "arrow", "numpy"])
def test_nothing_is_copied(kind):
    frame = to_frame(BLOCK, kind)
    column = frame["close"]
    column = column.to_numpy() if kind != "numpy" else column
    assert np.shares_memory(column, BLOCK.values)


def test_a_copy_shares_nothing_and_can_be_changed():
    frame = to_frame(make_block(5).frozen(), copy=True)
    frame.iloc[0, 0] = -1.0
    assert frame.iloc[0, 0] == -1.0


def test_ccxt_rows_may_lack_fields():
    block = to_block([[0, 1.0, 2.0, 0.5, 1.5, None], [60_000, None, 2, 1, 1, 3]])
    assert np.isnan(block.column("volume")[0])
    assert np.isnan(block.column("open")[1])
    assert to_frame(block, "ccxt")[0] == [0, 1.0, 2.0, 0.5, 1.5, None]


@pytest.mark.parametrize(
    "index",
    [
        pd.date_range("2020-01-01", periods=100, freq="min", name="date"),
        pd.date_range("2020-01-01", periods=100, freq="min", tz="UTC").tz_convert("Asia/Tokyo"),
        pd.date_range("2020-01-01", periods=100, freq="min").as_unit("s"),
        pd.period_range("2020-01-01", periods=100, freq="min"),
    ],
)
def test_any_time_index_of_pandas(index):
    frame = pd.DataFrame(dict(zip(OHLCV, BLOCK.values, strict=True)), index=index)
    assert to_block(frame).identical(BLOCK)


@pytest.mark.parametrize("name", ["Timestamp", "date", "open_time", "Datetime", "ts"])
def test_time_columns_by_their_usual_names(name):
    columns = {name: BLOCK.times, **dict(zip(OHLCV, BLOCK.values, strict=True))}
    assert to_block(columns).identical(BLOCK)
    assert to_block(pd.DataFrame(columns)).identical(BLOCK)


def test_columns_by_their_usual_names_and_in_any_order():
    columns = dict(zip(["Open", "HIGH", "l", "Close", "Vol"], BLOCK.values, strict=True))
    shuffled = {name: columns[name] for name in ["Vol", "Close", "Open", "l", "HIGH"]}
    assert to_block({"time": BLOCK.times, **shuffled}).identical(BLOCK)


def test_an_adjusted_close_does_not_replace_the_close():
    frame = to_frame(BLOCK).assign(**{"Adj Close": 0.0})
    block = to_block(frame)
    assert np.array_equal(block.column("close"), BLOCK.column("close"))
    assert block.extras == ("Adj Close",)


def test_columns_of_text_are_left_out():
    assert to_block(to_frame(BLOCK).assign(symbol="BTC/USDT")).identical(BLOCK)


def test_python_datetimes_and_decimals_of_other_types():
    times = [dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.datetime(2020, 1, 1, 0, 1, tzinfo=dt.UTC)]
    columns = {name: np.array([1, 2], np.int32) for name in OHLCV}
    block = to_block({"timestamp": times, **columns})
    assert block.times.tolist() == BLOCK.times[:2].tolist()
    assert block.values.dtype == np.float64


def test_nullable_pandas_columns():
    frame = to_frame(make_block(3), copy=True)
    frame["volume"] = pd.array([1.5, None, 2.5], "Float64")
    assert np.array_equal(to_block(frame).column("volume"), [1.5, np.nan, 2.5], equal_nan=True)


def test_polars_and_arrow_times_of_any_unit():
    for unit in ("ms", "us", "ns"):
        frame = to_frame(BLOCK, "polars").with_columns(
            pl.col("timestamp").cast(pl.Datetime(unit, "Europe/Berlin"))
        )
        assert to_block(frame).identical(BLOCK)
    table = to_frame(BLOCK, "arrow")
    times = table["timestamp"].cast(pa.timestamp("us", "America/New_York"))
    assert to_block(table.set_column(0, "timestamp", times)).identical(BLOCK)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (5, "data is a int"),
        ({"timestamp": [0], "open": [1.0]}, "no column high, low, close, volume"),
        ({key: [1.0] for key in OHLCV}, "no time"),
        ([[0, 1, 2, 3]], "rows of 4 fields"),
        ({"timestamp": [0.5], **{key: [1.0] for key in OHLCV}}, "whole milliseconds"),
        ({"timestamp": ["soon"], **{key: [1.0] for key in OHLCV}}, "timestamp"),
        (
            {"timestamp": [1_577_836_800_000_000_000], **{key: [1.0] for key in OHLCV}},
            "millisecond",
        ),
        ({"timestamp": [0], **{key: ["x"] for key in OHLCV}}, "not numeric"),
        ({"timestamp": [0], **{key: [1.0] for key in OHLCV}, "id": [2**60]}, "beyond 2"),
        ({"timestamp": [0, 1], **{key: [1.0] for key in OHLCV}}, "1 values where there are 2"),
    ],
)
def test_what_is_no_table_of_candles_is_refused(data, message):
    with pytest.raises(InvalidArgument, match=message):
        to_block(data)


def test_an_unknown_form_is_refused_with_the_list():
    with pytest.raises(InvalidArgument, match="pandas, polars, arrow, numpy, ccxt"):
        to_frame(BLOCK, "excel")
