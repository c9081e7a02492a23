"""Parquet, Feather and Arrow: columns, indexes, types, containers, damage."""

import decimal
import gzip
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from candle_files import MINUTE, START, load, make_candles, refused, same

from ohlcache.candles import OHLCV, Block
from ohlcache.sources.files import read_candles

CANDLES = make_candles(1_000)
FRAME = pd.DataFrame(CANDLES.values.T, columns=list(OHLCV))
STAMPS = pd.DatetimeIndex(CANDLES.times.astype("M8[ms]"), tz="UTC")


def table(times=None, **columns):
    """An Arrow table of the candles with another time or other columns."""
    if times is None:
        times = pa.array(CANDLES.times).cast(pa.timestamp("ms", "UTC"))
    given = {"timestamp": times} | dict(zip(OHLCV, map(pa.array, CANDLES.values), strict=True))
    return pa.table(given | columns)


def write_arrow(arrow, path, kind):
    if kind == "parquet":
        pq.write_table(arrow, path, row_group_size=300)
    elif kind == "feather":
        pyarrow.feather.write_feather(arrow, path, chunksize=300)
    elif kind == "feather-plain":
        pyarrow.feather.write_feather(arrow, path, compression="uncompressed", chunksize=10_000)
    elif kind == "feather-v1":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pyarrow.feather.write_feather(arrow, path, version=1)
    else:
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, arrow.schema) as writer:
            writer.write_table(arrow, max_chunksize=300)
    return path


KINDS = ["parquet", "feather", "feather-plain", "feather-v1", "stream"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("packed", [False, True])
def test_containers(tmp_path, kind, packed):
    path = write_arrow(table(), tmp_path / "candles.bin", kind)
    if packed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    file = read_candles(path)
    assert file.format == ("parquet" if kind == "parquet" else "feather")
    fractions = [file.fraction for _ in file]
    assert fractions == sorted(fractions)
    assert file.fraction == 1
    same(Block.concatenate(list(file)), CANDLES)


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_file_is_refused(tmp_path, kind):
    path = write_arrow(table(), tmp_path / "candles.bin", kind)
    path.write_bytes(path.read_bytes()[:-9_000])
    refused(path, "truncated", "again")


def test_a_large_record_batch_is_read_in_slices(tmp_path, monkeypatch):
    from ohlcache.sources.files import columnar

    monkeypatch.setattr(columnar, "_LARGE_BATCH", 1_000)
    monkeypatch.setattr(columnar, "_ROWS", 300)
    for compression in ("uncompressed", "lz4"):
        path = tmp_path / f"{compression}.feather"
        pyarrow.feather.write_feather(table(), path, compression=compression, chunksize=5_000)
        blocks = list(read_candles(path))
        assert [len(block) for block in blocks] == [300, 300, 300, 100]
        same(Block.concatenate(blocks), CANDLES)


@pytest.mark.parametrize("kind", ["parquet", "feather"])
def test_another_format_under_the_name_is_refused(tmp_path, kind):
    path = tmp_path / f"candles.{kind}"
    path.write_text("timestamp,open,high,low,close,volume\n")
    refused(path, "neither Parquet, Feather nor Arrow", format=kind)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_timestamps_of_every_unit(tmp_path, unit, zone):
    times = pa.array(CANDLES.times).cast(pa.timestamp("ms", zone)).cast(pa.timestamp(unit, zone))
    path = write_arrow(table(times), tmp_path / "x.feather", "feather")
    same(load(path), CANDLES)
    if zone is None and unit == "ms":
        moved = load(path, tz="Asia/Tokyo")
        assert moved.times.tolist() == (CANDLES.times - 9 * 60 * MINUTE).tolist()


@pytest.mark.parametrize("divide", [1_000, 1])
@pytest.mark.parametrize("kind", [pa.int64(), pa.uint64(), pa.float64(), pa.string()])
def test_epoch_columns(tmp_path, divide, kind):
    times = pa.array(CANDLES.times // divide).cast(kind)
    same(load(write_arrow(table(times), tmp_path / "x.parquet", "parquet")), CANDLES)


def test_text_and_date_columns(tmp_path):
    texts = pa.array([stamp.isoformat() for stamp in STAMPS])
    same(load(write_arrow(table(texts), tmp_path / "x.parquet", "parquet")), CANDLES)
    days = pa.array(np.arange(1_000), pa.int32()).cast(pa.date32())
    block = load(write_arrow(table(days), tmp_path / "y.parquet", "parquet"))
    assert block.times.tolist() == [day * 86_400_000 for day in range(1_000)]


def test_times_out_of_reach_or_missing_are_refused(tmp_path):
    far = pa.array([10**16] * 1_000, pa.timestamp("ms"))
    refused(write_arrow(table(far), tmp_path / "x.parquet", "parquet"), "row 1", "1678 to 2262")
    times = CANDLES.times.tolist()
    times[700] = None
    stamps = pa.array(times, pa.timestamp("ms"))
    refused(write_arrow(table(stamps), tmp_path / "y.parquet", "parquet"), "row 701", "empty")
    fine = pa.array(CANDLES.times * 1000 + 1, pa.timestamp("us"))
    refused(write_arrow(table(fine), tmp_path / "z.parquet", "parquet"), "whole millisecond")
    odd = pa.array([True] * 1_000)
    refused(write_arrow(table(odd), tmp_path / "b.parquet", "parquet"), "row 1", "time is True")


@pytest.mark.parametrize("suffix", ["parquet", "feather"])
@pytest.mark.parametrize("name", ["timestamp", "date", "whatever", None])
def test_the_index_of_pandas(tmp_path, suffix, name):
    path = tmp_path / f"candles.{suffix}"
    frame = FRAME.set_index(STAMPS.rename(name))
    if suffix == "parquet":
        frame.to_parquet(path)
    else:
        arrow = pa.Table.from_pandas(frame)
        pyarrow.feather.write_feather(arrow, path)
    same(load(path), CANDLES)


def test_the_index_of_pandas_goes_before_a_column(tmp_path):
    frame = FRAME.assign(date=range(1_000)).set_index(STAMPS)
    frame.to_parquet(tmp_path / "x.parquet")
    block = load(tmp_path / "x.parquet")
    assert block.times.tolist() == CANDLES.times.tolist()
    assert block.extras == ("date",)


def test_a_range_index_is_no_time(tmp_path):
    FRAME.to_parquet(tmp_path / "x.parquet")
    refused(tmp_path / "x.parquet", "no column for time", "--columns")


def test_the_only_timestamp_is_the_time(tmp_path):
    frame = FRAME.assign(moment=STAMPS, symbol="BTC")
    frame.to_parquet(tmp_path / "x.parquet", index=False)
    same(load(tmp_path / "x.parquet"), CANDLES)


def test_columns_given(tmp_path):
    arrow = table().rename_columns(["a", "b", "c", "d", "e", "f"])
    path = write_arrow(arrow, tmp_path / "x.parquet", "parquet")
    refused(path, "no column for time, open, high, low", "a, b, c, d, e, f")
    same(load(path, columns="time,open,high,low,close,volume"), CANDLES)
    refused(path, "6 columns (a, b, c, d, e, f)", "names 5", columns="time,open,high,low,close")
    block = load(path, columns="time,open,high,low,close,trades")
    assert block.names == (*OHLCV, "trades")
    assert np.isnan(block.column("volume")).all()


def test_types_of_values_are_cast_exactly(tmp_path):
    prices = [decimal.Decimal("0.1"), decimal.Decimal("12345678.123456789012345678")] * 500
    columns = {
        "open": pa.array(CANDLES.column("open").astype(np.float32)),
        "high": pa.array(prices, pa.decimal128(38, 18)),
        "low": pa.array([f" {value!r} " for value in CANDLES.column("low").tolist()]),
        "close": pa.array(np.arange(1_000, dtype=np.uint16)),
        "volume": pa.array(CANDLES.column("volume")).dictionary_encode(),
        "flag": pa.array([True, None] * 500),
        "nothing": pa.nulls(1_000),
        "symbol": pa.array(["BTC"] * 1_000).dictionary_encode(),
    }
    block = load(write_arrow(table(**columns), tmp_path / "x.parquet", "parquet"))
    assert block.names == (*OHLCV, "flag", "nothing")
    expected = CANDLES.column("open").astype(np.float32).astype(np.float64)
    assert block.column("open").tolist() == expected.tolist()
    assert block.column("high").tolist() == [float(price) for price in prices]
    assert block.column("low").tolist() == CANDLES.column("low").tolist()
    assert block.column("close").tolist() == list(range(1_000))
    assert block.column("volume").tolist() == CANDLES.column("volume").tolist()
    assert block.column("flag")[0] == 1
    assert np.isnan(block.column("nothing")).all()


def test_nulls_become_nan(tmp_path):
    closes = [*CANDLES.column("close").tolist()[:-2], None, float("nan")]
    texts = [*map(str, CANDLES.column("volume").tolist()[:-2]), None, ""]
    arrow = table(close=pa.array(closes), volume=pa.array(texts), trades=pa.array([None, 1] * 500))
    block = load(write_arrow(arrow, tmp_path / "x.parquet", "parquet"))
    assert np.flatnonzero(np.isnan(block.column("close"))).tolist() == [998, 999]
    assert np.flatnonzero(np.isnan(block.column("volume"))).tolist() == [998, 999]
    assert block.column("trades")[1] == 1


def test_values_that_are_no_numbers_are_refused(tmp_path):
    texts = [*map(str, range(999)), "x"]
    path = write_arrow(table(close=pa.array(texts)), tmp_path / "x.parquet", "parquet")
    refused(path, "row 1000", "close is 'x'", "expected a number")
    lists = pa.array([[1]] * 1_000)
    path = write_arrow(table(close=lists), tmp_path / "y.parquet", "parquet")
    refused(path, "row 1", "close is [1]")


def test_integers_that_float64_cannot_hold_are_refused(tmp_path):
    ids = np.full(1_000, 2**60)
    path = write_arrow(table(id=pa.array(ids)), tmp_path / "x.parquet", "parquet")
    assert load(path).column("id")[0] == 2.0**60
    ids[500] += 1
    path = write_arrow(table(id=pa.array(ids)), tmp_path / "y.parquet", "parquet")
    refused(path, "row 501", "id is", "2**53")


def test_a_file_without_rows_is_refused(tmp_path):
    for kind in KINDS:
        path = write_arrow(table().slice(0, 0), tmp_path / "x.bin", kind)
        refused(path, "no candles")


def test_seconds_in_a_column_said_to_be_milliseconds(tmp_path):
    times = pa.array(CANDLES.times // 1000)
    path = write_arrow(table(times), tmp_path / "x.parquet", "parquet")
    refused(path, "row 1", f"{START // 1000} in ms", "--time-unit s", time_unit="ms")
