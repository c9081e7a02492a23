"""One call of the tier: what it asks of which shard, and what the replies mean."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeAlias, TypeVar

import redis

from ohlcache.cache.redis.conversation import Reply, Scripts
from ohlcache.cache.redis.counts import Counts
from ohlcache.cache.redis.loops import LoopDoor
from ohlcache.cache.redis.scripts import Call
from ohlcache.cache.redis.threads import ThreadDoor

Outcome = TypeVar("Outcome")
Request: TypeAlias = tuple[Scripts, Sequence[Call]]


class Doors:
    """The two ways to the server, and what both count."""

    def __init__(self, threads: ThreadDoor, loops: LoopDoor, counts: Counts) -> None:
        self.threads, self.loops, self.counts = threads, loops, counts


class Operation(Generic[Outcome]):
    """An exchange in the sense of :mod:`ohlcache.drive`. Raises redis.RedisError."""

    __slots__ = ("_doors", "_meaning", "_requests")

    def __init__(
        self,
        doors: Doors,
        requests: Sequence[Request],
        meaning: Callable[[list[list[Reply]]], Outcome],
    ) -> None:
        self._doors, self._requests, self._meaning = doors, requests, meaning

    def run(self) -> Outcome:
        """Carry it out, blocking this thread."""
        carry = self._doors.threads.carry
        try:
            return self._meaning([_sound(carry(*request)) for request in self._requests])
        except redis.RedisError as error:
            self._doors.counts.error(error)
            raise

    async def arun(self) -> Outcome:
        """Carry it out in the running event loop."""
        ask = self._doors.loops.ask
        try:
            replies = await asyncio.gather(*[ask(*request) for request in self._requests])
            return self._meaning([_sound(each) for each in replies])
        except redis.RedisError as error:
            self._doors.counts.error(error)
            raise


def _sound(replies: list[Reply]) -> list[Reply]:
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies
