"""The door for event loops: what the tasks of one turn ask for goes out together.

Tasks that read in the same turn of the loop share one MGET; tasks that run scripts share one
pipeline. A batch belongs to none of the tasks that take part, so the cancellation of one does not
disturb the others. Reads and scripts have a connection each: a read does not wait behind a large
value that is being written.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

import redis

from ohlcache.cache.redis.conversation import CLOSED, Command, Lane, Reply, conversation
from ohlcache.cache.redis.counts import Counts
from ohlcache.cache.redis.link import Link, connect
from ohlcache.cache.redis.location import Address, Location
from ohlcache.cache.redis.topology import Topology

_Ask = tuple[Sequence[Any], "asyncio.Future[list[Reply]]"]


class LoopDoor:
    """Carries requests out in whatever event loop they come from."""

    def __init__(
        self, location: Location, topology: Topology, timeout: float, counts: Counts
    ) -> None:
        self.location, self.topology = location, topology
        self.timeout, self.counts = timeout, counts
        self._rooms: WeakKeyDictionary[asyncio.AbstractEventLoop, _Room] = WeakKeyDictionary()
        self._last: _Room | None = None
        self._lock = threading.Lock()
        self._is_closed = False

    def ask(self, lane: Lane, items: Sequence[Any]) -> asyncio.Future[list[Reply]]:
        """The reply to each item, in time. The future raises redis.RedisError."""
        loop = asyncio.get_running_loop()
        room = self._last
        if room is None or room.loop is not loop:
            room = self._last = self._rooms.get(loop) or self._enter(loop)
        return room.ask(lane, items)

    def close(self) -> None:
        """Close the connections of all loops, each in its own."""
        with self._lock:
            self._is_closed = True
            rooms = list(self._rooms.items())
            self._rooms.clear()
            self._last = None
        for loop, room in rooms:
            if not loop.is_closed():
                loop.call_soon_threadsafe(room.close)

    def _enter(self, loop: asyncio.AbstractEventLoop) -> _Room:
        with self._lock:
            if self._is_closed:
                raise redis.ConnectionError(CLOSED)
            for other in [other for other in self._rooms if other.is_closed()]:
                del self._rooms[other]
            room = self._rooms[loop] = _Room(self, loop)
        return room

    def leave(self, loop: asyncio.AbstractEventLoop) -> None:
        """A loop is about to end."""
        with self._lock:
            if self._rooms.pop(loop, None) is self._last:
                self._last = None


class _Room:
    """What one event loop has: its connections, and what its tasks ask for in this turn."""

    def __init__(self, door: LoopDoor, loop: asyncio.AbstractEventLoop) -> None:
        self._door, self.loop = door, loop
        self._links: dict[tuple[Address, type], asyncio.Task[Link]] = {}
        self._asked: dict[Lane, list[_Ask]] = {}
        self._under_way: set[asyncio.Task[None]] = set()
        self._is_closed = False
        self._stay = self._until_shutdown()
        # The loop knows a generator from its first step on, which waits for nothing.
        with suppress(StopIteration):
            anext(self._stay).__await__().send(None)

    def ask(self, lane: Lane, items: Sequence[Any]) -> asyncio.Future[list[Reply]]:
        """Send items with the others of this turn."""
        if not self._asked:
            self.loop.call_soon(self._send)
        future: asyncio.Future[list[Reply]] = self.loop.create_future()
        asks = self._asked.get(lane)
        if asks is None:
            self._asked[lane] = [(items, future)]
        else:
            asks.append((items, future))
        return future

    def close(self) -> None:
        """Close the connections; what is under way fails."""
        self._is_closed = True
        links = [task for task in self._links.values() if task.done() and not task.cancelled()]
        self._links.clear()
        for task in links:
            if task.exception() is None:
                task.result().close()

    async def _until_shutdown(self) -> AsyncGenerator[None, None]:
        """A loop that shuts down ends its generators, and so tells that it does."""
        try:
            yield
        finally:
            self._door.leave(self.loop)
            self.close()
            await asyncio.sleep(0)  # the transports say goodbye in the next turn

    def _send(self) -> None:
        asked, self._asked = self._asked, {}
        for lane, asks in asked.items():
            task = self.loop.create_task(self._carry(lane, asks))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _carry(self, lane: Lane, asks: list[_Ask]) -> None:
        together = [item for items, _ in asks for item in items]
        self._door.counts.batch(lane, len(together), len(asks))
        try:
            replies = await self._converse(lane, together)
        except BaseException as error:
            for _, future in asks:
                if not future.done():
                    _fail(future, error)
            if not isinstance(error, Exception):
                raise
            return
        start = 0
        for items, future in asks:
            stop = start + len(items)
            if not future.done():
                future.set_result(replies[start:stop])
            start = stop

    async def _converse(self, lane: Lane, items: list[Any]) -> list[Reply]:
        talk = conversation(lane, items, self._door.topology)
        try:
            commands = next(talk)
            while True:
                try:
                    replies = await self._exchange(lane, commands)
                except redis.RedisError as error:
                    commands = talk.throw(error)
                else:
                    commands = talk.send(replies)
        except StopIteration as stop:
            found: list[Reply] = stop.value
            return found

    async def _exchange(self, lane: Lane, commands: list[Command]) -> list[Reply]:
        topology = self._door.topology
        address = topology.known(lane.shard)
        if address is None:
            address = await self.loop.run_in_executor(None, topology.find, lane.shard)
        link = await self._link(address, type(lane))
        return await link.send(commands)

    async def _link(self, address: Address, purpose: type) -> Link:
        if self._is_closed:
            raise redis.ConnectionError(CLOSED)
        known = self._links.get((address, purpose))
        if known is not None and known.done():
            if _is_usable(known):
                return known.result()
            known = None
        if known is None:
            known = self.loop.create_task(connect(self._door.location, address, self._door.timeout))
            self._links[address, purpose] = known
        return await asyncio.shield(known)


def _is_usable(task: asyncio.Task[Link]) -> bool:
    return not task.cancelled() and task.exception() is None and task.result().is_open


def _fail(future: asyncio.Future[list[Reply]], error: BaseException) -> None:
    if isinstance(error, asyncio.CancelledError):
        future.cancel()
    else:
        future.set_exception(error)
