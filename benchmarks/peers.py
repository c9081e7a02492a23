"""Ours and its peers behind one small face: write a frame, read a range of it, size on disk.

Each peer is set up as its users would have it at its best: libraries and connections stay open
between reads, where they may keep what they like.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

import ohlcache
from benchmarks.common import allocated_bytes
from benchmarks.datasets import SYMBOL, TIMEFRAME, Span

_TIME = "timestamp"
_EPOCH = pd.Timestamp(0, tz="UTC")
_END_OF_TIME = pd.Timestamp("2200-01-01", tz="UTC")


class Peer(Protocol):
    """A place for one series of candles."""

    name: str
    path: Path

    def write(self, frame: pd.DataFrame) -> None:
        """Store a whole series."""

    def read(self, span: Span) -> pd.DataFrame:
        """The candles of a range, as they were written."""

    def close(self) -> None:
        """Close what is open; the files stay."""


class Ohlcache:
    name = "ohlcache"

    def __init__(self, folder: Path) -> None:
        self.path = folder / "ohlcache"
        self.data = ohlcache.open(self.path)

    def write(self, frame: pd.DataFrame) -> None:
        load(self.data, frame)

    def read(self, span: Span) -> pd.DataFrame:
        return self.data.candles(SYMBOL, TIMEFRAME, span.start, span.end)

    def close(self) -> None:
        self.data.close()


def load(store: ohlcache.MarketData, frame: pd.DataFrame) -> None:
    """Write a whole series, and see that all of it was taken."""
    report = store.write(SYMBOL, TIMEFRAME, frame)
    if report.added != len(frame):
        raise AssertionError(f"{report.added} of {len(frame)} rows were stored: {report.reasons}")


class ArcticDB:
    name = "ArcticDB"
    package = "arcticdb"

    def __init__(self, folder: Path) -> None:
        import arcticdb

        self.path = folder / "arcticdb"
        self._library = arcticdb.Arctic(f"lmdb://{self.path}").get_library(
            "candles", create_if_missing=True
        )

    def write(self, frame: pd.DataFrame) -> None:
        self._library.write(SYMBOL, frame)

    def append(self, frame: pd.DataFrame) -> None:
        self._library.append(SYMBOL, frame)

    def read(self, span: Span) -> pd.DataFrame:
        if span.start is None:
            return self._library.read(SYMBOL).data
        inclusive = (span.start, span.end - pd.Timedelta(1, "ns"))
        return self._library.read(SYMBOL, date_range=inclusive).data

    def close(self) -> None:
        del self._library


class Parquet:
    """zstd at level 9, in one go as pandas writes it."""

    name = "Parquet zstd-9"
    package = "pyarrow"
    _file = "candles.parquet"
    _group_rows: int | None = None

    def __init__(self, folder: Path) -> None:
        self.path = folder / self._file

    def write(self, frame: pd.DataFrame) -> None:
        frame.to_parquet(
            self.path, compression="zstd", compression_level=9, row_group_size=self._group_rows
        )

    def read(self, span: Span) -> pd.DataFrame:
        if span.start is None:
            return pd.read_parquet(self.path)
        within = [(_TIME, ">=", span.start), (_TIME, "<", span.end)]
        return pd.read_parquet(self.path, filters=within)

    def close(self) -> None:
        pass


class ParquetInGroups(Parquet):
    """In row groups of the size of our chunks: larger files, quicker reads of a range."""

    name = "Parquet zstd-9 in groups"
    _file = "groups.parquet"
    _group_rows = 65_536


class Feather:
    name = "Feather lz4-9"
    package = "pyarrow"

    def __init__(self, folder: Path) -> None:
        self.path = folder / "candles.feather"

    def write(self, frame: pd.DataFrame) -> None:
        frame.reset_index().to_feather(self.path, compression="lz4", compression_level=9)

    def read(self, span: Span) -> pd.DataFrame:
        frame = pd.read_feather(self.path).set_index(_TIME)
        if span.start is None:
            return frame
        low, high = frame.index.searchsorted([span.start, span.end])
        return frame.iloc[low:high]

    def close(self) -> None:
        pass


class DuckDB:
    name = "DuckDB table"
    package = "duckdb"

    def __init__(self, folder: Path) -> None:
        import duckdb

        self.path = folder / "candles.duckdb"
        self._connection = duckdb.connect(str(self.path))

    def write(self, frame: pd.DataFrame) -> None:
        rows = frame.tz_localize(None).reset_index()
        self._connection.register("given", rows)
        self._connection.execute("CREATE OR REPLACE TABLE candles AS SELECT * FROM given")
        self._connection.unregister("given")

    def read(self, span: Span) -> pd.DataFrame:
        where, values = "", []
        if span.start is not None:
            where = "WHERE timestamp >= ? AND timestamp < ?"
            values = [span.start.tz_localize(None), span.end.tz_localize(None)]
        query = f"SELECT * FROM candles {where} ORDER BY timestamp"
        return self._connection.execute(query, values).df().set_index(_TIME).tz_localize("UTC")

    def close(self) -> None:
        self._connection.close()


class SQLiteRows:
    name = "SQLite rows"
    package = "sqlite3"

    def __init__(self, folder: Path) -> None:
        self.path = folder / "candles.sqlite"
        self._connection = sqlite3.connect(self.path)

    def write(self, frame: pd.DataFrame) -> None:
        self._connection.execute("DROP TABLE IF EXISTS candles")
        self._connection.execute(
            "CREATE TABLE candles (timestamp INTEGER PRIMARY KEY, open REAL, high REAL, low REAL, "
            "close REAL, volume REAL)"
        )
        rows = frame.set_axis(frame.index.as_unit("ms").asi8, axis=0).rename_axis(_TIME)
        rows.to_sql("candles", self._connection, if_exists="append")
        self._connection.commit()

    def append(self, frame: pd.DataFrame) -> None:
        row = (frame.index[0].value // 1_000_000, *frame.to_numpy()[0].tolist())
        self._connection.execute("INSERT INTO candles VALUES (?, ?, ?, ?, ?, ?)", row)
        self._connection.commit()

    def read(self, span: Span) -> pd.DataFrame:
        start, end = span.start or _EPOCH, span.end or _END_OF_TIME
        frame = pd.read_sql_query(
            "SELECT * FROM candles WHERE timestamp >= ? AND timestamp < ? ORDER BY timestamp",
            self._connection,
            params=(start.value // 1_000_000, end.value // 1_000_000),
        )
        frame[_TIME] = pd.to_datetime(frame[_TIME], unit="ms", utc=True)
        return frame.set_index(_TIME)

    def close(self) -> None:
        self._connection.close()


_PEERS: tuple[Any, ...] = (ArcticDB, Parquet, ParquetInGroups, Feather, DuckDB, SQLiteRows)


def installed() -> list[type[Peer]]:
    """The peers whose packages are here."""
    return [peer for peer in _PEERS if find_spec(peer.package)]


def stored(kinds: Iterable[type[Peer]], folder: Path, frame: pd.DataFrame) -> dict[str, Peer]:
    """The same candles in each of them, by name; they are left open."""
    folder.mkdir(parents=True, exist_ok=True)
    peers = {kind.name: kind(folder) for kind in kinds}
    for peer in peers.values():
        peer.write(frame)
    return peers


def check_same(peer: Peer, span: Span, expected: pd.DataFrame) -> None:
    """A peer that gives other candles must not be compared with."""
    found = peer.read(span)
    same = (found.index.asi8 == expected.index.as_unit(found.index.unit).asi8).all()
    if not (same and (found.to_numpy() == expected.to_numpy()).all()):
        raise AssertionError(f"{peer.name} does not give back the candles of {span.name}")


def disk_size(peer: Peer) -> int:
    """Bytes allocated on disk; close it first."""
    return allocated_bytes(peer.path)
