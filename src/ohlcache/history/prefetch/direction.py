"""Which way reads go: two ranges of about the same length, the later one a step further on."""

from __future__ import annotations

from ohlcache.candles import Interval

_SIMILAR = 2  # the longer of two ranges is at most so many times the other
_FARTHEST = 2  # a step is at most so many times the longer one; what is beyond is a jump


def step(previous: Interval, current: Interval) -> int:
    """How far a read goes beyond the one before it, ms: forward above 0, backward below.

    0 where there is no direction: the same range, one inside or around the other, a jump.
    """
    lengths = sorted((previous.end - previous.start, current.end - current.start))
    forward, backward = current.end - previous.end, previous.start - current.start
    if lengths[1] > _SIMILAR * lengths[0] or (forward > 0) == (backward > 0):
        return 0
    size = max(forward, backward)
    if size > _FARTHEST * lengths[1]:
        return 0
    return size if forward > 0 else -size


def is_jump(previous: Interval, current: Interval) -> bool:
    """Whether two ranges have nothing in common and do not touch."""
    return current.end < previous.start or previous.end < current.start


def overlap(one: Interval, other: Interval) -> bool:
    """Whether two ranges have a moment in common."""
    return one.start < other.end and other.start < one.end


def as_it_is(range_: Interval) -> Interval:
    """The range."""
    return range_


def mirrored(range_: Interval) -> Interval:
    """The range with time turned round, so that backward becomes forward; its own inverse."""
    return Interval(-range_.end, -range_.start)
