"""Hearing of what other processes change: a thread with a connection of its own.

The connection speaks RESP3 where the server does, so that messages and the server's own
invalidations (``CLIENT TRACKING`` in broadcasting mode) arrive on it in the order of events. When
it is silent for a second the server is asked whether it is there, so that a connection whose other
end has vanished is noticed.
"""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import redis
from redis.connection import AbstractConnection

from ohlcache.cache.redis.backplane import Backplane
from ohlcache.cache.redis.counts import Counts
from ohlcache.cache.redis.keys import Layout
from ohlcache.cache.redis.location import Location
from ohlcache.cache.redis.topology import Topology

_IDLE_SECONDS = 1.0  # of silence until the server is asked, and until it has to answer
_PAUSE, _LONGEST_PAUSE = 0.05, 1.0  # between attempts to connect


class Listener:
    """Keeps a subscription alive and hands what arrives to a backplane."""

    def __init__(
        self,
        location: Location,
        topology: Topology,
        layout: Layout,
        backplane: Backplane,
        counts: Counts,
    ) -> None:
        self._location, self._topology, self._layout = location, topology, layout
        self._backplane, self._counts = backplane, counts
        self._closing = threading.Event()
        self._connection: AbstractConnection | None = None
        self._thread = threading.Thread(target=self._run, name="ohlcache-redis-listen", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        connection = self._connection
        if connection is not None:
            connection.disconnect()  # type: ignore[no-untyped-call]  # wakes the thread
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        pause = _PAUSE
        while not self._closing.is_set():
            began = time.monotonic()
            try:
                self._listen()
            except Exception as error:  # noqa: BLE001  # deaf for ever would be worse
                self._lament(error)
            if time.monotonic() - began > _LONGEST_PAUSE:
                pause = _PAUSE
            self._closing.wait(pause * random.uniform(0.75, 1.25))
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _lament(self, error: Exception) -> None:
        if self._closing.is_set():
            return
        self._backplane.disconnected()
        self._topology.forget()
        self._counts.error(error)
        self._counts.add(reconnects=1)

    def _listen(self) -> None:
        """Subscribe and hand on what arrives. Returns when closing; raises what goes wrong."""
        connection = self._connected()
        self._connection = connection
        try:
            self._subscribe(connection)
            self._backplane.connected()
            while not self._closing.is_set():
                if not _has_news(connection):
                    connection.send_command("PING")  # type: ignore[no-untyped-call]
                    if not _has_news(connection):
                        raise redis.TimeoutError("the server is silent")
                self._take(_received(connection))
        finally:
            self._connection = None
            connection.disconnect()  # type: ignore[no-untyped-call]

    def _connected(self) -> AbstractConnection:
        address = self._topology.find(0)
        connection = self._location.connection(address, _IDLE_SECONDS, protocol=3)
        try:
            connection.connect()  # type: ignore[no-untyped-call]
        except redis.ResponseError:  # before Redis 6 there was no RESP3
            connection = self._location.connection(address, _IDLE_SECONDS, protocol=2)
            connection.connect()  # type: ignore[no-untyped-call]
        return connection

    def _subscribe(self, connection: AbstractConnection) -> None:
        if connection.protocol == 3:
            parser: Any = connection._get_parser()
            parser.set_invalidation_push_handler(lambda push: push)
            if self._location.kind != "cluster":
                self._track(connection)
        connection.send_command("SUBSCRIBE", self._layout.channel)  # type: ignore[no-untyped-call]
        while (reply := _received(connection))[0] != b"subscribe":
            self._take(reply)

    def _track(self, connection: AbstractConnection) -> None:
        words = [word for prefix in self._layout.data_prefixes for word in ("PREFIX", prefix)]
        connection.send_command("CLIENT", "TRACKING", "ON", "BCAST", *words)  # type: ignore[no-untyped-call]
        try:
            while isinstance(_received(connection), list):
                pass  # what is pushed before the subscription is told as lost anyway
        except redis.ResponseError as error:  # forbidden, or a proxy that does not know it
            self._counts.error(error)

    def _take(self, push: object) -> None:
        if not isinstance(push, list):  # the answer to PING
            return
        if push[0] == b"message":
            self._backplane.message(push[2])
        elif push[0] == b"invalidate":
            self._backplane.invalidated(push[1])


def _has_news(connection: AbstractConnection) -> bool:
    return connection.can_read(_IDLE_SECONDS)


def _received(connection: AbstractConnection) -> Any:
    return connection.read_response(push_request=True)
