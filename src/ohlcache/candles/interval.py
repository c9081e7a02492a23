"""Half-open intervals [start, end) of integers, and the algebra of sets of them.

A set is a tuple of intervals that are sorted, non-empty and neither overlap nor touch. Every
function takes any iterable of intervals and returns such a tuple. All run in O(n log n) for
unsorted input and O(n) after that.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple


class Interval(NamedTuple):
    """A half-open range [start, end), in ms since the epoch (UTC) unless said otherwise."""

    start: int
    end: int


IntervalSet = tuple[Interval, ...]


def normalise(intervals: Iterable[tuple[int, int]]) -> IntervalSet:
    """Sorted, merged, without empty intervals."""
    merged: list[Interval] = []
    for start, end in sorted(pair for pair in intervals if pair[0] < pair[1]):
        if merged and start <= merged[-1].end:
            if end > merged[-1].end:
                merged[-1] = Interval(merged[-1].start, end)
        else:
            merged.append(Interval(start, end))
    return tuple(merged)


def union(left: Iterable[tuple[int, int]], right: Iterable[tuple[int, int]]) -> IntervalSet:
    """What lies in either set."""
    return normalise([*left, *right])


def intersection(left: Iterable[tuple[int, int]], right: Iterable[tuple[int, int]]) -> IntervalSet:
    """What lies in both sets."""
    ours, theirs = normalise(left), normalise(right)
    found: list[Interval] = []
    i = j = 0
    while i < len(ours) and j < len(theirs):
        start = max(ours[i].start, theirs[j].start)
        end = min(ours[i].end, theirs[j].end)
        if start < end:
            found.append(Interval(start, end))
        if ours[i].end <= theirs[j].end:
            i += 1
        else:
            j += 1
    return tuple(found)


def difference(left: Iterable[tuple[int, int]], right: Iterable[tuple[int, int]]) -> IntervalSet:
    """What lies in ``left`` and not in ``right``."""
    ours, theirs = normalise(left), normalise(right)
    found: list[Interval] = []
    j = 0
    for start, end in ours:
        while j < len(theirs) and theirs[j].end <= start:
            j += 1
        k = j
        while k < len(theirs) and theirs[k].start < end:
            if start < theirs[k].start:
                found.append(Interval(start, theirs[k].start))
            start = theirs[k].end
            k += 1
        if start < end:
            found.append(Interval(start, end))
    return tuple(found)


def gaps(intervals: Iterable[tuple[int, int]], start: int, end: int) -> IntervalSet:
    """What of [start, end) no interval covers."""
    return difference(((start, end),), intervals)


def covers(intervals: IntervalSet, start: int, end: int) -> bool:
    """Whether a normalised set holds all of [start, end); an empty range is always held."""
    if start >= end:
        return True
    at = bisect_right(intervals, start, key=lambda interval: interval.start) - 1
    return at >= 0 and intervals[at].end >= end


def total(intervals: Iterable[tuple[int, int]]) -> int:
    """The summed length of a set."""
    return sum(end - start for start, end in normalise(intervals))
