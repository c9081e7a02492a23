"""What is said to the server for one request, written once for threads and event loops.

A conversation is a generator: it yields commands to send to its shard and is sent their replies,
or has the error thrown in that prevented them. It knows when another try is worth it.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, TypeAlias

import hiredis
import redis
from redis.exceptions import MovedError, NoScriptError, ReadOnlyError

from ohlcache.cache.redis.scripts import Argument, Call
from ohlcache.cache.redis.topology import Topology

READ_KEYS = 512  # of one MGET: the server serves others between two of them
LARGE_BYTES = 1 << 20
_DIGESTED_BYTES_A_SECOND = 32 << 20  # by a server on a slow and busy machine
CLOSED = "the Redis tier is closed: open another"

Command: TypeAlias = tuple[Argument, ...]
Reply: TypeAlias = Any
Conversation: TypeAlias = Generator[list[Command], list[Reply], list[Reply]]


def packed(commands: list[Command]) -> bytes:
    """Commands as they go over the wire."""
    # hiredis declares its argument as a tuple of one.
    return b"".join([hiredis.pack_command(command) for command in commands])  # type: ignore[arg-type]


def digestion_seconds(message: bytes) -> float:
    """How long a server may be silent over a large message beyond the time-out."""
    return len(message) / _DIGESTED_BYTES_A_SECOND if len(message) > LARGE_BYTES else 0.0


class ConnectionBroken(redis.ConnectionError):
    """The server ended a connection that had worked before, as when it restarts."""


class Lane:
    """Requests that may be sent as one, because they ask the same of the same shard.

    An item is what the request asks for; each has one reply.
    """

    def __init__(self, shard: int, *, is_repeatable: bool = True) -> None:
        """Name the shard.

        is_repeatable: asking twice is as good as once, also when another process changed the same
            keys in between.
        """
        self.shard = shard
        self.is_repeatable = is_repeatable


class Reads(Lane):
    """Items are keys of Redis; replies are their values."""


class Scripts(Lane):
    """Items are calls of scripts; replies are what they return."""


def conversation(lane: Lane, items: Sequence[Any], topology: Topology) -> Conversation:
    """The reply to each item; that of a script may be an error of the server."""
    if isinstance(lane, Reads):
        cuts = range(0, len(items), READ_KEYS)
        commands: list[Command] = [(b"MGET", *items[cut : cut + READ_KEYS]) for cut in cuts]
        replies = yield from _persistent(commands, lane, topology)
        return [value for reply in replies for value in _values(reply)]
    calls: Sequence[Call] = items
    replies = yield from _persistent([call.words() for call in calls], lane, topology)
    unknown = [at for at, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
    if unknown:
        in_full = [calls[at].words(in_full=True) for at in unknown]
        again = yield from _persistent(in_full, lane, topology)
        for at, reply in zip(unknown, again, strict=True):
            replies[at] = reply
    return replies


def _values(reply: Reply) -> list[bytes | None]:
    if isinstance(reply, Exception):
        raise reply
    values: list[bytes | None] = reply
    return values


def _persistent(commands: list[Command], lane: Lane, topology: Topology) -> Conversation:
    """Send again what a restart or a failover kept from being carried out."""
    try:
        replies = yield commands
    except (redis.ConnectionError, redis.TimeoutError) as error:
        topology.forget()
        if not (lane.is_repeatable and isinstance(error, ConnectionBroken)):
            raise
        replies = yield commands
    # Refused as a whole by a node that no longer has the shard.
    moved = [at for at, reply in enumerate(replies) if _is_elsewhere(reply)]
    if moved and topology.forget():
        again = yield [commands[at] for at in moved]
        for at, reply in zip(moved, again, strict=True):
            replies[at] = reply
    return replies


def _is_elsewhere(reply: Reply) -> bool:
    # The error of a script quotes that of the command in it.
    return isinstance(reply, MovedError | ReadOnlyError) or (
        isinstance(reply, redis.ResponseError) and "READONLY" in str(reply)
    )
