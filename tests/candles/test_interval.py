"""The interval algebra against sets of integers, where every answer is obvious."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ohlcache.candles.interval import (
    Interval,
    covers,
    difference,
    gaps,
    intersection,
    normalise,
    total,
    union,
)

bounds = st.integers(-20, 40)
intervals = st.lists(st.tuples(bounds, bounds), max_size=12)


def members(pairs):
    return {moment for start, end in pairs for moment in range(start, end)}


def assert_normal(pairs):
    assert isinstance(pairs, tuple)
    assert all(isinstance(pair, Interval) and pair.start < pair.end for pair in pairs)
    assert all(left.end < right.start for left, right in pairwise(pairs))


@given(intervals)
def test_normalise(pairs):
    normal = normalise(pairs)
    assert_normal(normal)
    assert members(normal) == members(pairs)
    assert normalise(normal) == normal
    assert normalise(iter(pairs)) == normal


@given(intervals, intervals)
def test_union(left, right):
    result = union(left, right)
    assert_normal(result)
    assert members(result) == members(left) | members(right)


@given(intervals, intervals)
def test_intersection(left, right):
    result = intersection(left, right)
    assert_normal(result)
    assert members(result) == members(left) & members(right)


@given(intervals, intervals)
def test_difference(left, right):
    result = difference(left, right)
    assert_normal(result)
    assert members(result) == members(left) - members(right)


@given(intervals, bounds, bounds)
def test_gaps(pairs, start, end):
    result = gaps(pairs, start, end)
    assert_normal(result)
    assert members(result) == set(range(start, end)) - members(pairs)


@given(intervals, bounds, bounds)
def test_covers(pairs, start, end):
    assert covers(normalise(pairs), start, end) == (set(range(start, end)) <= members(pairs))


@given(intervals)
def test_total(pairs):
    assert total(pairs) == len(members(pairs))


def test_touching_intervals_become_one():
    assert normalise([(5, 9), (0, 5)]) == (Interval(0, 9),)


def test_nothing():
    assert normalise([]) == union([], []) == intersection([(0, 5)], []) == ()
    assert difference([], [(0, 5)]) == ()
    assert gaps([], 0, 5) == (Interval(0, 5),)
    assert covers((), 5, 5)
    assert not covers((), 5, 6)
