"""The door for threads: each thread has a connection of its own to each server that it needs.

No pool is asked and no lock is taken for a request. A connection that failed in any way other than
an error reply is closed, so that none with an unread reply is ever used again.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any
from weakref import WeakSet

import redis
from redis.connection import AbstractConnection

from ohlcache.cache.redis.conversation import (
    CLOSED,
    LARGE_BYTES,
    Command,
    ConnectionBroken,
    Lane,
    Reply,
    conversation,
    digestion_seconds,
    packed,
)
from ohlcache.cache.redis.counts import Counts
from ohlcache.cache.redis.location import Address, Location
from ohlcache.cache.redis.topology import Topology


class ThreadDoor:
    """Carries requests out, blocking the calling thread."""

    def __init__(
        self, location: Location, topology: Topology, timeout: float, counts: Counts
    ) -> None:
        self._location, self._topology, self._timeout = location, topology, timeout
        self._counts = counts
        self._mine = threading.local()
        self._all: WeakSet[AbstractConnection] = WeakSet()
        self._lock = threading.Lock()
        self._is_closed = False

    def carry(self, lane: Lane, items: Sequence[Any]) -> list[Reply]:
        """The reply to each item. Raises redis.RedisError."""
        self._counts.batch(lane, len(items), 1)
        talk = conversation(lane, items, self._topology)
        try:
            commands = next(talk)
            while True:
                try:
                    replies = self._exchange(lane, commands)
                except redis.RedisError as error:
                    commands = talk.throw(error)
                else:
                    commands = talk.send(replies)
        except StopIteration as stop:
            found: list[Reply] = stop.value
            return found

    def close(self) -> None:
        """Close the connections of all threads."""
        with self._lock:
            self._is_closed = True
            for connection in self._all:
                connection.disconnect()  # type: ignore[no-untyped-call]

    def _exchange(self, lane: Lane, commands: list[Command]) -> list[Reply]:
        address = self._topology.known(lane.shard) or self._topology.find(lane.shard)
        connection = self._connection(address)
        was_open = connection.is_connected and (lane.is_repeatable or _is_sound(connection))
        try:
            message = packed(commands)
            connection.send_packed_command(_slices(message))  # type: ignore[no-untyped-call]
            if digestion := digestion_seconds(message):
                return [_reply(connection, timeout=self._timeout + digestion) for _ in commands]
            return [_reply(connection) for _ in commands]
        except BaseException as error:
            connection.disconnect()  # type: ignore[no-untyped-call]
            if was_open and type(error) is redis.ConnectionError:
                raise ConnectionBroken(*error.args) from error
            raise

    def _connection(self, address: Address) -> AbstractConnection:
        mine: dict[Address, AbstractConnection] = self._mine.__dict__.setdefault("mine", {})
        connection = mine.get(address)
        if connection is None or self._is_closed:
            with self._lock:
                if self._is_closed:
                    raise redis.ConnectionError(CLOSED)
                connection = self._location.connection(address, self._timeout)
                self._all.add(connection)
            mine[address] = connection
        return connection


def _is_sound(connection: AbstractConnection) -> bool:
    """Close a connection that the server has ended or that holds what nobody asked for."""
    try:
        is_sound = not connection.can_read(0)
    except redis.ConnectionError:
        is_sound = False
    if not is_sound:
        connection.disconnect()  # type: ignore[no-untyped-call]
    return is_sound


def _slices(message: bytes) -> Sequence[bytes | memoryview]:
    """Pieces that are each sent under one time-out."""
    if len(message) <= LARGE_BYTES:
        return (message,)
    view = memoryview(message)
    return [view[cut : cut + LARGE_BYTES] for cut in range(0, len(message), LARGE_BYTES)]


def _reply(connection: AbstractConnection, **options: float) -> Reply:
    try:
        return connection.read_response(**options)
    except redis.ResponseError as error:
        return error
