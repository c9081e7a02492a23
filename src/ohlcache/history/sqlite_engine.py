"""A candle store in a SQLite file: its identity, its tables, its sessions."""

from __future__ import annotations

import sqlite3
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from ohlcache.errors import StoreReadOnly
from ohlcache.history.engine import Row, Session
from ohlcache.history.tables import NAMES, add_tables
from ohlcache.sqlite import Database, Schema, Token

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
    "end"  INTEGER NOT NULL,
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

# Version 2 remembers the past. A program that does not would change what snapshots read.
_VERSION = 2
_SCHEMA = Schema(
    application_id=int.from_bytes(b"OHLC"),
    version=_VERSION,
    readable_from=1,
    statements=_TABLES,
    if_damaged="restore it from a copy or import again",
    if_older="export it with the ohlcache that wrote it and import it again",
)


_PUT_CHUNK = "INSERT OR REPLACE INTO chunk VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


class SQLiteSession:
    """A connection inside a transaction."""

    ROW_LOCK = ""  # a writing transaction is the only one
    NOW = "CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, *parameters: Any) -> Iterator[Row]:
        """See Session."""
        return self._connection.execute(sql, parameters)

    def run(self, sql: str, *parameters: Any) -> None:
        """See Session."""
        self._connection.execute(sql, parameters)

    def run_each(self, sql: str, rows: Iterable[Row]) -> None:
        """See Session."""
        self._connection.executemany(sql, rows)

    def lock(self, name: str) -> None:
        """See Session: a writing transaction is the only one."""

    def put_chunks(self, rows: Sequence[Row]) -> None:
        """See Session."""
        self._connection.executemany(_PUT_CHUNK, rows)


class SQLiteEngine:
    """One file, created where it does not exist."""

    def __init__(self, path: Path, busy_seconds: float) -> None:
        """Raises the StoreErrors that ``ohlcache.sqlite.Database`` does."""
        self.path = path
        self.is_incomplete = False
        self.name = f"store {path}"
        self._database = Database(path, busy_seconds, _SCHEMA)
        self._complete()

    def _complete(self) -> None:
        """Give an older store the tables that it lacks; one that cannot be written stays as is."""
        with self.reading() as session:
            found = {name for (name,) in session.rows("SELECT name FROM sqlite_master")}
            ((version,),) = session.rows("PRAGMA user_version")
        if version < _VERSION or not found >= NAMES:
            try:
                with self.writing() as session:
                    add_tables(session)
                    session.run(f"PRAGMA user_version = {_VERSION}")
            except StoreReadOnly:
                self.is_incomplete = True

    def token(self) -> Token:
        """See Engine; costs a few microseconds."""
        return self._database.token()

    def token_at_hand(self) -> Token:
        """See Engine: it is always."""
        return self._database.token()

    def token_of(self, session: Session, before: Hashable) -> Hashable:  # noqa: ARG002
        """See Engine: all connections lead to one file."""
        return before

    @contextmanager
    def reading(self) -> Iterator[SQLiteSession]:
        """See Engine."""
        with self._database.reading() as connection:
            yield SQLiteSession(connection)

    @contextmanager
    def helping(self, session: Session, wanted: int) -> Iterator[list[SQLiteSession]]:  # noqa: ARG002
        """See Engine."""
        with ExitStack() as stack:
            yield [stack.enter_context(self.reading()) for _ in range(wanted)]

    @contextmanager
    def writing(self) -> Iterator[SQLiteSession]:
        """See Engine."""
        with self._database.writing() as connection:
            yield SQLiteSession(connection)

    def check(self) -> list[str]:
        """See Engine."""
        return self._database.check()

    def size(self) -> int:
        """See Engine; the log is included."""
        files = (self.path, self.path.with_name(f"{self.path.name}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def numbers(self) -> dict[str, int]:
        """See Engine: there are none."""
        return {}

    def close(self) -> None:
        """See Engine."""
        self._database.close()
