"""What a stretch of code leaves in Python memory, without what watching itself leaves."""

from __future__ import annotations

import sys
from functools import cache
from statistics import median_low
from typing import NamedTuple

from ohlcache.memory.profiling.tracing import tracing


class Left(NamedTuple):
    """bytes, blocks: more than before. peak: the most bytes above those before."""

    bytes: int
    blocks: int
    peak: int


_NOTHING = Left(0, 0, 0)
_OFTEN = 9


class Watch:
    """Watches from when it is made until its end."""

    def __init__(self) -> None:
        self._stretch = tracing.begin()
        self._blocks = sys.getallocatedblocks()

    def end(self) -> Left | None:
        """What was left; None where someone has stopped tracemalloc meanwhile."""
        own = _own()
        found = self._end()
        if found is None:
            return None
        return Left(found.bytes - own.bytes, found.blocks - own.blocks, found.peak)

    def _end(self) -> Left | None:
        blocks = sys.getallocatedblocks()
        traced = tracing.end(self._stretch)
        before = self._stretch.before
        if traced is None:
            return None
        return Left(traced - before, blocks - self._blocks, self._stretch.peak - before)

    @classmethod
    def of_nothing(cls) -> Left:
        """What watching itself leaves."""
        found = [left for _ in range(_OFTEN) if (left := cls()._end()) is not None] or [_NOTHING]
        return Left(
            bytes=median_low(each.bytes for each in found),
            blocks=median_low(each.blocks for each in found),
            peak=0,
        )


@cache
def _own() -> Left:
    return Watch.of_nothing()
