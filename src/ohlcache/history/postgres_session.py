"""A transaction in PostgreSQL.

Statements go in one stream (libpq's pipeline mode) and wait only where an answer is needed to go
on. Chunks come in by COPY.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import Any, Final, NamedTuple

import psycopg

from ohlcache.history.engine import Row
from ohlcache.history.lineage import drawn_mark
from ohlcache.postgres import BoundedConnection

READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
WRITE = "BEGIN ISOLATION LEVEL READ COMMITTED"  # what it waited for, it then sees

_MOST_BY_INSERT = 2  # rows; COPY takes two round trips more
_CHUNK_TYPES = ["int8"] * 7 + ["bytea"]
_COPY_CHUNKS = "COPY chunk FROM STDIN (FORMAT BINARY)"
_FORGET_CHUNKS = (
    "DELETE FROM chunk WHERE series = ? AND (start, layer) IN "
    "(SELECT * FROM unnest(?::bigint[], ?::bigint[]))"
)
_PUT_CHUNK = (
    "INSERT INTO chunk VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (series, start, layer) "
    "DO UPDATE SET first = excluded.first, last = excluded.last, rows = excluded.rows, "
    "revision = excluded.revision, data = excluded.data"
)
# Last in every transaction that writes, so that its lock is held for as long as a commit takes.
_ANNOUNCE = (
    "WITH counted AS (UPDATE ohlcache_store SET commits = commits + 1, mark = ? "
    "RETURNING commits, mark) "
    "SELECT commits, mark, pg_notify(?, commits || ' ' || mark) FROM counted"
)
_LAST_COMMIT = "SELECT commits, mark FROM ohlcache_store"
_LOCK_NAME = "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || ' ' || ?, 0))"


@lru_cache(maxsize=256)
def _translated(sql: str) -> str:
    return sql.replace("%", "%%").replace("?", "%s")


def _fetched(cursor: psycopg.Cursor[Any]) -> Iterator[Row]:
    yield from cursor.fetchall()


class Commit(NamedTuple):
    """A commit by its number and the mark that was drawn for it."""

    number: int
    mark: int

    @staticmethod
    def of(payload: str) -> Commit:
        """That of an announcement."""
        number, mark = payload.split()
        return Commit(int(number), int(mark))


NO_COMMIT: Final = Commit(-1, 0)


class PostgresSession:
    """A connection inside a transaction."""

    # Weaker than FOR UPDATE: it lets others insert rows that refer to the locked one.
    ROW_LOCK = " FOR NO KEY UPDATE"
    NOW = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"

    def __init__(self, connection: BoundedConnection) -> None:
        self._connection = connection
        self._pipeline = ExitStack()
        self._announced: psycopg.Cursor[Any] | None = None
        self.has_written = False
        self.is_committing = False

    @contextmanager
    def transaction(self, begin: str) -> Iterator[None]:
        """All is committed at the end, or on error nothing; every error shows at the latest then.

        Raises psycopg's errors.
        """
        try:
            with self._pipeline:
                self._run_ahead()
                self._connection.execute(begin)
                yield
                self.is_committing = True
                self._connection.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def rows(self, sql: str, *parameters: Any) -> Iterator[Row]:
        """See Session. It is asked for at once, and waited for when the first row is taken."""
        return _fetched(self._connection.execute(_translated(sql), parameters, binary=True))

    def run(self, sql: str, *parameters: Any) -> None:
        """See Session."""
        self.has_written = True
        self._connection.execute(_translated(sql), parameters)

    def run_each(self, sql: str, rows: Iterable[Row]) -> None:
        """See Session."""
        every = list(rows)
        if every:
            self.has_written = True
            with self._connection.cursor() as cursor:
                cursor.executemany(_translated(sql), every)

    def lock(self, name: str) -> None:
        """See Session."""
        self._connection.execute(_translated(_LOCK_NAME), (name,))

    def put_chunks(self, rows: Sequence[Row]) -> None:
        """See Session."""
        if len(rows) <= _MOST_BY_INSERT:
            self.run_each(_PUT_CHUNK, rows)
            return
        # Into the table itself, which takes half the time of a temporary one and a merge. That
        # nobody else puts the same chunks meanwhile is what the lock of the series is for.
        series, starts, layers = (list(column) for column in list(zip(*rows, strict=True))[:3])
        self.run(_FORGET_CHUNKS, series[0], starts, layers)
        self._pipeline.close()  # which cannot hold a COPY
        with self._connection.cursor() as cursor, cursor.copy(_COPY_CHUNKS) as copy:
            copy.set_types(_CHUNK_TYPES)
            for row in rows:
                copy.write_row(row)
        self._run_ahead()

    def announce(self, channel: str) -> None:
        """Count this transaction among the store's commits, and have every process hear of it."""
        parameters = (drawn_mark(), channel)
        self._announced = self._connection.execute(_translated(_ANNOUNCE), parameters)

    def commit(self) -> Commit:
        """The commit, after it; NO_COMMIT where none was announced."""
        row = None if self._announced is None else self._announced.fetchone()
        return NO_COMMIT if row is None else Commit(*row[:2])

    def last_commit(self) -> Commit:
        """The last commit of those that are seen here."""
        return Commit(*next(self.rows(_LAST_COMMIT)))

    def _run_ahead(self) -> None:
        self._pipeline.enter_context(self._connection.pipeline())

    def _roll_back(self) -> None:
        """Make the connection usable again, unless it is broken."""
        if not self._connection.closed:
            try:
                self._connection.rollback()
            except psycopg.Error:
                self._connection.close()
