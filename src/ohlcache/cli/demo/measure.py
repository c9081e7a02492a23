"""How long the same candles take from files, from the store and from memory, and how large each is.

Every read ends in the same pandas DataFrame, which is checked. The median of several runs counts;
the files are in the operating system's cache by then, so no disk is measured.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import ohlcache
from ohlcache.candles import OHLCV, Block, Interval
from ohlcache.errors import OhlcacheError
from ohlcache.sources.files import export

_FILE_RUNS, _STORE_RUNS, _MEMORY_RUNS = 3, 5, 200


@dataclass(frozen=True, slots=True)
class Series:
    """The series that is measured, and the range that is read of it."""

    symbol: str
    timeframe: str
    venue: str
    range: Interval


@dataclass(frozen=True, slots=True)
class Files:
    """The same candles as files."""

    csv: Path
    parquet: Path
    feather: Path

    @staticmethod
    def write(block: Block, folder: Path) -> Files:
        """All three of them, as ``ohlcache export`` writes them."""
        files = Files(*(folder / f"candles.{kind}" for kind in ("csv", "parquet", "feather")))
        for path in (files.csv, files.parquet, files.feather):
            export(block, path, format=path.suffix[1:])
        return files


@dataclass(frozen=True, slots=True)
class Read:
    """One way to the candles: seconds, and rows that it gave."""

    way: str
    seconds: float
    rows: int


def measure_reads(files: Files, store: str, series: Series) -> list[Read]:
    """The ways to one range of a series, slowest kind first.

    Raises OhlcacheError if they do not all give the same candles.
    """
    start, end = (pd.Timestamp(ms, unit="ms", tz="UTC") for ms in series.range)

    def csv() -> pd.DataFrame:
        frame = pd.read_csv(files.csv)
        frame.index = pd.to_datetime(frame.pop("timestamp"), unit="ms", utc=True)
        return frame[(frame.index >= start) & (frame.index < end)]

    def parquet() -> pd.DataFrame:
        within = [("timestamp", ">=", start), ("timestamp", "<", end)]
        return pd.read_parquet(files.parquet, filters=within).set_index("timestamp")

    def feather() -> pd.DataFrame:
        frame = pd.read_feather(files.feather).set_index("timestamp")
        return frame[(frame.index >= start) & (frame.index < end)]

    def from_store(md: ohlcache.MarketData) -> pd.DataFrame:
        frame: pd.DataFrame = md.candles(
            series.symbol, series.timeframe, *series.range, venue=series.venue
        )
        return frame

    def cold() -> pd.DataFrame:
        with ohlcache.open(store) as md:
            return from_store(md)

    with ohlcache.open(store) as md:
        from_store(md)
        timed = [
            _timed("CSV file, pandas", csv, _FILE_RUNS),
            _timed("Parquet file (zstd), pandas", parquet, _FILE_RUNS),
            _timed("Feather file (lz4), pandas", feather, _FILE_RUNS),
            _timed("store, cold: just opened", cold, _STORE_RUNS),
            _timed("memory, warm: read before", lambda: from_store(md), _MEMORY_RUNS),
        ]
    expected = timed[-1][1]
    for read, frame in timed:
        if not _is_same(frame, expected):
            raise OhlcacheError(f"{read.way} gave other candles than memory: please report this")
    return [read for read, _ in timed]


def _timed(way: str, read: Callable[[], pd.DataFrame], runs: int) -> tuple[Read, pd.DataFrame]:
    frame = read()  # once for what is only loaded on first use
    seconds = []
    for _ in range(runs):
        began = time.perf_counter()
        frame = read()
        seconds.append(time.perf_counter() - began)
    return Read(way, statistics.median(seconds), len(frame)), frame


def _is_same(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    columns: list[Any] = list(OHLCV)
    return len(one) == len(other) and np.array_equal(
        one[columns].to_numpy(), other[columns].to_numpy(), equal_nan=True
    )
