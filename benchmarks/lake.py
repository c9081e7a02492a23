"""What does a data lake cost: exporting a history, its size, and reading a month of it?

The lake lies in a folder, and on a bucket server in a process of its own on this machine. The peers
read the same files: pandas.read_parquet and pyarrow.dataset on the folder of the series, with the
month as a filter; both of them answer with a DataFrame, as ours does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.dataset as ds
from pyarrow.fs import S3FileSystem

import ohlcache
from benchmarks.common import (
    Figure,
    Options,
    allocated_bytes,
    as_bytes,
    as_rate,
    as_time,
    best_by_turns,
    figure,
    seconds,
)
from benchmarks.datasets import MONTH, SYMBOL, TIMEFRAME, Dataset, synthetic
from ohlcache.sources import LakeSource

TITLE = "Data lake"

_VENUE = "local"
_SERIES = f"venue={_VENUE}/symbol=BTC%2FUSDT/timeframe={TIMEFRAME}"
_COLUMNS = ["timestamp", "open", "high", "low", "close", "volume"]


def measure(options: Options) -> Iterator[Figure]:
    data = synthetic(options.quick)
    folder = options.scratch / "lake"
    with ohlcache.open(options.scratch / "store to export") as md:
        md.write(SYMBOL, TIMEFRAME, data.frame)
        yield from _export(md, data, folder)
    yield from _in_a_folder(options, folder)
    with _bucket(folder) as storage_options:
        yield from _in_a_bucket(options, storage_options)


def _export(md: ohlcache.MarketData, data: Dataset, folder: Path) -> Iterator[Figure]:
    took = seconds(lambda: md.export_lake(folder, SYMBOL, TIMEFRAME))
    again = seconds(lambda: md.export_lake(folder, SYMBOL, TIMEFRAME))
    yield figure("export to a folder", len(data) / took, as_rate)
    yield figure("export again, nothing new", len(data) / again, as_rate)
    stored = md.stats()["store"]["bytes"]
    size = allocated_bytes(folder)
    yield figure("size of the lake, beside the store", size, as_bytes, ("store", stored))
    raw = len(data) * 8 * len(_COLUMNS)
    yield figure("size of the lake, beside plain float64", size, as_bytes, ("raw", raw))


def _in_a_folder(options: Options, folder: Path) -> Iterator[Figure]:
    source = LakeSource(folder)
    series = folder / _SERIES
    yield from _month(options, "a folder", source, series, None)


def _in_a_bucket(options: Options, storage_options: dict[str, Any]) -> Iterator[Figure]:
    source = LakeSource("s3://lake", storage_options=storage_options)
    files = S3FileSystem(**storage_options)
    yield from _month(options, "a bucket", source, f"lake/{_SERIES}", files)


def _month(
    options: Options, where: str, source: LakeSource, series: Any, files: Any
) -> Iterator[Figure]:
    def with_pandas() -> pd.DataFrame:
        within = [("timestamp", ">=", MONTH.start), ("timestamp", "<", MONTH.end)]
        return pd.read_parquet(series, columns=_COLUMNS, filters=within, filesystem=files)

    def with_dataset() -> pd.DataFrame:
        dataset = ds.dataset(series, filesystem=files, partitioning="hive")
        time = ds.field("timestamp")
        within = (time >= MONTH.start) & (time < MONTH.end)
        return dataset.to_table(columns=_COLUMNS, filter=within).to_pandas()

    def ours() -> pd.DataFrame:
        return source.candles(SYMBOL, TIMEFRAME, MONTH.start, MONTH.end)

    for peer in (with_pandas, with_dataset):
        assert (peer()[_COLUMNS[1:]].to_numpy() == ours().to_numpy()).all()
    runs = {"ours": ours, "pandas.read_parquet": with_pandas, "pyarrow.dataset": with_dataset}
    timed = {name: lambda run=run: seconds(run) for name, run in runs.items()}
    best = best_by_turns(timed, options.turns(20))
    for name in ("pandas.read_parquet", "pyarrow.dataset"):
        yield figure(f"a month from {where}", best["ours"], as_time, (name, best[name]))


# -- the bucket server --------------------------------------------------------------------------


@contextmanager
def _bucket(folder: Path) -> Iterator[dict[str, Any]]:
    """A server whose bucket ``lake`` holds the files of a folder; what makes a client find it."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(folder, theirs), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send(None)
        process.join()


def _serve(folder: Path, pipe: Any) -> None:
    from tests.sources.lake.s3_server import BucketServer

    server = BucketServer()
    server.buckets["lake"] = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    pipe.send(server.options)
    pipe.recv()
    server.close()
