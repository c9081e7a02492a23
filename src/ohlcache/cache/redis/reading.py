"""The reading of keys: the operation that has to be fast."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import redis

from ohlcache.cache.redis.conversation import Reads, Reply
from ohlcache.cache.redis.keys import Layout, parse_state
from ohlcache.cache.redis.operation import Doors
from ohlcache.cache.tiers import Stored


class Readings:
    """Makes the readings of one tier."""

    def __init__(self, doors: Doors, layout: Layout) -> None:
        self.doors, self.layout = doors, layout
        self.lanes = [Reads(shard) for shard in range(layout.shards)]


class Reading:
    """An exchange in the sense of :mod:`ohlcache.drive`. Raises redis.RedisError."""

    __slots__ = ("_keys", "_readings")

    def __init__(self, readings: Readings, keys: Sequence[str]) -> None:
        self._readings, self._keys = readings, keys

    def run(self) -> dict[str, Stored]:
        """Carry it out, blocking this thread."""
        doors = self._readings.doors
        found: dict[str, Stored] = {}
        try:
            for lane, keys, items in self._requests():
                self._sort_out(found, keys, doors.threads.carry(lane, items))
        except redis.RedisError as error:
            doors.counts.error(error)
            raise
        return found

    async def arun(self) -> dict[str, Stored]:
        """Carry it out in the running event loop."""
        doors = self._readings.doors
        found: dict[str, Stored] = {}
        try:
            requests = self._requests()
            if len(requests) == 1:
                lane, keys, items = requests[0]
                self._sort_out(found, keys, await doors.loops.ask(lane, items))
            else:
                asked = [doors.loops.ask(lane, items) for lane, _, items in requests]
                answers = await asyncio.gather(*asked)
                for (_, keys, _), values in zip(requests, answers, strict=True):
                    self._sort_out(found, keys, values)
        except redis.RedisError as error:
            doors.counts.error(error)
            raise
        return found

    def _requests(self) -> list[tuple[Reads, Iterable[str], list[bytes]]]:
        layout, lanes = self._readings.layout, self._readings.lanes
        return [
            (lanes[shard], keys, layout.data_keys(shard, keys))
            for shard, keys in layout.by_shard(self._keys)
        ]

    def _sort_out(self, found: dict[str, Stored], keys: Iterable[str], values: list[Reply]) -> None:
        for key, value in zip(keys, values):  # noqa: B905  # a value for each: see conversation
            if value is not None:
                state = parse_state(value)
                if state is None:
                    self._readings.doors.counts.add(foreign_values=1)
                else:
                    found[key] = state
