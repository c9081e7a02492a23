"""Which lines of code the memory was allocated at, while ``tracemalloc`` traces."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

# What looking at it allocates itself.
_UNASKED = (tracemalloc.__file__, str(Path(__file__).parent) + os.sep)


@dataclass(frozen=True, slots=True)
class AllocationSite:
    """A line of code and what it allocated that was not freed again."""

    file: str
    line: int
    count_growth: int
    bytes_growth: int

    def __str__(self) -> str:
        return (
            f"{self.file}:{self.line} holds {self.bytes_growth / 1e6:,.2f} MB more "
            f"({self.count_growth:+,} blocks)"
        )


class Held(NamedTuple):
    """What a line has allocated and nobody freed."""

    blocks: int
    bytes: int


Lines = Mapping[tuple[str, int], Held]


def take_lines() -> Lines:
    """What each line holds; nothing where tracemalloc does not trace.

    Costs about 1 µs for each block that is traced.
    """
    if not tracemalloc.is_tracing():
        return {}
    found = {}
    for each in tracemalloc.take_snapshot().statistics("lineno"):
        frame = each.traceback[0]
        if not frame.filename.startswith(_UNASKED):
            found[(frame.filename, frame.lineno)] = Held(each.count, each.size)
    return found


def growth_of_lines(before: Lines, after: Lines, limit: int) -> list[AllocationSite]:
    """The lines that hold more than before, the largest first."""
    grown = []
    for (file, line), held in after.items():
        was = before.get((file, line), Held(0, 0))
        if held.bytes > was.bytes:
            grown.append(
                AllocationSite(file, line, held.blocks - was.blocks, held.bytes - was.bytes)
            )
    return sorted(grown, key=lambda site: -site.bytes_growth)[:limit]
