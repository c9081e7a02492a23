"""Measurements as they come: checked, without holes, and few enough for all their pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ohlcache.errors import InvalidArgument
from ohlcache.telemetry.trends.moments import seconds

Array = npt.NDArray[np.float64]


def observations(times: Any, values: Any, named: str = "values") -> tuple[Array, Array]:
    """Both as float64 arrays, without the pairs of which either is NaN or infinite.

    Times may be all that ``moments`` knows, and come out as seconds.

    InvalidArgument where they are empty, of different lengths, not what they should be, or times
    fall.
    """
    at, seen = _flat(seconds(times, "times"), "times"), _flat(_numbers(values, named), named)
    if len(at) != len(seen):
        raise InvalidArgument(
            f"{named} has {len(seen)} entries and times {len(at)}: give one value for each time"
        )
    if not len(at):
        raise InvalidArgument("times is empty: give at least one measurement")
    known = np.isfinite(at) & np.isfinite(seen)
    at, seen = at[known], seen[known]
    falls = np.flatnonzero(np.diff(at) < 0)
    if len(falls):
        before, after = at[falls[0]], at[falls[0] + 1]
        raise InvalidArgument(f"times falls from {before:g} to {after:g}: sort by time")
    return at, seen


def _numbers(given: Any, name: str) -> Array:
    try:
        found = np.asarray(given)
        if found.dtype.kind in "Mm":  # NumPy would count their units
            raise TypeError
        return np.asarray(found, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidArgument(
            f"{name} {given!r:.60} holds what is no number: give numbers"
        ) from None


def _flat(numbers: Array, name: str) -> Array:
    if numbers.ndim != 1:
        raise InvalidArgument(f"{name} has {numbers.ndim} dimensions: give a flat sequence")
    return numbers


def thinned(times: Array, values: Array, most: int) -> tuple[Array, Array]:
    """At most so many points: the medians of equal stretches of time; empty ones are left out."""
    if len(times) <= most or times[0] == times[-1]:
        return times, values
    share = (times - times[0]) / (times[-1] - times[0])
    stretch = np.minimum((share * most).astype(np.int64), most - 1)
    ordered = values[np.lexsort((values, stretch))]
    first = np.flatnonzero(np.diff(stretch, prepend=-1))
    count = np.diff(first, append=len(stretch))
    medians = (ordered[first + (count - 1) // 2] + ordered[first + count // 2]) / 2
    return np.add.reduceat(times, first) / count, medians


def ranks(values: Array) -> Array:
    """The place of each value in their order, less the mean of all; equal values share theirs."""
    _, which, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    placed: Array = (last - (count + 1) / 2)[which]
    placed -= placed.mean()
    return placed


def tamed(off: Array) -> Array:
    """Residuals with the outliers drawn near, so that squares are not ruled by them."""
    middle = float(np.median(off))
    usual = 1.4826 * float(np.median(np.abs(off - middle)))
    return np.clip(off, middle - 4 * usual, middle + 4 * usual) if usual else off
