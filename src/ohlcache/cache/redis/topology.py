"""Which server holds which shard: one server, the master that sentinels name, or a cluster."""

from __future__ import annotations

import threading
from typing import Any, Protocol

import redis
from redis.crc import key_slot
from redis.sentinel import Sentinel

from ohlcache.cache.redis.keys import Layout
from ohlcache.cache.redis.location import Address, Location

CLUSTER_SHARDS = 16


class Topology(Protocol):
    """Answers where a shard is. Asking may block; what is known does not."""

    def known(self, shard: int) -> Address | None:
        """The server of a shard as far as it is known."""

    def find(self, shard: int) -> Address:
        """The server of a shard; asks the network. Raises redis.RedisError."""

    def forget(self) -> bool:
        """Something was wrong with what is known. False: asking again cannot help."""


class OneServer:
    """A server whose address is given."""

    def __init__(self, location: Location) -> None:
        self._address = location.nodes[0]

    def known(self, shard: int) -> Address:  # noqa: ARG002
        """The server."""
        return self._address

    find = known

    def forget(self) -> bool:
        """There is no other."""
        return False


class SentinelMaster:
    """The master of a service; after a failover the sentinels name another."""

    def __init__(self, location: Location, timeout: float) -> None:
        self._service = location.service
        security = {name: value for name, value in location.options.items() if "ssl" in name}
        if location.connection_class is redis.SSLConnection:
            security["ssl"] = True
        nodes = [(dict(node)["host"], dict(node)["port"]) for node in location.nodes]
        self._sentinel = Sentinel(  # type: ignore[no-untyped-call]
            nodes,
            sentinel_kwargs={
                **security,
                "socket_timeout": timeout,
                "socket_connect_timeout": timeout,
                "driver_info": None,
                "protocol": 2,
            },
        )
        self._lock = threading.Lock()
        self._address: Address | None = None

    def known(self, shard: int) -> Address | None:  # noqa: ARG002
        """The master that was last named."""
        return self._address

    def find(self, shard: int) -> Address:  # noqa: ARG002
        """Ask the sentinels unless the master is known."""
        with self._lock:
            if self._address is None:
                host, port = self._sentinel.discover_master(self._service)  # type: ignore[no-untyped-call]
                self._address = (("host", host), ("port", port))
            return self._address

    def forget(self) -> bool:
        """Ask the sentinels again next time."""
        self._address = None
        return True


class ClusterNodes:
    """The nodes of a cluster that own the slots of our shards."""

    def __init__(self, location: Location, layout: Layout, timeout: float) -> None:
        self._location, self._timeout = location, timeout
        self._slots = [key_slot(root) for root in layout.roots]
        self._lock = threading.Lock()
        self._owners: list[Address] = []

    def known(self, shard: int) -> Address | None:
        """The owner as the cluster last told."""
        owners = self._owners
        return owners[shard] if owners else None

    def find(self, shard: int) -> Address:
        """Ask the first node that answers unless the owners are known."""
        with self._lock:
            if not self._owners:
                self._owners = self._ask()
            return self._owners[shard]

    def forget(self) -> bool:
        """Ask again next time."""
        self._owners = []
        return True

    def _ask(self) -> list[Address]:
        failure: redis.RedisError = redis.ConnectionError("the URL names no node")
        for node in self._location.nodes:
            connection = self._location.connection(node, self._timeout)
            try:
                connection.send_command("CLUSTER", "SLOTS")  # type: ignore[no-untyped-call]
                ranges = connection.read_response()
                return [self._owner(ranges, slot, node) for slot in self._slots]
            except redis.RedisError as error:
                failure = error
            finally:
                connection.disconnect()  # type: ignore[no-untyped-call]
        raise failure

    @staticmethod
    def _owner(ranges: list[list[Any]], slot: int, asked: Address) -> Address:
        for first, last, owner, *_ in ranges:
            if first <= slot <= last:
                host, port = owner[0].decode(), owner[1]
                # A node that does not know its own address leaves it out.
                return (("host", host or dict(asked)["host"]), ("port", port))
        raise redis.exceptions.ClusterDownError(f"slot {slot} is served by no node of the cluster")
