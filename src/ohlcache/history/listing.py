"""The time in which a symbol is traded: outside of it nothing needs to be asked for.

A candle that opens before the listing and closes after it may exist, so it counts as traded; so
does one that opens before the delisting.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ohlcache.candles import Grid, Interval, IntervalSet
from ohlcache.candles.gaps import Gap, GapKind
from ohlcache.candles.instant import to_ms
from ohlcache.candles.interval import difference, intersection, normalise
from ohlcache.errors import InvalidArgument

_BEGINNING, _END = -(2**62), 2**62


@dataclass(frozen=True, slots=True)
class Listing:
    """From ``start`` until before ``end``, ms; by default always."""

    start: int = _BEGINNING
    end: int = _END

    @staticmethod
    def of(properties: dict[str, Any]) -> Listing:
        """The listing that the properties of a symbol tell."""
        start, end = _told(properties.get("listed")), _told(properties.get("delisted"))
        return Listing(_BEGINNING if start is None else start, _END if end is None else end)

    def never_traded(self, grid: Grid, ranges: Iterable[tuple[int, int]]) -> IntervalSet:
        """What of ranges of open times lies before the listing or after the delisting."""
        return difference(ranges, [self._traded(grid)])

    def traded(self, grid: Grid, ranges: Iterable[tuple[int, int]]) -> IntervalSet:
        """What of ranges of open times the listing leaves."""
        return intersection(ranges, [self._traded(grid)])

    def _traded(self, grid: Grid) -> Interval:
        first = grid.floor(self.start) if self.start > _BEGINNING else _BEGINNING
        end = grid.ceil(self.end) if self.end < _END else _END
        return Interval(first, end)


def mark_never_traded(gaps: Iterable[Gap], grid: Grid, listing: Listing) -> list[Gap]:
    """The gaps, those parts of them that lie outside the listing as closed: none can be there."""
    gaps = list(gaps)
    outside = listing.never_traded(grid, [gap[:2] for gap in gaps])
    if not outside:
        return gaps
    marked = [_gap(grid, part, gap.kind) for gap in gaps for part in difference([gap[:2]], outside)]
    touching = [gap[:2] for gap in marked if gap.kind == "closed"]
    closed = normalise([*outside, *touching])
    others = [gap for gap in marked if gap.kind != "closed"]
    return sorted([*others, *(_gap(grid, part, "closed") for part in closed)])


def _gap(grid: Grid, part: Interval, kind: GapKind) -> Gap:
    return Gap(*part, kind, grid.count(*part))


def _told(moment: Any) -> int | None:
    if moment is None:
        return None
    try:
        return to_ms(moment, "listed")
    except InvalidArgument:
        return None  # stored by a version that took any text here: as good as not told
