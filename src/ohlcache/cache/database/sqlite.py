"""SQLite under the tier: one file that the processes of one machine share.

Others' changes are noticed by looking at the file's ``data_version`` every few milliseconds, which
costs microseconds. What changed is read from numbered notices, written with each transaction; a
number that is missing, or a file that is another one, means that something was missed.

The file takes at most some three times the tier's limit and 20 MB: space of removed rows is used
again and given back, and the newest notices only are kept. The log beside it takes some 40 MB.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from ohlcache.cache.database import tables
from ohlcache.cache.database.engine import Result, Row
from ohlcache.errors import OhlcacheError, StoreError, StoreLocked
from ohlcache.sqlite import Database, Schema

_POLL_SECONDS = 0.015
_NOTICES_KEPT = 2048  # of at most 7,900 bytes each
_NOTICES_REMOVED_AT_ONCE = 256
_FREE_PAGES = 512  # 2 MB that removed rows may leave in the file

_SCHEMA = Schema(
    application_id=int.from_bytes(b"OHCT"),
    version=tables.VERSION,
    readable_from=tables.VERSION,
    statements=tables.SQLITE,
    if_damaged="delete it, the cache fills again",
    if_older="delete it, the cache fills again",
    gives_space_back=True,
)

_ADD_NOTICE = "INSERT INTO ohlcache1_notices (namespace, notice) VALUES (?, ?)"
_REMOVE_NOTICES = "DELETE FROM ohlcache1_notices WHERE number <= ?"
_NEW_NOTICES = "SELECT number, namespace, notice FROM ohlcache1_notices WHERE number > ?"
_LAST_NOTICE = "SELECT seq FROM sqlite_sequence WHERE name = 'ohlcache1_notices'"

_HAS_TABLE = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"

FileIdentity = tuple[int, int]


class NoticesMissed(OhlcacheError):
    """Other processes changed something, and it cannot be known what."""


class SQLiteSession:
    """A connection inside a transaction."""

    ROW_LOCK = ""  # a writing transaction is the only one
    NOW = "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"
    BYTES = "BLOB"

    def __init__(self, connection: sqlite3.Connection, namespace: str) -> None:
        self._connection = connection
        self._namespace = namespace

    def rows(self, sql: str, *parameters: Any) -> list[Row]:
        """See Session."""
        return self._connection.execute(sql, parameters).fetchall()

    def rows_of(self, sql: str, keys: Collection[bytes], *parameters: Any) -> list[Row]:
        """See Session. A statement a key: SQLite has no round trips to save."""
        execute = self._connection.execute
        sql += " = ?"
        return [row for key in keys for row in execute(sql, (*parameters, key))]

    def run(self, sql: str, *parameters: Any) -> None:
        """See Session."""
        self._connection.execute(sql, parameters)

    def run_of(self, sql: str, keys: Collection[bytes], *parameters: Any) -> None:
        """See Session."""
        self._connection.executemany(sql + " = ?", [(*parameters, key) for key in keys])

    def run_each(self, sql: str, rows: Sequence[Row]) -> None:
        """See Session."""
        self._connection.executemany(sql, rows)

    def has_table(self, name: str) -> bool:
        """See Session."""
        return bool(self.rows(_HAS_TABLE, name))

    def create(self, sql: str) -> None:
        """See Session."""
        self.run(sql)

    def announce(self, notices: Sequence[str]) -> None:
        """See Session."""
        for notice in notices:
            added = self._connection.execute(_ADD_NOTICE, (self._namespace, notice)).lastrowid or 0
            if added % _NOTICES_REMOVED_AT_ONCE == 0:
                self._connection.execute(_REMOVE_NOTICES, (added - _NOTICES_KEPT,))


class SQLiteEngine:
    """One file, opened anew when another one takes its place."""

    refusals: tuple[type[BaseException], ...] = (sqlite3.Error, StoreError)

    def __init__(self, path: Path, namespace: str, timeout_seconds: float) -> None:
        """Raises StoreForeign and other StoreErrors."""
        self.path = path.absolute()
        self._namespace = namespace
        self._timeout_seconds = timeout_seconds
        self._is_closed = False
        self._left: list[Database] = []  # of the parent process: kept, closing would touch them
        self._turn = threading.Lock()
        self._opening = threading.Lock()
        self._database: Database | None = self._open()

    def read(self, work: Callable[[SQLiteSession], Result]) -> Result:
        """See Engine."""
        with self.database().reading() as connection:
            return work(SQLiteSession(connection, self._namespace))

    def change(self, work: Callable[[SQLiteSession], Result]) -> Result:
        """See Engine. Raises StoreLocked when threads or processes before it take too long."""
        if not self._turn.acquire(timeout=self._timeout_seconds):
            raise StoreLocked(
                f"cache {self.path} is being written by other threads: try again later"
            )
        try:
            with self.database().writing() as connection:
                return work(SQLiteSession(connection, self._namespace))
        finally:
            self._turn.release()

    def watch(self) -> SQLiteWatch:
        """See Engine."""
        return SQLiteWatch(self, self._namespace)

    def give_space_back(self) -> None:
        """See Engine."""
        with self.database().reading() as connection:
            free: int = connection.execute("PRAGMA freelist_count").fetchone()[0]
        if free > _FREE_PAGES:
            self.database().give_space_back(_FREE_PAGES)

    def numbers(self) -> dict[str, int]:
        """See Engine."""
        try:
            return {"file_bytes": self.path.stat().st_size}
        except OSError:
            return {"file_bytes": 0}

    def renew_after_fork(self) -> None:
        """See Engine."""
        if self._database is not None:
            self._left.append(self._database)
        self._database = None
        self._turn = threading.Lock()
        self._opening = threading.Lock()

    def close(self) -> None:
        """See Engine."""
        with self._opening:
            self._is_closed = True
            if self._database is not None:
                self._database.close()

    def database(self) -> Database:
        """The open database."""
        database = self._database
        if database is not None:
            return database
        with self._opening:
            if self._is_closed:
                raise StoreError(f"cache {self.path} is closed: open it again")
            if self._database is None:
                self._database = self._open()
            return self._database

    def reopen(self) -> None:
        """Open the file that has taken the place of this one, or make a new one."""
        with self._opening:
            if self._database is not None and not self._is_closed:
                self._database.close()
                self._database = None

    def identity(self) -> FileIdentity | None:
        """Which file it is that has the path."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def _open(self) -> Database:
        return Database(self.path, self._timeout_seconds, _SCHEMA, "cache")


class SQLiteWatch:
    """Notices, read when the file has changed."""

    def __init__(self, engine: SQLiteEngine, namespace: str) -> None:
        self._engine = engine
        self._namespace = namespace
        self._database = engine.database()
        self._identity = engine.identity()
        self._token = self._database.token()  # before the number: what comes between is seen twice
        self._number = self._last_number()

    def wait(self, ended: threading.Event) -> list[str]:
        """See Watch."""
        ended.wait(_POLL_SECONDS)
        if self._engine.identity() != self._identity:
            self._engine.reopen()
            raise NoticesMissed(f"cache {self._engine.path} is another file than before")
        token = self._database.token()
        if token == self._token:
            return []
        self._token = token
        return self._new_notices()

    def close(self) -> None:
        """See Watch: the connection belongs to the database."""

    def _new_notices(self) -> list[str]:
        with self._database.reading() as connection:
            rows = connection.execute(_NEW_NOTICES, (self._number,)).fetchall()
            last = rows[-1][0] if rows else self._last(connection)
        if last != self._number + len(rows):
            raise NoticesMissed(f"cache {self._engine.path} was changed more than is noted")
        self._number = last
        return [notice for _, namespace, notice in rows if namespace == self._namespace]

    def _last_number(self) -> int:
        with self._database.reading() as connection:
            return self._last(connection)

    @staticmethod
    def _last(connection: sqlite3.Connection) -> int:
        row = connection.execute(_LAST_NOTICE).fetchone()
        return row[0] if row else 0
