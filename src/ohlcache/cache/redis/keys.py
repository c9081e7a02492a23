"""Names of keys in Redis, and the form of what lies under them.

All keys of a shard share the hash tag in its *root*, so that a script may touch them together,
also in a cluster. Below the root lie

    :d:KEY      a value: its stamp as 16 digits, "=", the data; a tombstone: the stamp alone
    :l:KEY      the lease of who loads the key
    :v:NAME     the version of a name
    :i          an index: the bytes that each value takes, for the size budget
    :m          a hash: clock (last stamp given), bytes (sum of the index), sequence (of messages)
    :r, :e      what processes report, see :mod:`ohlcache.cache.redis.board`
"""

from __future__ import annotations

import re
from collections.abc import Collection
from zlib import crc32

from ohlcache.cache.tiers import Stored
from ohlcache.errors import InvalidArgument

SCHEMA_VERSION = 1
STAMP_DIGITS = 16
MAX_STAMP = 2**53  # Lua counts in doubles; microseconds reach it in the year 2255

_NAMESPACE = re.compile(r"[A-Za-z0-9_.-]+")


class Layout:
    """The names of one namespace, spread over a number of shards."""

    def __init__(self, namespace: str, shards: int) -> None:
        """Raises InvalidArgument for a namespace that cannot be part of a key."""
        if not _NAMESPACE.fullmatch(namespace):
            raise InvalidArgument(
                f"namespace {namespace!r} cannot be part of a key: use letters, digits, _ . and -"
            )
        self.shards = shards
        self.channel = f"ohlcache:{SCHEMA_VERSION}:{namespace}:changes".encode()
        self.roots = [
            f"{{ohlcache:{SCHEMA_VERSION}:{namespace}:{shard}}}".encode() for shard in range(shards)
        ]
        self.data_prefixes = [root + b":d:" for root in self.roots]

    def shard(self, key: str) -> int:
        """The shard that holds a key or the version of a name."""
        return crc32(key.encode()) % self.shards if self.shards > 1 else 0

    def located(self, keys: Collection[str]) -> list[tuple[int, Collection[str], list[bytes]]]:
        """The keys of each shard that holds any, and where their values lie."""
        if self.shards == 1:
            prefix = self.data_prefixes[0]
            return [(0, keys, [prefix + key.encode() for key in keys])] if keys else []
        return [
            (shard, mine, [self.data_prefixes[shard] + key.encode() for key in mine])
            for shard, mine in self.by_shard(keys)
        ]

    def by_shard(self, keys: Collection[str]) -> Collection[tuple[int, Collection[str]]]:
        """The keys of each shard that holds any."""
        if self.shards == 1:
            return [(0, keys)] if keys else []
        parts: dict[int, list[str]] = {}
        for key in keys:
            parts.setdefault(self.shard(key), []).append(key)
        return parts.items()


def parse_state(raw: bytes) -> Stored | None:
    """The state that lies under a key; None for bytes that no ohlcache wrote."""
    stamp, is_value, data = raw.partition(b"=")
    if len(stamp) != STAMP_DIGITS or not stamp.isdigit():
        return None
    return Stored(int(stamp), data if is_value else None)
