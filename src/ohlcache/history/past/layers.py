"""Which of several overlapping records counts where: the oldest one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from ohlcache.candles import Interval


def oldest(records: Sequence[tuple[int, int]], start: int, end: int) -> list[tuple[Interval, int]]:
    """[start, end) in parts, in order, each with the index of the first record that holds it.

    -1 where none does. ``records`` are half-open ranges. Each part between two edges is taken
    once: O(n log n) (Gabow and Tarjan, 1983: union-find on a line).
    """
    inside = [
        (index, max(low, start), min(high, end))
        for index, (low, high) in enumerate(records)
        if low < end and start < high
    ]
    edges = sorted({start, end}.union(*((low, high) for _, low, high in inside)))
    place = {edge: at for at, edge in enumerate(edges)}
    owners = [-1] * (len(edges) - 1)
    following = list(range(len(edges)))  # the first part from each on that nobody has taken
    for index, low, high in inside:
        at = _first_free(following, place[low])
        while at < place[high]:
            owners[at] = index
            following[at] = at + 1
            at = _first_free(following, at)
    parts = []
    for owner, group in groupby(range(len(owners)), key=owners.__getitem__):
        here = list(group)
        parts.append((Interval(edges[here[0]], edges[here[-1] + 1]), owner))
    return parts


def _first_free(following: list[int], at: int) -> int:
    while following[at] != at:
        following[at] = following[following[at]]
        at = following[at]
    return at
