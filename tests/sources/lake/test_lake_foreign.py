"""Datasets that others wrote, with a Hive layout and no manifest."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

import ohlcache
from made_candles import MINUTE, T0, make_block
from ohlcache.candles import Interval, to_block, to_frame
from ohlcache.errors import FileFormatError, InvalidArgument
from ohlcache.sources import LakeSource

BLOCK = make_block(3_000)
END = T0 + 3_000 * MINUTE


def test_as_pandas_writes_it(tmp_path, bucket, server):
    frame = to_frame(BLOCK).reset_index()
    frame["exchange"] = "kraken"
    frame["pair"] = "XBT/USD"
    frame["interval"] = "1min"
    frame["interval"] = "1m"
    frame["date"] = frame["timestamp"].dt.strftime("%Y-%m-%d")
    frame = frame.rename(columns={"timestamp": "open_time", "volume": "Vol"})
    root = tmp_path / "theirs"
    frame.to_parquet(root, partition_cols=["exchange", "pair", "interval", "date"])
    for path in root.rglob("*.parquet"):
        name = path.relative_to(root).as_posix()
        server.buckets["lake"][f"theirs/{name}"] = path.read_bytes()
    for source in (
        LakeSource(root),
        LakeSource("s3://lake/theirs", storage_options=bucket.options),
    ):
        assert source.venue == "kraken"
        assert source.known("XBT/USD", "1m") == (Interval(T0, END),)
        assert source.fetch("XBT/USD", "1m", T0, END).identical(BLOCK)
        day = source.fetch("XBT/USD", "1m", T0 + 1440 * MINUTE, T0 + 1500 * MINUTE)
        assert day.identical(BLOCK.between(T0 + 1440 * MINUTE, T0 + 1500 * MINUTE))


def test_as_arrow_writes_it_with_seconds_and_no_venue(tmp_path):
    table = to_frame(BLOCK, "arrow")
    columns = {
        "t": pa.array(BLOCK.times // 1000),
        **{name[0]: table[name] for name in ("open", "high", "low", "close", "volume")},
        "ticker": pa.array(["X"] * 3_000),
        "note": pa.array(["seen"] * 3_000),
    }
    pa.dataset.write_dataset(
        pa.table(columns),
        tmp_path / "theirs",
        format="parquet",
        partitioning=["ticker"],
        partitioning_flavor="hive",
        max_rows_per_group=500,
    )
    with pytest.raises(InvalidArgument, match="timeframe"):
        LakeSource(tmp_path / "theirs")
    source = LakeSource(tmp_path / "theirs", timeframe="1m", time_unit="s", venue="mine")
    with ohlcache.open(tmp_path / "store", source=source) as md:
        assert to_block(md.candles("X", "1m", T0, END + 10**9)).identical(BLOCK)
        assert md.coverage("X", "1m") == [Interval(T0, END)]
        assert md.info("X", "1m").venue == "mine"


def written(folder, table):
    path = folder / "symbol=X" / "timeframe=1m" / "part.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(table, path)
    return LakeSource(folder)


def test_a_file_that_holds_no_candles(tmp_path):
    source = written(tmp_path / "theirs", pa.table({"a": [1.0], "b": [2.0]}))
    with pytest.raises(FileFormatError, match=r"part\.parquet.*no column for"):
        source.known("X", "1m")


def test_a_file_without_statistics(tmp_path):
    path = tmp_path / "theirs" / "symbol=X" / "timeframe=1m" / "part.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(to_frame(BLOCK, "arrow"), path, write_statistics=False)
    with pytest.raises(FileFormatError, match="statistics"):
        LakeSource(tmp_path / "theirs").known("X", "1m")


def test_rows_in_any_order(tmp_path):
    shuffled = BLOCK.take(np.random.default_rng(1).permutation(3_000))
    source = written(tmp_path / "theirs", to_frame(shuffled, "arrow"))
    assert source.fetch("X", "1m", T0, END).identical(BLOCK)


def test_two_venues_need_a_choice(tmp_path):
    for venue in ("a", "b"):
        written(tmp_path / "theirs" / f"venue={venue}", to_frame(BLOCK, "arrow"))
    with pytest.raises(InvalidArgument, match="a, b"):
        LakeSource(tmp_path / "theirs")
    with pytest.raises(InvalidArgument, match="'c'"):
        LakeSource(tmp_path / "theirs", venue="c")
    assert LakeSource(tmp_path / "theirs", venue="b").venue == "b"
