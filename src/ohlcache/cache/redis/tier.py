"""The Redis tier: the operations that every shared tier has, as requests to Redis.

All processes of a namespace should be given the same ``max_bytes``: who writes keeps the budget
that it knows of.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from redis.exceptions import ResponseError

from ohlcache.cache.redis.backplane import Backplane
from ohlcache.cache.redis.board import RedisBoard
from ohlcache.cache.redis.conversation import Reply, Scripts
from ohlcache.cache.redis.counts import Counts
from ohlcache.cache.redis.keys import STAMP_DIGITS, Layout, parse_state
from ohlcache.cache.redis.listener import Listener
from ohlcache.cache.redis.location import Location, parse_location
from ohlcache.cache.redis.loops import LoopDoor
from ohlcache.cache.redis.operation import Doors, Operation, Outcome, Request
from ohlcache.cache.redis.reading import Reading, Readings
from ohlcache.cache.redis.scripts import BUMP, CLAIM, HOLD, PROBE, VERSIONS, Argument, Call, Script
from ohlcache.cache.redis.threads import ThreadDoor
from ohlcache.cache.redis.topology import (
    CLUSTER_SHARDS,
    ClusterNodes,
    OneServer,
    SentinelMaster,
    Topology,
)
from ohlcache.cache.redis.writing import Writer
from ohlcache.cache.tiers import Change, Claim, Events
from ohlcache.errors import InvalidArgument


class RedisTier:
    """A tier that processes share in Redis: one server, Sentinel or a cluster."""

    refusals: tuple[type[BaseException], ...] = (ResponseError,)

    def __init__(
        self,
        url: str,
        *,
        namespace: str = "ohlcache",
        max_bytes: int | None = None,
        timeout_seconds: float = 0.25,
        origin: str | None = None,
    ) -> None:
        """Nothing is connected until it is used.

        url: see :mod:`ohlcache.cache.redis.location`.
        namespace: letters, digits, ``_ . -``; tiers of one namespace share their values.
        max_bytes: of the server's memory for values, tombstones and their index; versions (some
            100 bytes for each name) and leases come on top.
        timeout_seconds: to connect, and without any progress of a request.
        origin: names this process in messages; None for a unique name.

        Raises InvalidArgument.
        """
        if max_bytes is not None and max_bytes < 1:
            raise InvalidArgument(f"max_bytes {max_bytes} is not positive: None sets no bound")
        if timeout_seconds <= 0:
            raise InvalidArgument(f"timeout_seconds {timeout_seconds} must be above 0")
        self._location = parse_location(url)
        self._layout = Layout(namespace, CLUSTER_SHARDS if self._location.kind == "cluster" else 1)
        self._timeout = timeout_seconds
        self._budget = -(-(max_bytes or 0) // self._layout.shards)
        self._counts = Counts()
        shards = range(self._layout.shards)
        self._repeatable = [Scripts(shard) for shard in shards]
        # Between two runs of a bump another may come, and would be undone.
        self._once = [Scripts(shard, is_repeatable=False) for shard in shards]
        self._events: Events | None = None
        self._left: list[object] = []
        self._begin(origin)

    def _begin(self, origin: str | None = None) -> None:
        self._origin = origin or f"{os.getpid()}-{uuid.uuid4().hex}"
        self._topology = _topology(self._location, self._layout, self._timeout)
        parts = (self._location, self._topology, self._timeout, self._counts)
        self._doors = Doors(ThreadDoor(*parts), LoopDoor(*parts), self._counts)
        self._readings = Readings(self._doors, self._layout)
        self._writer = Writer(self._doors, self._layout, self._origin, self._budget)
        self.board = RedisBoard(self._doors, self._layout.roots)
        self._listener: Listener | None = None

    # -- values -----------------------------------------------------------------------------------

    def read(self, keys: Sequence[str]) -> Reading:
        """The states of the keys that have one, tombstones included."""
        return Reading(self._readings, keys)

    def write(
        self, changes: Sequence[Change], *, publish: bool = True
    ) -> Operation[dict[str, int]]:
        """The stamp of each change that was made, 0 where it was refused.

        A value larger than the whole budget is not stored: the key's old state is removed and the
        others are told, as if it had been stored and dropped at once. On a server without room
        the same happens and redis.OutOfMemoryError is raised.

        Raises InvalidArgument for a stamp that is out of range or a TTL below 1 ms.
        """
        return self._writer.write(changes, publish=publish)

    # -- leases -----------------------------------------------------------------------------------

    def claim(
        self,
        keys: Sequence[str],
        lease: str,
        lease_ms: int,
        useless: Mapping[str, int] | None = None,
    ) -> Operation[dict[str, Claim]]:
        """Values that are there and of use; for the others the lease, or a wait."""
        stamps = useless or {}
        parts = self._layout.by_shard(keys)

        def meaning(replies: list[list[Reply]]) -> dict[str, Claim]:
            claims = [claim for [answer] in replies for claim in answer]
            names = [name for _, names in parts for name in names]
            return {name: _claimed(claim) for name, claim in zip(names, claims, strict=True)}

        return self._operation(
            [
                self._run(CLAIM, shard, lease, lease_ms, *_with_stamps(names, stamps))
                for shard, names in parts
            ],
            meaning,
        )

    def renew(self, leases: Mapping[str, str], lease_ms: int) -> Operation[None]:
        """Keep leases that are still held for ``lease_ms`` from now."""
        return self._hold(leases, lease_ms)

    def release(self, keys: Iterable[str], lease: str) -> Operation[None]:
        """Give leases up that are still held."""
        return self._hold(dict.fromkeys(keys, lease), 0)

    def _hold(self, leases: Mapping[str, str], lease_ms: int) -> Operation[None]:
        return self._operation(
            [
                self._run(HOLD, shard, lease_ms, *_pairs(leases, names))
                for shard, names in self._layout.by_shard(leases)
            ],
            _nothing,
        )

    # -- versions ---------------------------------------------------------------------------------

    def versions(self, names: Sequence[str]) -> Operation[dict[str, str]]:
        """The version of each name; one that has none gets a unique one."""
        parts = self._layout.by_shard(names)
        offered = {name: uuid.uuid4().hex for name in names}

        def meaning(replies: list[list[Reply]]) -> dict[str, str]:
            return {
                name: version.decode()
                for (_, mine), [versions] in zip(parts, replies, strict=True)
                for name, version in zip(mine, versions, strict=True)
            }

        return self._operation(
            [self._run(VERSIONS, shard, *_pairs(offered, mine)) for shard, mine in parts], meaning
        )

    def bump(self, versions: Mapping[str, str]) -> Operation[None]:
        """Set new versions and tell the other processes."""
        return self._operation(
            [
                (
                    self._once[shard],
                    [
                        self._call(
                            *(BUMP, shard, self._origin, shard, self._layout.channel),
                            *_pairs(versions, names),
                        )
                    ],
                )
                for shard, names in self._layout.by_shard(versions)
            ],
            _nothing,
        )

    # -- the tier itself --------------------------------------------------------------------------

    def probe(self) -> Operation[None]:
        """Raise unless every shard can be written and read."""
        return self._operation(
            [self._run(PROBE, shard, self._origin) for shard in range(self._layout.shards)],
            _nothing,
        )

    def listen(self, events: Events) -> None:
        """Tell ``events`` of changes that other processes and foreign clients make."""
        if self._listener is not None:
            self._listener.close()
        self._events = events
        self._listener = Listener(
            self._location,
            self._topology,
            self._layout,
            Backplane(self._origin, self._layout, events, self._counts.add),
            self._counts,
        )

    def renew_after_fork(self) -> None:
        """Leave the parent's connections to it and be a process with a name of its own."""
        # Kept, since the end of a connection's object would touch what the parent still uses.
        self._left += [self._doors, self._listener]
        self._counts = Counts()
        self._begin()
        if self._events is not None:
            self.listen(self._events)

    def stats(self) -> dict[str, object]:
        """Counters; ``used_bytes`` is as of this process's last write."""
        return {**self._counts.as_dict(), "used_bytes": self._writer.used_bytes}

    def close(self) -> None:
        """Stop listening and close every connection of this process."""
        self._events = None
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self._doors.threads.close()
        self._doors.loops.close()

    # -- requests ---------------------------------------------------------------------------------

    def _operation(
        self, requests: list[Request], meaning: Callable[[list[list[Reply]]], Outcome]
    ) -> Operation[Outcome]:
        return Operation(self._doors, requests, meaning)

    def _call(self, script: Script, shard: int, *arguments: Argument) -> Call:
        return Call(script, self._layout.roots[shard], arguments)

    def _run(self, script: Script, shard: int, *arguments: Argument) -> Request:
        return self._repeatable[shard], [self._call(script, shard, *arguments)]


def _topology(location: Location, layout: Layout, timeout: float) -> Topology:
    if location.kind == "sentinel":
        return SentinelMaster(location, timeout)
    if location.kind == "cluster":
        return ClusterNodes(location, layout, timeout)
    return OneServer(location)


def _pairs(mapping: Mapping[str, str], names: Collection[str]) -> list[str]:
    return [word for name in names for word in (name, mapping[name])]


def _with_stamps(names: Iterable[str], stamps: Mapping[str, int]) -> Iterator[str]:
    for name in names:
        yield name
        yield f"{stamps.get(name, 0):0{STAMP_DIGITS}d}"


def _claimed(claim: Reply) -> Claim:
    if isinstance(claim, bytes):
        return Claim(parse_state(claim), is_held=False, wait_ms=0)
    return Claim(None, is_held=not claim, wait_ms=claim)


def _nothing(replies: list[list[Reply]]) -> None:  # noqa: ARG001
    return None
