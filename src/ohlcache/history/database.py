"""The SQLite file of the candle store: its identity and its tables."""

from __future__ import annotations

from pathlib import Path

from ohlcache import sqlite
from ohlcache.sqlite import Schema, Token

__all__ = ["Database", "Token"]

_TABLES = """
CREATE TABLE clock (
    revision  INTEGER NOT NULL,  -- grows with every write that changed something
    deletions INTEGER NOT NULL   -- grows with every series removed
);
INSERT INTO clock VALUES (0, 0);
CREATE TABLE series (
    id            INTEGER PRIMARY KEY,
    venue         TEXT NOT NULL,
    symbol        TEXT NOT NULL,
    timeframe     TEXT NOT NULL,
    zone          TEXT NOT NULL,     -- the anchor of its grid
    zone_offset   INTEGER NOT NULL,
    extras        TEXT NOT NULL,     -- JSON list of the columns beyond OHLCV
    revision      INTEGER NOT NULL,  -- of its last change
    epoch         INTEGER NOT NULL,  -- of its creation, or of the last removal of rows
    UNIQUE (venue, symbol, timeframe)
);
CREATE INDEX series_revision ON series (revision);
CREATE TABLE chunk (
    series   INTEGER NOT NULL REFERENCES series (id) ON DELETE CASCADE,
    start    INTEGER NOT NULL,  -- of its window, ms
    layer    INTEGER NOT NULL,  -- 0: the body; 1: recent rows, laid over it
    first    INTEGER NOT NULL,  -- open time of the first and the last row, ms
    last     INTEGER NOT NULL,
    rows     INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    data     BLOB NOT NULL,
    PRIMARY KEY (series, start, layer)
);
CREATE TABLE coverage (
    series INTEGER NOT NULL REFERENCES series (id) ON DELETE CASCADE,
    start  INTEGER NOT NULL,
    end    INTEGER NOT NULL,
    PRIMARY KEY (series, start)
) WITHOUT ROWID;
CREATE TABLE refused (
    series INTEGER NOT NULL REFERENCES series (id) ON DELETE CASCADE,
    time   INTEGER NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (series, time, reason)
) WITHOUT ROWID;
CREATE TABLE metadata (
    venue  TEXT NOT NULL,
    symbol TEXT NOT NULL,
    data   TEXT NOT NULL,  -- JSON object
    PRIMARY KEY (venue, symbol)
) WITHOUT ROWID;
"""

_SCHEMA = Schema(
    application_id=int.from_bytes(b"OHLC"),
    version=1,
    statements=_TABLES,
    if_damaged="restore it from a copy or import again",
    if_older="export it with the ohlcache that wrote it and import it again",
)


class Database(sqlite.Database):
    """The database of a store, created where it does not exist."""

    def __init__(self, path: Path, busy_seconds: float) -> None:
        """Raises the StoreErrors that ``ohlcache.sqlite.Database`` does."""
        super().__init__(path, busy_seconds, _SCHEMA)
