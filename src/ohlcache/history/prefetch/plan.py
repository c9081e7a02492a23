"""What to prefetch after a read that goes forward; for one that goes backward turn time round."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from ohlcache.candles import Interval, IntervalSet
from ohlcache.candles.interval import covers, intersection, union

Turn = Callable[[Interval], Interval]

ALWAYS = Interval(-(2**62), 2**62)


@dataclass(frozen=True, slots=True)
class Units:
    """What loading comes in, in ms: whole windows of the store, and pages of the source.

    window: 0 where candles are made from finer ones, which come in any amount.
    page: None where nothing is to be asked of the source.
    """

    window: int
    page: int | None


class Surroundings(NamedTuple):
    """What is around a read, all of it without a hole.

    decoded: what memory holds, or is about to. covered: what the store knows.
    """

    decoded: Interval
    covered: Interval

    def turned(self, turn: Turn) -> Surroundings:
        """The same seen the other way."""
        return Surroundings(turn(self.decoded), turn(self.covered))


class Ahead(NamedTuple):
    """A range worth having at hand, and whether it has to be asked of the source."""

    range: Interval
    is_fetch: bool


def next_ahead(read: Interval, step: int, around: Surroundings, units: Units) -> Ahead | None:
    """What to load now, if anything.

    Of the store a window ahead, or a step where that is longer. Of the source a page or a step, as
    soon as less than half a page is left: requests take longer than decoding, but are dearer.
    """
    decoded, covered = around
    lead = lead_of(step, around, units)
    if lead is None or decoded.end - read.end >= lead:
        return None
    if covered.end > decoded.end:
        end = read.end + lead
        if units.window:
            end += -end % units.window
        return Ahead(Interval(decoded.end, min(covered.end, end)), is_fetch=False)
    assert units.page is not None
    return Ahead(Interval(decoded.end, decoded.end + max(step, units.page)), is_fetch=True)


def lead_of(step: int, around: Surroundings, units: Units) -> int | None:
    """How far ahead of a read to be; None where nothing more can be had."""
    if around.covered.end > around.decoded.end:
        return max(step, units.window)
    return None if units.page is None else max(step, units.page // 2)


def surroundings(
    read: Interval, runs: Iterable[Interval], coverage: IntervalSet, coming: Iterable[Interval]
) -> Surroundings | None:
    """What is around a read, given what memory holds, the store knows and is being prefetched.

    None where the read itself is not all covered and in memory.
    """
    run = next((run for run in runs if run.start <= read.start and read.end <= run.end), None)
    if run is None or not covers(coverage, *read):
        return None
    covered = next(one for one in coverage if one.start <= read.start < one.end)
    decoded = _with_adjacent(intersection([run], [covered])[0], coming)
    return Surroundings(decoded, union([covered], [decoded])[0])


def without_store(read: Interval, coming: Iterable[Interval]) -> Surroundings:
    """The same for candles that are made from finer ones, of which nothing more is known."""
    return Surroundings(_with_adjacent(read, coming), ALWAYS)


def _with_adjacent(range_: Interval, others: Iterable[Interval]) -> Interval:
    joined = union([range_], others)
    return next(one for one in joined if one.start <= range_.start < one.end)


def calm_until(
    read: Interval, around: Surroundings, margin: int | None, coming: Iterable[Interval]
) -> int:
    """Up to where later reads need no second look.

    Up to the next range that was prefetched, or so far from the end of what memory holds as
    ``margin`` says; without a margin, or when the read is as near already, no end matters.
    """
    ends = [other.start for other in coming]
    if margin is not None:
        ends.append(around.decoded.end - margin)
    return min((end for end in ends if end >= read.end), default=ALWAYS.end)
