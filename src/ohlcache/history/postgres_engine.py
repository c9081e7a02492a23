"""A candle store in PostgreSQL, which processes on many machines share.

Writers lock the series that they change, and the store's clock late, so that writers of other
series work side by side. Readers lock nothing. A commit announces itself to all processes, which is
how they know without asking that nothing has changed.

Sessions need connections that last: a pooler in front of the server has to pool whole sessions.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from weakref import WeakSet

import psycopg

from ohlcache.errors import InvalidArgument, StoreUnavailable
from ohlcache.history.engine import Session, Token
from ohlcache.history.postgres_listener import Listener
from ohlcache.history.postgres_schema import TABLES, Place, prepare
from ohlcache.history.postgres_session import NO_COMMIT, READ, WRITE, Commit, PostgresSession
from ohlcache.postgres import BoundedConnection, Pool, connect, explained, parameters
from ohlcache.urls import masked

_CONNECT_SECONDS = 10.0
_ANSWER_SECONDS = 10.0  # beyond the time that a statement may wait for locks

_OWN_NAMESPACE = "(SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = current_schema())"
_SIZE = (
    "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_catalog.pg_class "
    f"WHERE relnamespace = {_OWN_NAMESPACE} AND relkind = 'r' "
    "AND (relname = ANY(?) OR relispartition)"
)
_WRONG_PAGES = (
    "SELECT coalesce(checksum_failures, 0) FROM pg_catalog.pg_stat_database "
    "WHERE datname = current_database()"
)
_INVALID_INDEXES = (
    "SELECT relname FROM pg_catalog.pg_index JOIN pg_catalog.pg_class ON oid = indexrelid "
    f"WHERE NOT indisvalid AND relnamespace = {_OWN_NAMESPACE}"
)

# The last commit of this process, by database and store: a reader in the next line of the program
# must not depend on how fast announcements travel.
_own_commits: dict[tuple[str, ...], Commit] = {}
_own_lock = threading.Lock()
os.register_at_fork(
    before=_own_lock.acquire,
    after_in_parent=_own_lock.release,
    after_in_child=_own_lock.release,
)


class PostgresEngine:
    """One schema of one database, prepared where it holds no store."""

    def __init__(self, url: str, busy_seconds: float) -> None:
        """busy_seconds: how long to wait for other writers, and for a free connection.

        Raises InvalidArgument for a URL that cannot be used, StoreUnavailable, StoreForeign,
        StoreVersionUnsupported, StoreReadOnly or StoreError.
        """
        self.name = f"store {masked(url)}"
        try:
            self._parameters = parameters(url, _CONNECT_SECONDS)
        except ValueError as error:
            raise InvalidArgument(
                f"location {masked(url)!r} is not understood ({error}): give "
                "postgresql://user@host/database"
            ) from None
        self._answer_seconds = busy_seconds + _ANSWER_SECONDS
        self._settings = {"lock_timeout": f"{max(1, math.ceil(busy_seconds * 1000))}"}
        self.is_incomplete = False
        self._process = os.getpid()
        self._place: Place | None = None
        self._preparing = threading.Lock()
        self._pool = Pool(self._connect, busy_seconds + _CONNECT_SECONDS, self.name)
        place, database = self._prepared()
        self._channel = f"ohlcache_{place.identity}"
        self._own = (*database, place.identity)
        self._listener = Listener(self._connect, self._channel, self._own_commit, self._set_back)
        _opened.add(self)

    def token(self) -> Token:
        """See Engine; costs a microsecond, and a round trip while announcements are not heard.

        It is the last commit.
        """
        return self.token_at_hand() or self._asked()

    def token_at_hand(self) -> Token | None:
        """See Engine."""
        heard = self._listener.heard()
        own = self._own_commit()
        return heard if heard is None or heard.number >= own.number else own

    def token_of(self, session: Session, before: Token) -> Token:  # noqa: ARG002
        """See Engine: one connection may lead to a standby, another one to its primary."""
        assert isinstance(session, PostgresSession)
        return session.last_commit()

    @contextmanager
    def reading(self) -> Iterator[PostgresSession]:
        """See Engine."""
        with self._errors(), self._pool.taken() as connection:
            session = PostgresSession(connection)
            with session.transaction(READ):
                yield session

    def helping(self, session: Session, wanted: int) -> AbstractContextManager[Sequence[Session]]:
        """See Engine. A connection lets threads take turns; what takes long is to decode."""
        return nullcontext([session] * wanted)

    @contextmanager
    def writing(self) -> Iterator[PostgresSession]:
        """See Engine."""
        with self._errors(is_writing=True), self._pool.taken(may_wait=True) as connection:
            session = PostgresSession(connection)
            try:
                with session.transaction(WRITE):
                    yield session
                    if session.has_written:
                        session.announce(self._channel)
            except psycopg.OperationalError as error:
                if session.is_committing and connection.closed:
                    raise StoreUnavailable(
                        f"{self.name} was lost during a commit, which was done or not: write the "
                        "same again, which changes nothing if it was"
                    ) from error
                raise
            with _own_lock:
                _own_commits[self._own] = max(self._own_commit(), session.commit())

    def check(self) -> list[str]:
        """See Engine."""
        with self.reading() as session:
            invalid = session.rows(_INVALID_INDEXES)
            found = [f"index {name} is not valid: REINDEX it" for (name,) in invalid]
            ((wrong,),) = session.rows(_WRONG_PAGES)
        if wrong:
            found.append(f"PostgreSQL met {wrong} pages with a wrong checksum in this database")
        return found

    def size(self) -> int:
        """See Engine; indexes are included."""
        with self.reading() as session:
            ((size,),) = session.rows(_SIZE, sorted(TABLES))
        return int(size)

    def numbers(self) -> dict[str, int]:
        """See Engine."""
        return {"idle_connections": self._pool.idle, **self._listener.counters.snapshot()}

    def close(self) -> None:
        """See Engine."""
        if self._process == os.getpid():
            self._listener.close()
            self._pool.close()

    def _prepared(self) -> tuple[Place, tuple[str, ...]]:
        """Where the store is, by the first connection, and which database that leads to."""
        with self._errors(), self._pool.taken() as connection:
            info = connection.info
            place = self._place
        assert place is not None
        return place, (info.host, str(info.port), info.dbname)

    def _connect(self) -> BoundedConnection:
        connection = connect(self._parameters, self._answer_seconds, self._settings)
        try:
            with self._preparing:
                if self._place is None:
                    self._place = prepare(connection, self.name)
                else:
                    self._place.enter(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _asked(self) -> Commit:
        with self._errors(), self._pool.taken() as connection:
            return PostgresSession(connection).last_commit()

    def _own_commit(self) -> Commit:
        return _own_commits.get(self._own, NO_COMMIT)

    def _set_back(self, lost: Commit) -> None:
        """The database no longer knows of a commit: neither is it ours any more."""
        with _own_lock:
            if self._own_commit() == lost:
                del _own_commits[self._own]

    def renew_after_fork(self) -> None:
        """Begin anew in a child, which must not touch its parent's connections.

        Called before the child has a second thread.
        """
        self._process = os.getpid()
        self._preparing = threading.Lock()
        self._pool.renew_after_fork()
        self._listener.renew_after_fork()

    @contextmanager
    def _errors(self, *, is_writing: bool = False) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise explained(self.name, error, is_writing=is_writing) from error


_opened: WeakSet[PostgresEngine] = WeakSet()


def _renew_all() -> None:
    for engine in list(_opened):
        engine.renew_after_fork()


os.register_at_fork(after_in_child=_renew_all)
