"""The reading of keys: the operation that has to be fast."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

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

    def sort_out(
        self, found: dict[str, Stored], keys: Collection[str], values: list[Reply]
    ) -> None:
        """Add the states that values are; foreign bytes as the oldest there can be."""
        for key, value in zip(keys, values):  # noqa: B905  # a conversation gives one for each
            if value is not None:
                state = parse_state(value)
                if state is None:
                    self.doors.counts.add(foreign_values=1)
                    state = Stored(0, value)
                found[key] = state


class Reading:
    """An exchange in the sense of :mod:`ohlcache.drive`. Raises redis.RedisError."""

    __slots__ = ("_keys", "_readings")

    def __init__(self, readings: Readings, keys: Sequence[str]) -> None:
        self._readings, self._keys = readings, keys

    def run(self) -> dict[str, Stored]:
        """Carry it out, blocking this thread."""
        readings = self._readings
        found: dict[str, Stored] = {}
        try:
            for shard, keys, places in readings.layout.located(self._keys):
                values = readings.doors.threads.carry(readings.lanes[shard], places)
                readings.sort_out(found, keys, values)
        except redis.RedisError as error:
            readings.doors.counts.error(error)
            raise
        return found

    async def arun(self) -> dict[str, Stored]:
        """Carry it out in the running event loop."""
        readings = self._readings
        ask, lanes = readings.doors.loops.ask, readings.lanes
        found: dict[str, Stored] = {}
        located = readings.layout.located(self._keys)
        try:
            if len(located) == 1:
                shard, keys, places = located[0]
                readings.sort_out(found, keys, await ask(lanes[shard], places))
            else:
                answers = await asyncio.gather(
                    *[ask(lanes[shard], places) for shard, _, places in located]
                )
                for (_, keys, _), values in zip(located, answers, strict=True):
                    readings.sort_out(found, keys, values)
        except redis.RedisError as error:
            readings.doors.counts.error(error)
            raise
        return found
