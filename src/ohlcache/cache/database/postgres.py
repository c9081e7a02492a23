"""PostgreSQL under the tier: a server that the processes of many machines share.

A read is one round trip; a change takes three, in pipeline mode. Others' changes come by NOTIFY,
which is sent when the transaction that made them is committed.
"""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from typing import Any

import psycopg

from ohlcache.cache.database import tables
from ohlcache.cache.database.engine import Result, Row
from ohlcache.cache.database.location import refused
from ohlcache.errors import StoreError
from ohlcache.postgres import BoundedConnection, ConnectionLost, Pool, connect, parameters

_LISTEN_SECONDS = 0.1  # until the thread looks whether it is to end
_SLACK_SECONDS = 1.0  # for the server's own timeout to come first, which keeps the connection
_SETTINGS = {
    # The server commits without waiting for its disk: what a crash of the server takes away is
    # loaded again. A statement that waited for a lock must see what was committed meanwhile.
    "synchronous_commit": "off",
    "default_transaction_isolation": "read committed",
}
_CREATION_LOCK = int.from_bytes(b"ohlcache")

_NOTIFY = "SELECT pg_notify(?, notice) FROM unnest(?::text[]) AS notice"
_SCHEMA = "SELECT current_schema()"
# Not to_regclass(): it may answer from what the connection remembers.
_HAS_TABLE = (
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_tables "
    "WHERE schemaname = current_schema() AND tablename = %s)"
)
_LAST_TABLE = "ohlcache1_versions"  # of those that are created together
_LOCK_CREATION = "SELECT pg_advisory_xact_lock(%s)"


@lru_cache(maxsize=256)
def _translated(sql: str) -> str:
    return sql.replace("?", "%s")


class PostgresSession:
    """A connection, inside a transaction or not."""

    ROW_LOCK = " FOR UPDATE"
    NOW = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
    BYTES = "BYTEA"

    def __init__(self, connection: BoundedConnection, channel: str) -> None:
        self._connection = connection
        self._channel = channel

    def rows(self, sql: str, *parameters: Any) -> list[Row]:
        """See Session."""
        cursor = self._connection.execute(_translated(sql), parameters, binary=True)
        return cursor.fetchall()

    def rows_of(self, sql: str, keys: Collection[bytes], *parameters: Any) -> list[Row]:
        """See Session."""
        if len(keys) == 1:  # the usual case, and a list is slow to pass
            return self.rows(sql + " = ?", *parameters, *keys)
        return self.rows(sql + " = ANY(?)", *parameters, list(keys))

    def run(self, sql: str, *parameters: Any) -> None:
        """See Session."""
        self._connection.execute(_translated(sql), parameters)

    def run_of(self, sql: str, keys: Collection[bytes], *parameters: Any) -> None:
        """See Session."""
        self.run(sql + " = ANY(?)", *parameters, list(keys))

    def run_each(self, sql: str, rows: Sequence[Row]) -> None:
        """See Session."""
        with self._connection.cursor() as cursor:
            cursor.executemany(_translated(sql), rows)

    def has_table(self, name: str) -> bool:
        """See Session."""
        return _has_table(self._connection, name)

    def create(self, sql: str) -> None:
        """See Session. Two processes that create a table at once would disturb each other."""
        self._connection.execute(_LOCK_CREATION, (_CREATION_LOCK,))
        self._connection.execute(sql)

    def announce(self, notices: Sequence[str]) -> None:
        """See Session."""
        self.run(_NOTIFY, self._channel, list(notices))


class PostgresEngine:
    """One database; connected to when it is first used."""

    # Not OperationalError: a connection that was lost may have been lost after the commit.
    refusals: tuple[type[BaseException], ...] = (
        psycopg.DataError,
        psycopg.IntegrityError,
        psycopg.InternalError,
        psycopg.NotSupportedError,
        psycopg.ProgrammingError,
    )

    def __init__(self, url: str, namespace: str, timeout_seconds: float) -> None:
        """Raises InvalidArgument for a URL that PostgreSQL does not understand."""
        try:
            self._parameters = parameters(url, timeout_seconds)
        except ValueError as error:
            raise refused(url, f"is not understood ({error})") from None
        self._namespace = namespace
        self._timeout_seconds = timeout_seconds
        self._channel = ""
        self._preparing = threading.Lock()
        limit = f"{math.ceil(timeout_seconds * 1000)}"
        self._settings = {**_SETTINGS, "statement_timeout": limit, "lock_timeout": limit}
        self._pool = Pool(self._connect, timeout_seconds, "the cache's database tier")

    def read(self, work: Callable[[PostgresSession], Result]) -> Result:
        """See Engine. For one statement: there is no transaction around it."""

        def attempt(connection: BoundedConnection) -> Result:
            try:
                return work(PostgresSession(connection, self._channel))
            except psycopg.OperationalError as error:
                raise _lost(connection, error) from error
            except psycopg.errors.UndefinedTable:
                self._forget_tables(connection)
                raise

        return self._pool.use(attempt)

    def change(self, work: Callable[[PostgresSession], Result]) -> Result:
        """See Engine."""

        def attempt(connection: BoundedConnection) -> Result:
            is_committing = False
            try:
                with connection.pipeline():
                    connection.execute("BEGIN")
                    result = work(PostgresSession(connection, self._channel))
                    is_committing = True
                    connection.execute("COMMIT")
            except psycopg.OperationalError as error:
                _roll_back(connection)
                if is_committing:  # it may have been done, and must not be done twice
                    raise
                raise _lost(connection, error) from error
            except psycopg.errors.UndefinedTable:
                self._forget_tables(connection)
                raise
            except BaseException:
                _roll_back(connection)
                raise
            return result

        return self._pool.use(attempt)

    def watch(self) -> PostgresWatch:
        """See Engine."""
        return PostgresWatch(self._connect(), self._channel, self._timeout_seconds)

    def give_space_back(self) -> None:
        """See Engine: autovacuum does it."""

    def numbers(self) -> dict[str, int]:
        """See Engine."""
        return {"idle_connections": self._pool.idle}

    def renew_after_fork(self) -> None:
        """See Engine."""
        self._preparing = threading.Lock()
        self._pool.renew_after_fork()

    def close(self) -> None:
        """See Engine."""
        self._pool.close()

    def _connect(self) -> BoundedConnection:
        answer_seconds = self._timeout_seconds + _SLACK_SECONDS
        connection = connect(self._parameters, answer_seconds, self._settings)
        try:
            with self._preparing:
                if not self._channel:
                    self._channel = self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _forget_tables(self, connection: BoundedConnection) -> None:
        """Somebody has dropped them: the next connection creates them again."""
        self._channel = ""
        connection.close()
        self._pool.drop_idle()

    def _prepare(self, connection: BoundedConnection) -> str:
        """Create the tables where they are missing; the channel of this namespace."""
        (schema,) = connection.execute(_SCHEMA).fetchone() or (None,)
        if schema is None:
            raise StoreError(
                "cache.l3.url leads to no schema that may be used: create one, or add "
                "?options=-csearch_path%3Dname"
            )
        if not _has_table(connection, _LAST_TABLE):
            with connection.transaction():
                connection.execute(_LOCK_CREATION, (_CREATION_LOCK,))
                # Another process may have created them while this one waited for the lock; its
                # locks and those of creating them again would be a deadlock.
                if not _has_table(connection, _LAST_TABLE):
                    connection.execute(tables.POSTGRES)
        place = f"{schema}\0{self._namespace}".encode()
        return f"ohlcache_{hashlib.blake2b(place, digest_size=16).hexdigest()}"


class PostgresWatch:
    """A connection that listens."""

    def __init__(self, connection: BoundedConnection, channel: str, timeout_seconds: float) -> None:
        self._connection = connection
        self._heartbeat_seconds = timeout_seconds
        self._next_heartbeat = time.monotonic() + timeout_seconds
        try:
            connection.execute(f'LISTEN "{channel}"')
        except BaseException:
            connection.close()
            raise

    def wait(self, ended: threading.Event) -> list[str]:  # noqa: ARG002  # it returns soon
        """See Watch."""
        if time.monotonic() >= self._next_heartbeat:
            self._connection.execute("")  # a server that vanished does not end the connection
            self._next_heartbeat = time.monotonic() + self._heartbeat_seconds
        heard = self._connection.notifies(timeout=_LISTEN_SECONDS, stop_after=1)
        return [notice.payload for notice in heard]

    def close(self) -> None:
        """See Watch."""
        self._connection.close()


def _has_table(connection: BoundedConnection, name: str) -> bool:
    return connection.execute(_HAS_TABLE, (name,)).fetchone() == (True,)


def _lost(connection: BoundedConnection, error: psycopg.OperationalError) -> Exception:
    return ConnectionLost(error) if connection.closed else error


def _roll_back(connection: BoundedConnection) -> None:
    """Make the connection usable again, unless it is broken."""
    if not connection.closed:
        try:
            connection.rollback()
        except psycopg.Error:
            connection.close()
