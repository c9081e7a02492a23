"""The writing of changes: cut into script calls, and their replies put together again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ohlcache.cache.redis.conversation import Reply, Scripts
from ohlcache.cache.redis.keys import MAX_STAMP, STAMP_DIGITS, Layout
from ohlcache.cache.redis.operation import Doors, Operation, Request
from ohlcache.cache.redis.scripts import WRITE, Argument, Call
from ohlcache.cache.tiers import TOMBSTONE_SECONDS, Change
from ohlcache.errors import InvalidArgument

_CALL_CHANGES = 128  # in one script call: the server serves others between two of them
_CALL_BYTES = 4 << 20
_TOMBSTONE_MS = round(TOMBSTONE_SECONDS * 1000)


class Writer:
    """Makes the writes of one tier, and knows how much the namespace held after the last."""

    def __init__(self, doors: Doors, layout: Layout, origin: str, budget: int) -> None:
        """budget: bytes of one shard; 0 for no bound."""
        self._doors, self._layout, self._origin, self._budget = doors, layout, origin, budget
        shards = range(layout.shards)
        # What gets its stamp from the server is newer each time, also than what came in between.
        self._once = [Scripts(shard, is_repeatable=False) for shard in shards]
        self._repeatable = [Scripts(shard) for shard in shards]
        self._usage = [0] * layout.shards

    @property
    def used_bytes(self) -> int:
        """What values and their index took after the last write of this process."""
        return sum(self._usage)

    def write(self, changes: Sequence[Change], *, publish: bool) -> Operation[dict[str, int]]:
        """See :meth:`ohlcache.cache.tiers.SharedTier.write`. Raises InvalidArgument."""
        cuts: list[tuple[int, list[list[Change]]]] = []
        for shard, mine in self._by_shard(changes):
            cuts.append((shard, list(_cut(mine))))

        def meaning(replies: list[list[Reply]]) -> dict[str, int]:
            made = {change.key: 0 for change in changes}
            for (shard, calls), answers in zip(cuts, replies, strict=True):
                for call, (usage, trimmed, too_large, stamps) in zip(calls, answers, strict=True):
                    self._usage[shard] = usage
                    self._doors.counts.add(trimmed=trimmed, too_large=too_large)
                    made.update(
                        (change.key, int(stamp)) for change, stamp in zip(call, stamps, strict=True)
                    )
            self._count(changes, made)
            return made

        requests = [self._request(shard, calls, publish) for shard, calls in cuts]
        return Operation(self._doors, requests, meaning)

    def _request(self, shard: int, calls: list[list[Change]], publish: bool) -> Request:
        lanes = self._repeatable if all(_has_stamp(call) for call in calls) else self._once
        head = (
            self._origin,
            shard,
            self._layout.channel,
            "c" if publish else "x",
            self._budget,
            _TOMBSTONE_MS,
        )
        root = self._layout.roots[shard]
        return lanes[shard], [Call(WRITE, root, (*head, *_words(call))) for call in calls]

    def _by_shard(self, changes: Sequence[Change]) -> list[tuple[int, list[Change]]]:
        parts: dict[int, list[Change]] = {}
        for change in changes:
            _check(change)
            parts.setdefault(self._layout.shard(change.key), []).append(change)
        return list(parts.items())

    def _count(self, changes: Sequence[Change], made: dict[str, int]) -> None:
        self._doors.counts.add(
            writes=len(changes),
            refused=sum(not stamp for stamp in made.values()),
            bytes_written=sum(len(change.data) for change in changes if change.data),
        )


def _check(change: Change) -> None:
    if not 0 <= change.stamp < MAX_STAMP:
        raise InvalidArgument(
            f"stamp {change.stamp} of {change.key!r} is out of range: give microseconds, or 0"
        )
    if change.ttl_ms is not None and change.ttl_ms < 1:
        raise InvalidArgument(
            f"ttl_ms {change.ttl_ms} of {change.key!r} is below 1: give None for no expiry"
        )


def _cut(changes: list[Change]) -> Iterator[list[Change]]:
    """Changes in the portions of one script call."""
    call: list[Change] = []
    size = 0
    for change in changes:
        length = len(change.data or b"")
        if call and (len(call) == _CALL_CHANGES or size + length > _CALL_BYTES):
            yield call
            call, size = [], 0
        call.append(change)
        size += length
    if call:
        yield call


def _has_stamp(call: list[Change]) -> bool:
    return all(change.stamp for change in call)


def _words(call: list[Change]) -> Iterator[Argument]:
    for change in call:
        yield change.key
        yield f"{change.stamp:0{STAMP_DIGITS}d}"
        yield "" if change.ttl_ms is None else change.ttl_ms
        yield change.lease
        yield 0 if change.data is None else 1
        yield change.data or b""
