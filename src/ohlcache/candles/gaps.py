"""Absent candles and why they are absent: never fetched, empty at the venue, or market closed.

Everything is done on edges, never on the absent candles themselves: the ends of runs of present
candles, of coverage and of sessions cut the time into pieces, and each piece is of one kind.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal, NamedTuple

import numpy as np

from ohlcache.candles.block import Mask, Times
from ohlcache.candles.grid import Grid
from ohlcache.candles.interval import intersection
from ohlcache.candles.session import Session

GapKind = Literal["never_fetched", "empty", "closed", "refused"]
_KINDS: tuple[GapKind, ...] = ("never_fetched", "empty", "closed")
_NEVER_FETCHED, _EMPTY, _CLOSED = range(3)


class Gap(NamedTuple):
    """A run of absent candles of one kind: the first open time, and the first one after it.

    kind: "never_fetched": not asked for yet; "empty": asked for, and the venue holds none;
        "closed": none can be there, as the market was closed; "refused": the venue gave a row that
        cannot be a candle.
    candles: how many open times of the grid lie in [start, end).
    """

    start: int
    end: int
    kind: GapKind
    candles: int


def mark_refused(gaps: Iterable[Gap], grid: Grid, refused: Collection[int]) -> list[Gap]:
    """The gaps with the open times of refused rows told apart from those that are empty."""
    marked: list[Gap] = []
    for gap in gaps:
        inside = [time for time in refused if gap.start <= time < gap.end]
        if gap.kind != "empty" or not inside:
            marked.append(gap)
            continue
        start = gap.start
        for time in sorted(set(inside)):
            end = grid.next(time)
            marked += _empty(grid, start, time)
            marked.append(Gap(time, end, "refused", 1))
            start = end
        marked += _empty(grid, start, gap.end)
    return marked


def _empty(grid: Grid, start: int, end: int) -> list[Gap]:
    return [Gap(start, end, "empty", grid.count(start, end))] if start < end else []


def classify(
    times: Times,
    grid: Grid,
    covered: Iterable[tuple[int, int]],
    start: int,
    end: int,
    session: Session | None = None,
) -> list[Gap]:
    """Every run of absent candles that would open in [start, end), in order, by kind.

    times: open times that are there, ascending, ms; those outside [start, end) do not matter.
    covered: ranges of open times that were fetched. What was not is "never_fetched" also where
        the market was closed: nobody has looked.
    session: when the venue trades; None: always. A candle is "closed" where no moment of it has
        trading.
    """
    start, end = grid.ceil(start), grid.ceil(end)
    if start >= end:
        return []
    low, high = np.searchsorted(times, np.array((start, end), np.int64))
    present = times[low:high]
    after = np.append(start, grid.nexts(present))
    before = np.append(present, end)
    has_run = after < before
    run_starts, run_ends = after[has_run], before[has_run]
    if not len(run_starts):
        return []
    fetched_starts, fetched_ends = _fetched(covered, grid, start, end)
    closed_starts, closed_ends = _closed(session, grid, fetched_starts, fetched_ends)
    edges = np.unique(
        np.concatenate(
            (run_starts, run_ends, fetched_starts, fetched_ends, closed_starts, closed_ends)
        )
    )
    pieces = edges[:-1]
    kinds = np.full(len(pieces), _NEVER_FETCHED)
    is_fetched = _within(pieces, fetched_starts, fetched_ends)
    kinds[is_fetched] = _EMPTY
    kinds[is_fetched & _within(pieces, closed_starts, closed_ends)] = _CLOSED
    is_absent = _within(pieces, run_starts, run_ends)
    starts, ends, kinds = pieces[is_absent], edges[1:][is_absent], kinds[is_absent]
    # pieces of the same kind that touch are one gap
    is_first = np.append(True, (starts[1:] != ends[:-1]) | (kinds[1:] != kinds[:-1]))
    starts, ends, kinds = starts[is_first], ends[np.append(is_first[1:], True)], kinds[is_first]
    candles = grid.index(ends) - grid.index(starts)
    return [
        Gap(gap_start, gap_end, _KINDS[kind], count)
        for gap_start, gap_end, kind, count in zip(
            starts.tolist(), ends.tolist(), kinds.tolist(), candles.tolist(), strict=True
        )
    ]


def _fetched(
    covered: Iterable[tuple[int, int]], grid: Grid, start: int, end: int
) -> tuple[Times, Times]:
    """Starts and ends, on the grid, of what was fetched of [start, end)."""
    held = np.array(intersection(covered, ((start, end),)), np.int64).reshape(-1, 2)
    return _not_empty(grid.ceils(held[:, 0]), grid.ceils(held[:, 1]))


def _closed(
    session: Session | None, grid: Grid, fetched_starts: Times, fetched_ends: Times
) -> tuple[Times, Times]:
    """Starts and ends, on the grid, of candles without any trading, about what was fetched."""
    if session is None or not len(fetched_starts):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    start, end = int(fetched_starts[0]), int(fetched_ends[-1])
    opens, closes = session.spans(start, end)
    # trading ends at a close and is back at the next open; what is before and after is closed too
    closed_from = np.clip(np.append(start, closes), start, end)
    closed_until = np.clip(np.append(opens, grid.next(end)), start, grid.next(end))
    starts, ends = grid.ceils(closed_from), np.minimum(grid.floors(closed_until), end)
    return _not_empty(starts, ends)


def _not_empty(starts: Times, ends: Times) -> tuple[Times, Times]:
    keep = starts < ends
    return starts[keep], ends[keep]


def _within(times: Times, starts: Times, ends: Times) -> Mask:
    """Which times lie in one of the ranges [start, end), which ascend and do not overlap."""
    if not len(starts):
        return np.zeros(len(times), np.bool_)
    at = np.searchsorted(starts, times, "right") - 1
    within: Mask = (at >= 0) & (times < ends[at])
    return within
