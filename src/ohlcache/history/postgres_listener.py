"""Knowing at once that somebody changed a store in PostgreSQL, without asking at every read.

A connection of its own listens for what each commit announces. What it has heard counts only while
the server answered it lately: a server that vanished without a word does not end a connection.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Callable

import psycopg

from ohlcache.background import Background
from ohlcache.history.postgres_session import NO_COMMIT, Commit, PostgresSession
from ohlcache.postgres import BoundedConnection
from ohlcache.telemetry import Counters

_QUESTIONS_WORTH_LISTENING = 16  # a connection costs more than the few of a short program
_HEARTBEAT_SECONDS = 0.5
_LEASE_SECONDS = 2.0  # for so long an answer of the server vouches for what was heard
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0  # seconds before the next attempt to connect
_JOIN_SECONDS = 5.0


class Listener:
    """Knows the number of a store's commits; begins when it was asked a few times."""

    def __init__(
        self,
        connect: Callable[[], BoundedConnection],
        channel: str,
        own: Callable[[], Commit],
        set_back: Callable[[Commit], None],
    ) -> None:
        """``own`` gives the last commit of this process.

        set_back: told of the last commit known, heard of or own, when the database turns out to
            lack it, as after a failover or a restore.
        """
        self.counters = Counters()
        self._connect = connect
        self._channel = channel
        self._own = own
        self._set_back = set_back
        self._unanswered = 0
        self._pause = _FIRST_PAUSE
        self._background = Background("ohlcache-listen", self._run)
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._heard = NO_COMMIT
        self._live_until = 0.0
        self._woken, self._waker = socket.socketpair()

    def heard(self) -> Commit | None:
        """The last commit; None while that is not known."""
        if time.monotonic() < self._live_until:
            return self._heard
        self._unanswered += 1
        if self._unanswered >= _QUESTIONS_WORTH_LISTENING:
            self._background.start()
        return None

    def renew_after_fork(self) -> None:
        """Begin again; the parent's connection is left alone."""
        self._begin_anew()
        self._background.renew_after_fork()

    def close(self) -> None:
        """End the thread and its connection."""
        self._waker.close()
        self._background.end(_JOIN_SECONDS)
        self._woken.close()

    # -- on the thread --------------------------------------------------------------------------

    def _run(self, ended: threading.Event) -> None:
        while not ended.is_set():
            try:
                self._listen(ended)
            except (psycopg.Error, OSError, ValueError) as error:
                self.counters.count(f"listen_errors.{type(error).__name__}")
                ended.wait(self._pause)
                self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def _listen(self, ended: threading.Event) -> None:
        connection = self._connect()
        try:
            connection.answer_seconds = _LEASE_SECONDS
            connection.add_notify_handler(lambda notify: self._hear(Commit.of(notify.payload)))
            connection.execute(f'LISTEN "{self._channel}"')
            self._ask(connection)  # after it: commits from here on are heard
            self._pause = _FIRST_PAUSE
            with selectors.DefaultSelector() as selector:
                selector.register(connection.fileno(), selectors.EVENT_READ)
                selector.register(self._woken, selectors.EVENT_READ)
                while not ended.is_set():
                    self._wait(connection, selector)
        finally:
            self._live_until = 0.0
            connection.close()

    def _wait(self, connection: BoundedConnection, selector: selectors.BaseSelector) -> None:
        """Take what is announced, for the time between two heartbeats."""
        next_heartbeat = time.monotonic() + _HEARTBEAT_SECONDS
        while (left := next_heartbeat - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                if key.fileobj is self._woken:
                    return
                connection.pgconn.consume_input()
                while notify := connection.pgconn.notifies():
                    self._hear(Commit.of(notify.extra.decode()))
        self._ask(connection)

    def _ask(self, connection: BoundedConnection) -> None:
        """What is the last commit; it cannot be an earlier one than was known before."""
        asked = time.monotonic()
        known = max(self._heard, self._own())
        last = PostgresSession(connection).last_commit()
        if last.number < known.number or (last.number == known.number and last != known):
            self._heard = last
            self._set_back(known)
            self.counters.count("set_back")
        self._hear(last)
        self._live_until = asked + _LEASE_SECONDS

    def _hear(self, commit: Commit) -> None:
        if commit.number > self._heard.number:
            self._heard = commit
