"""One connection of an event loop to a server: requests in a row, replies in the same order.

redis-py's asyncio connection reads through asyncio's streams and waits with a task for each reply;
this protocol feeds hiredis from the transport and wakes the caller when its last reply is there,
at a third of the cost, and lets several requests be under way at once.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from typing import Any, cast

import hiredis
import redis
from redis._parsers.base import BaseParser

from ohlcache.cache.redis.conversation import (
    Command,
    ConnectionBroken,
    Reply,
    digestion_seconds,
    packed,
)
from ohlcache.cache.redis.location import Address, Location

_MORE = object()  # what the reader gives when the rest of a reply has not arrived


class _Awaited:
    """A request under way."""

    __slots__ = ("count", "digestion", "future", "replies")

    def __init__(self, future: asyncio.Future[list[Reply]], count: int, digestion: float) -> None:
        self.future, self.count, self.digestion = future, count, digestion
        self.replies: list[Reply] = []


class Link(asyncio.Protocol):
    """A connection on which nothing unread is ever left: after any failure it is closed.

    The time-out is for progress: it runs while replies are awaited, and anew when bytes move.
    """

    def __init__(self, timeout: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout = timeout
        self._reader = hiredis.Reader(
            protocolError=redis.exceptions.InvalidResponse,
            replyError=BaseParser.parse_error,
            notEnoughData=_MORE,
        )
        self._awaited: deque[_Awaited] = deque()
        self._transport: asyncio.Transport | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._active = 0.0  # when bytes last moved, or a request began
        self._unsent = 0  # bytes when last looked
        self._has_served = False

    @property
    def is_open(self) -> bool:
        """Whether requests can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, commands: list[Command]) -> asyncio.Future[list[Reply]]:
        """Send commands; the future gives the reply to each, or raises redis.RedisError."""
        future: asyncio.Future[list[Reply]] = self._loop.create_future()
        if self._transport is None or self._transport.is_closing():
            future.set_exception(ConnectionBroken("the connection to Redis was closed"))
            return future
        if not self._awaited:
            self._active = self._loop.time()
        message = packed(commands)
        self._awaited.append(_Awaited(future, len(commands), digestion_seconds(message)))
        if self._watch is None:
            self._watch = self._loop.call_later(self._timeout, self._look)
        self._transport.write(message)
        return future

    def close(self, error: redis.RedisError | None = None) -> None:
        """Close at once; what is under way fails."""
        if self._transport is not None:
            self._transport.abort()
        self._fail(error or redis.ConnectionError("the connection to Redis was closed"))

    # -- called by asyncio ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Requests can be sent from now on."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Hand replies to those who wait for them."""
        self._active = self._loop.time()
        try:
            self._reader.feed(data)
            while self._awaited:
                reply = self._reader.gets()
                if reply is _MORE:
                    return
                self._hand_out(reply)
            if self._reader.has_data():
                raise redis.exceptions.InvalidResponse("Redis sent what nobody asked for")
        except redis.RedisError as error:
            self.close(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake all who wait."""
        kind = ConnectionBroken if self._has_served else redis.ConnectionError
        self._fail(kind(f"Redis ended the connection{f': {exc}' if exc else ''}"))

    def _hand_out(self, reply: Reply) -> None:
        first = self._awaited[0]
        first.replies.append(reply)
        if len(first.replies) == first.count:
            self._awaited.popleft()
            self._has_served = True
            if not first.future.done():
                first.future.set_result(first.replies)

    def _fail(self, error: redis.RedisError) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        while self._awaited:
            future = self._awaited.popleft().future
            if not future.done():
                future.set_exception(error)

    # -- time-out ---------------------------------------------------------------------------------

    def _look(self) -> None:
        self._watch = None
        if not self._awaited:
            return
        now = self._loop.time()
        unsent = self._transport.get_write_buffer_size() if self._transport else 0
        if unsent != self._unsent:
            self._unsent, self._active = unsent, now
        rest = self._active + self._timeout + self._awaited[0].digestion - now
        if rest <= 0:
            self.close(redis.TimeoutError("Timeout reading from Redis"))
        else:
            self._watch = self._loop.call_later(rest, self._look)


async def connect(location: Location, address: Address, timeout: float) -> Link:
    """A link that is authenticated and has its database selected. Raises redis.RedisError."""
    try:
        async with asyncio.timeout(timeout):
            link = await _open(location, dict(address), timeout)
            try:
                for command in _greeting(location.options):
                    for reply in await link.send([command]):
                        if isinstance(reply, Exception):
                            raise reply
            except BaseException:
                link.close()
                raise
            return link
    except TimeoutError:
        raise redis.TimeoutError("Timeout connecting to Redis") from None
    except OSError as error:
        raise redis.ConnectionError(f"Error connecting to Redis: {error}") from error


async def _open(location: Location, where: dict[str, Any], timeout: float) -> Link:
    loop = asyncio.get_running_loop()
    if "path" in where:
        _, link = await loop.create_unix_connection(lambda: Link(timeout), where["path"])
    else:
        _, link = await loop.create_connection(
            lambda: Link(timeout), where["host"], where["port"], ssl=_security(location)
        )
    return link


def _security(location: Location) -> ssl.SSLContext | None:
    if not issubclass(location.connection_class, redis.SSLConnection):
        return None
    context: ssl.SSLContext = redis.asyncio.SSLConnection(**location.options).ssl_context.get()
    return context


def _greeting(options: dict[str, Any]) -> list[Command]:
    commands: list[Command] = []
    if options.get("password") or options.get("username"):
        user = [options["username"]] if options.get("username") else []
        commands.append(("AUTH", *user, options.get("password", "")))
    if options.get("db"):
        commands.append(("SELECT", options["db"]))
    if options.get("client_name"):
        commands.append(("CLIENT", "SETNAME", options["client_name"]))
    return commands
