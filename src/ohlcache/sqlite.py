"""A SQLite database of ours: opening, identity, schema, connections and errors.

Write-ahead logging lets readers and one writer work at once, in any number of processes. A commit
is atomic under a killed process; with ``synchronous=NORMAL`` a power cut may lose the newest
commits but never tears one.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from weakref import WeakSet

from ohlcache.errors import (
    StoreDamaged,
    StoreError,
    StoreForeign,
    StoreFull,
    StoreLocked,
    StoreReadOnly,
    StoreVersionUnsupported,
)

_PAGE_SIZE = 4096
_PAUSE_SECONDS = 0.002  # before a lock that SQLite does not wait for is asked for again
_CHECKPOINT_PAGES = 8192  # 32 MB of log before it is moved into the database

_BY_CODE: dict[int, tuple[type[StoreError], str]] = {
    sqlite3.SQLITE_BUSY: (StoreLocked, "is locked by another process: try again when it is done"),
    sqlite3.SQLITE_LOCKED: (StoreLocked, "is locked by another process: try again later"),
    sqlite3.SQLITE_READONLY: (StoreReadOnly, "cannot be written: check owner and permissions"),
    sqlite3.SQLITE_PERM: (StoreReadOnly, "may not be opened: check owner and permissions"),
    sqlite3.SQLITE_FULL: (StoreFull, "has no room left on its disk: free some space"),
    sqlite3.SQLITE_NOTADB: (StoreForeign, "is not a SQLite database: choose another location"),
    sqlite3.SQLITE_CANTOPEN: (StoreError, "cannot be opened: check the path and permissions"),
    sqlite3.SQLITE_IOERR: (StoreError, "met a disk error: check the disk"),
}


Token = tuple[int, int]


class Schema(NamedTuple):
    """What a database of ours looks like, and how to tell it from others.

    readable_from: the oldest version that can be read.
    statements: SQL, each statement ended by ";\\n".
    if_damaged, if_older: the remedy for a damaged file, and for one of an older version.
    gives_space_back: whether ``PRAGMA incremental_vacuum`` shall work.
    """

    application_id: int
    version: int
    readable_from: int
    statements: str
    if_damaged: str
    if_older: str
    gives_space_back: bool = False


class Database:
    """One SQLite file: connections for many readers, one writer, and one that watches changes."""

    def __init__(
        self, path: Path, busy_seconds: float, schema: Schema, what: str = "store"
    ) -> None:
        """Open ``path``, creating it where it does not exist.

        busy_seconds: how long to wait for another process that keeps the file locked.
        what: the name of it in messages.

        Raises StoreForeign, StoreVersionUnsupported, StoreLocked, StoreReadOnly or StoreError.
        """
        self.path = path
        self._busy_seconds = busy_seconds
        self._schema = schema
        self._name = f"{what} {path}"
        self._uri_options = ""
        self._write_lock = threading.RLock()
        self._watch_lock = threading.Lock()  # a connection must not be closed while it is used
        self._process = os.getpid()
        self._generation = 0  # of connections: their versions cannot be compared with others'
        self._is_closed = False
        self._unwatched: tuple[int, int, bool] | None = None  # a file that SQLite does not watch
        self._idle: list[sqlite3.Connection] = []
        self._writer: sqlite3.Connection | None = None
        self._left: object = None
        _opened.add(self)
        with self._errors():
            self._watcher = self._open_first()

    def token(self) -> Token:
        """Differs from an earlier one whenever anyone, in any process, committed a change."""
        self._check_process()
        if self._unwatched is not None:
            self._look_again()
        with self._watch_lock:
            self._check_open()
            try:
                version: int = self._watcher.execute("PRAGMA data_version").fetchone()[0]
            except sqlite3.Error as error:
                raise self._explained(error) from error
        return self._generation, version

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection inside a read transaction: all that it reads is of one moment."""
        self._check_process()
        with self._errors():
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = self._connect()
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("COMMIT")
                self._idle.append(connection)
                if self._is_closed:
                    self._close_idle()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The writing connection inside a transaction: all is committed, or on error nothing."""
        self._check_process()
        with self._write_lock, self._errors():
            self._check_open()
            connection = self._writing_connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def give_space_back(self, pages: int) -> None:
        """Shorten the file by at most so many pages that removed rows left behind."""
        self._check_process()
        with self._write_lock, self._errors():
            self._check_open()
            # Only this steps through the whole statement, which has rows but no columns.
            self._writing_connection().executescript(f"PRAGMA incremental_vacuum({pages})")

    def check(self) -> list[str]:
        """What SQLite itself finds wrong in the file; empty when it is sound."""
        with self.reading() as connection:
            found = [row[0] for row in connection.execute("PRAGMA integrity_check(20)")]
        return [] if found == ["ok"] else found

    def close(self) -> None:
        """Close every connection; the log is moved into the database file.

        A connection that somebody reads with is closed when they are done.
        """
        if self._process != os.getpid():
            return
        with self._write_lock, self._watch_lock:
            self._is_closed = True
            self._close_idle()
            if self._writer is not None:
                self._writer.close()
                self._writer = None
            self._watcher.close()

    def _close_idle(self) -> None:
        with suppress(IndexError):  # until none is left, whoever else takes them too
            while True:
                self._idle.pop().close()

    # -- opening --------------------------------------------------------------------------------

    def _open_first(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return self._connect_checked()
        except (FileExistsError, NotADirectoryError) as error:
            raise StoreError(f"{self._name} lies below a file, not a folder") from error
        except PermissionError as error:
            raise StoreReadOnly(f"{self._name} cannot be created: {error.strerror}") from error
        except sqlite3.OperationalError as error:
            if not self.path.exists() or error.sqlite_errorcode & 0xFF not in (
                sqlite3.SQLITE_READONLY,
                sqlite3.SQLITE_CANTOPEN,
            ):
                raise
            return self._open_read_only()

    def _open_read_only(self) -> sqlite3.Connection:
        """Read what cannot be written: a file on a read-only medium, or of another owner."""
        log = self.path.with_name(self.path.name + "-wal")
        if log.exists() and log.stat().st_size:
            raise StoreReadOnly(
                f"{self._name} has a log that cannot be replayed read-only: open it once "
                "where it can be written"
            )
        # Without a log nobody is writing, so SQLite may skip the locks that need a writable folder.
        # It then does not notice writers either, so every token looks at the file.
        self._uri_options = "?mode=ro&immutable=1"
        self._unwatched = self._look()
        return self._connect_checked()

    def _look(self) -> tuple[int, int, bool]:
        file = self.path.stat()
        return file.st_mtime_ns, file.st_size, self.path.with_name(f"{self.path.name}-wal").exists()

    def _look_again(self) -> None:
        """Open a read-only file anew when somebody else has written to it."""
        seen = self._look()
        if seen == self._unwatched:
            return
        with self._write_lock, self._errors():
            self._open_read_only().close()
            self._renew_connections()

    def _connect_checked(self) -> sqlite3.Connection:
        connection = self._connect()
        try:
            self._identify(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}{self._uri_options}",
            uri=True,
            timeout=self._busy_seconds,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=64,
        )
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        return connection

    def _identify(self, connection: sqlite3.Connection) -> None:
        if self._is_blank(connection) and not self._uri_options:
            connection.execute(f"PRAGMA page_size = {_PAGE_SIZE}")
            if self._schema.gives_space_back:
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            self._keep_a_log(connection)
            connection.execute("BEGIN IMMEDIATE")
            # Another process may have created the schema while this one waited for the lock.
            if self._is_blank(connection):
                for statement in self._schema.statements.split(";\n"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {self._schema.application_id}")
                connection.execute(f"PRAGMA user_version = {self._schema.version}")
            connection.execute("COMMIT")
        if connection.execute("PRAGMA application_id").fetchone()[0] != self._schema.application_id:
            raise StoreForeign(
                f"{self._name} is a database of another program: choose another location"
            )
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if not self._schema.readable_from <= version <= self._schema.version:
            remedy = "upgrade ohlcache" if version > self._schema.version else self._schema.if_older
            raise StoreVersionUnsupported(
                f"{self._name} has version {version}, this ohlcache reads version "
                f"{self._schema.version}: {remedy}"
            )

    def _keep_a_log(self, connection: sqlite3.Connection) -> None:
        """Switch a new file to a write-ahead log.

        SQLite does not wait where two do so at once, since both may read what the other is to
        change: https://www.sqlite.org/c3ref/busy_handler.html. So it is asked again.
        """
        until = time.monotonic() + self._busy_seconds
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise
                time.sleep(_PAUSE_SECONDS)
            else:
                return

    @staticmethod
    def _is_blank(connection: sqlite3.Connection) -> bool:
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        marks = (
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("application_id", "user_version")
        )
        return not tables and not any(marks)

    def _writing_connection(self) -> sqlite3.Connection:
        if self._writer is None:
            self._writer = self._connect()
        return self._writer

    # -- processes and errors -------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._is_closed:
            raise StoreError(f"{self._name} is closed: open it again")

    def _check_process(self) -> None:
        """Connect the watcher of a forked child, once."""
        self._check_open()
        if self._process != os.getpid():
            with self._write_lock, self._errors():
                if self._process != os.getpid():
                    self._watcher = self._connect()
                    self._process = os.getpid()

    def leave_to_parent(self) -> None:
        """Begin anew in a forked child, before it has a second thread.

        It must not touch its parent's connections: SQLite forbids it.
        """
        self._write_lock = threading.RLock()
        self._watch_lock = threading.Lock()
        self._leave_connections()

    def _renew_connections(self) -> None:
        self._leave_connections()
        self._watcher = self._connect()

    def _leave_connections(self) -> None:
        # Kept, since closing would touch them.
        self._left = (self._left, self._idle, self._writer, self._watcher)
        self._idle, self._writer = [], None
        self._generation += 1

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._explained(error) from error

    def _explained(self, error: sqlite3.Error) -> StoreError:
        code = getattr(error, "sqlite_errorcode", None)
        if code is None:
            return StoreError(f"{self._name} is closed or misused: {error}")
        if code & 0xFF == sqlite3.SQLITE_CORRUPT:
            return StoreDamaged(f"{self._name} is damaged: {self._schema.if_damaged}")
        kind, remedy = _BY_CODE.get(code & 0xFF, (StoreError, f"failed: {error}"))
        return kind(f"{self._name} {remedy}")


_opened: WeakSet[Database] = WeakSet()


def _leave_all_to_parent() -> None:
    for database in list(_opened):
        database.leave_to_parent()


os.register_at_fork(after_in_child=_leave_all_to_parent)
