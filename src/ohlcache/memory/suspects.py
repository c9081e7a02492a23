"""Who grows: types of objects, and lines of code where ``tracemalloc`` traces.

    suspects.mark()
    …                               # what is suspected to leak happens
    suspects.growth()               # what there is more of since the mark

Each look costs some tenths of a second (see ``census``), so it is for when memory is known to grow.
"""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass
from math import hypot

from ohlcache.memory.census import Census, Tally, take_census
from ohlcache.memory.sites import AllocationSite, Lines, growth_of_lines, take_lines

_SIGNIFICANT = 4  # standard errors; of so many types, some differ by three by chance


@dataclass(frozen=True, slots=True)
class Suspect:
    """A type of which there is more than before; bytes without those of what it refers to."""

    type_name: str
    count_growth: int
    bytes_growth: int

    def __str__(self) -> str:
        return f"{self.type_name}: {self.bytes_growth / 1e6:+,.2f} MB, {self.count_growth:+,}"


class Suspects:
    """What grew since it was marked."""

    def __init__(self) -> None:
        self._census: Census | None = None
        self._lines: Lines | None = None  # None: not traced when it was marked

    @property
    def is_marked(self) -> bool:
        """Whether there is something to compare with."""
        return self._census is not None

    def mark(self) -> None:
        """From here on growth is counted."""
        self._lines = take_lines() if tracemalloc.is_tracing() else None
        self._census = take_census()

    def growth(self, limit: int = 10) -> list[Suspect]:
        """The types that grew since the mark, those with the most bytes first.

        Without a mark this sets it, and nothing has grown.
        """
        if self._census is None:
            self.mark()
            return []
        return growth_of_types(self._census, take_census(), limit)

    def sites(self, limit: int = 10) -> list[AllocationSite]:
        """The lines that hold more than at the mark; none where it was not traced since then."""
        if self._lines is None or not tracemalloc.is_tracing():
            return []
        return growth_of_lines(self._lines, take_lines(), limit)


def growth_of_types(before: Census, after: Census, limit: int) -> list[Suspect]:
    """The types that take more than before by more than an accident of the samples."""
    before = before.with_itself()
    grown = [
        Suspect(name, round(tally.count - was.count), round(tally.bytes - was.bytes))
        for name, tally in after.tallies.items()
        if _has_grown(was := before.of(name), tally)
    ]
    return sorted(grown, key=lambda suspect: -suspect.bytes_growth)[:limit]


def _has_grown(before: Tally, after: Tally) -> bool:
    count_error = hypot(before.count_error, after.count_error)
    bytes_error = hypot(before.bytes_error, after.bytes_error)
    return after.bytes > before.bytes and (
        after.count - before.count > _SIGNIFICANT * count_error
        or after.bytes - before.bytes > _SIGNIFICANT * bytes_error
    )
