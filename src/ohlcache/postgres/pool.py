"""Connections to one PostgreSQL: a few are kept, and what the server closed is replaced."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from ohlcache.errors import StoreError, StoreLocked
from ohlcache.postgres.connection import BoundedConnection

_MOST = 8
_MOST_THAT_MAY_WAIT = 6  # for locks; the others are left for those who wait for nobody

Result = TypeVar("Result")


class Pool:
    """At most eight connections; each is used by one thread at a time."""

    def __init__(
        self, connect: Callable[[], BoundedConnection], timeout_seconds: float, what: str
    ) -> None:
        """``what``: the name of their user in messages."""
        self._connect = connect
        self._timeout_seconds = timeout_seconds
        self._what = what
        self._left: list[BoundedConnection] = []  # of the parent process: closing would touch them
        self._is_closed = False
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._idle: list[BoundedConnection] = []
        self._free = threading.BoundedSemaphore(_MOST)
        self._may_wait = threading.BoundedSemaphore(_MOST_THAT_MAY_WAIT)

    def use(self, work: Callable[[BoundedConnection], Result]) -> Result:
        """Do ``work`` with a connection.

        It is done once more with a new one when the server had closed an idle one meanwhile, so
        ``work`` has to raise ConnectionLost only where nothing can have been changed.
        """
        try:
            with self._turn():
                try:
                    return self._attempt(work, self._idle_one())
                except ConnectionLost:
                    self.drop_idle()
                    return self._attempt(work, self._connect())
        except ConnectionLost as lost:
            raise lost.error from lost

    @contextmanager
    def taken(self, *, may_wait: bool = False) -> Iterator[BoundedConnection]:
        """A connection that the server has not closed, for what cannot be done a second time.

        ``may_wait``: whether it may come to wait for the locks of others. Those who may are never
        given all connections, however many they are.
        """
        with self._turn(may_wait=may_wait):
            connection = self._idle_one()
            if connection.was_cut:
                connection.close()
                self.drop_idle()  # what ended one has ended all
                connection = self._connect()
            try:
                yield connection
            finally:
                self._give_back(connection)

    def drop_idle(self) -> None:
        """Close the connections that nobody uses."""
        while self._idle:
            self._idle.pop().close()

    @property
    def idle(self) -> int:
        """How many connections nobody uses."""
        return len(self._idle)

    def close(self) -> None:
        """Close the idle connections, and each of the others when its work is done."""
        self._is_closed = True
        self.drop_idle()

    def renew_after_fork(self) -> None:
        """Leave the parent's connections alone."""
        self._left += self._idle
        self._begin_anew()

    @contextmanager
    def _turn(self, *, may_wait: bool = False) -> Iterator[None]:
        deadline = time.monotonic() + self._timeout_seconds
        slots = [(self._free, f"all {_MOST} connections of {self._what} are in use")]
        if may_wait:
            waiting = f"all {_MOST_THAT_MAY_WAIT} connections that {self._what} keeps for writers"
            slots.insert(0, (self._may_wait, f"{waiting} are in use"))
        with ExitStack() as held:
            for slot, what in slots:
                if not slot.acquire(timeout=max(0.0, deadline - time.monotonic())):
                    raise StoreLocked(f"{what}: try again later")
                held.callback(slot.release)
            yield

    def _idle_one(self) -> BoundedConnection:
        if self._is_closed:
            raise StoreError(f"{self._what} is closed: open it again")
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = None
        return connection or self._connect()

    def _attempt(
        self, work: Callable[[BoundedConnection], Result], connection: BoundedConnection
    ) -> Result:
        try:
            return work(connection)
        finally:
            self._give_back(connection)

    def _give_back(self, connection: BoundedConnection) -> None:
        if connection.pgconn.transaction_status == TransactionStatus.IDLE and not self._is_closed:
            self._idle.append(connection)
        else:
            connection.close()


class ConnectionLost(Exception):
    """The connection was closed by the server before anything was changed."""

    def __init__(self, error: psycopg.OperationalError) -> None:
        super().__init__(str(error))
        self.error = error
