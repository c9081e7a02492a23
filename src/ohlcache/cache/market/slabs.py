"""Cutting a DataFrame into slabs of rows and groups of columns, and putting parts together.

Pure: no cache is known here. A piece of a frame has the positions of its columns as labels and no
index of its own, since labels may repeat and the index is stored apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from ohlcache.candles.block import Mask
from ohlcache.candles.instant import Instant, to_ms
from ohlcache.errors import InvalidArgument

Labels = Any  # a pandas Index of any kind
Bound = Any  # a moment for a DatetimeIndex, a label for any other index

_GROUPS_IN_SLAB = 16  # columns share a chunk until it has this part of a slab's bytes


@dataclass(frozen=True)
class Plan:
    """How a frame is cut.

    outline: the frame without its rows.
    edges: the row where each slab begins, and the number of rows.
    groups: positions of the columns of each group.
    ends: labels of the first and of the last row of each slab; None if the index is not sorted.
    """

    outline: pd.DataFrame
    edges: list[int]
    groups: list[list[int]]
    ends: tuple[Labels, Labels] | None

    @property
    def slabs(self) -> int:
        """The number of slabs."""
        return len(self.edges) - 1

    def rows(self, slab: int) -> int:
        """The number of rows of a slab."""
        return self.edges[slab + 1] - self.edges[slab]

    def slabs_in(self, rows: Rows) -> list[int]:
        """The slabs that may hold such rows."""
        if self.ends is None:
            return list(range(self.slabs))
        firsts, lasts = self.ends
        return np.flatnonzero(rows.not_after(firsts) & rows.not_before(lasts)).tolist()

    def groups_with(self, positions: Iterable[int]) -> list[int]:
        """The groups that hold these columns."""
        wanted = set(positions)
        return [number for number, group in enumerate(self.groups) if wanted.intersection(group)]

    def positions(self, columns: Iterable[Any] | None) -> list[int]:
        """Where the columns of these labels stand. Raises InvalidArgument for an unknown one."""
        labels = self.outline.columns
        if columns is None:
            return list(range(len(labels)))
        if isinstance(columns, str):
            raise InvalidArgument(f"columns is {columns!r}: give a list, [{columns!r}]")
        found: list[int] = []
        for label in columns:
            try:
                place = labels.get_loc(label)
            except (KeyError, TypeError):
                known = ", ".join(map(str, labels[:20]))
                raise InvalidArgument(f"columns names {label!r}: there are {known}") from None
            found += np.atleast_1d(np.arange(len(labels))[place]).tolist()
        return found


class Rows:
    """The rows of a range [start, end) of labels, in an index like ``index``."""

    def __init__(self, index: Labels, start: Bound | None, end: Bound | None) -> None:
        self._is_bounded = start is not None or end is not None
        if self._is_bounded and isinstance(index, pd.MultiIndex):
            raise InvalidArgument("start and end need an index of one level: leave them out")
        if isinstance(index, pd.DatetimeIndex):
            start, end = _moment(start, "start", index), _moment(end, "end", index)
        self._start, self._end, self._dtype = start, end, getattr(index, "dtype", None)
        if start is not None and end is not None and not self._compare(lambda: start < end):
            raise InvalidArgument(f"start {start} is not before end {end}: ranges are [start, end)")

    def not_before(self, index: Labels) -> Mask:
        """Which labels are at or after the start."""
        start = self._start
        return _all(index) if start is None else self._compare(lambda: index >= start)

    def not_after(self, index: Labels) -> Mask:
        """Which labels are before the end."""
        end = self._end
        return _all(index) if end is None else self._compare(lambda: index < end)

    def within(self, index: Labels) -> slice | Mask:
        """Where the labels of the range are; a slice if they stand side by side."""
        if not self._is_bounded:
            return slice(0, len(index))
        mask = self.not_before(index) & self.not_after(index)
        found = np.flatnonzero(mask)
        if not len(found):
            return slice(0, 0)
        first, last = int(found[0]), int(found[-1])
        return slice(first, last + 1) if last - first + 1 == len(found) else mask

    def _compare(self, comparison: Any) -> Any:
        try:
            return comparison()
        except (TypeError, ValueError) as error:
            raise InvalidArgument(
                f"start {self._start!r} and end {self._end!r} cannot be compared with an index of "
                f"{self._dtype} ({error}): give labels of its type"
            ) from None


def plan(data: pd.DataFrame, slab_bytes: int) -> Plan:
    """How to cut a frame so that a slab takes at most ``slab_bytes``, but at least one row."""
    widths = [_nbytes(data.iloc[:, place]) for place in range(data.shape[1])]
    edges = [0]
    if len(data):
        row_bytes = (sum(widths) + _nbytes(data.index)) / len(data)
        step = max(1, int(slab_bytes // max(row_bytes, 1)))
        for start in range(0, len(data), step):
            edges += _halved(data, start, min(start + step, len(data)), slab_bytes)
    share = min(1.0, slab_bytes / max(sum(widths), 1))
    groups = _grouped([width * share for width in widths], slab_bytes / _GROUPS_IN_SLAB)
    ends = None
    if data.index.is_monotonic_increasing and not isinstance(data.index, pd.MultiIndex):
        ends = (data.index[edges[:-1]], data.index[[edge - 1 for edge in edges[1:]]])
    return Plan(data.iloc[:0], edges, groups, ends)


def pieces(data: pd.DataFrame, how: Plan, slab: int) -> Iterator[tuple[int, pd.DataFrame]]:
    """The groups of one slab, each with its number."""
    rows = data.iloc[how.edges[slab] : how.edges[slab + 1]]
    for number, group in enumerate(how.groups):
        piece = rows.iloc[:, group].reset_index(drop=True)
        piece.columns = pd.Index(group)
        piece.attrs.clear()
        yield number, piece


def part(
    groups: Sequence[pd.DataFrame], where: slice | Mask, positions: Sequence[int], length: int
) -> pd.DataFrame:
    """Rows and columns of one slab, from the groups that hold them."""
    if not groups:
        return pd.DataFrame(index=range(length)).iloc[where]
    whole = groups[0] if len(groups) == 1 else pd.concat(groups, axis=1)
    places = whole.columns.get_indexer(pd.Index(positions))
    return whole.iloc[where, places]


def join(
    how: Plan, parts: Sequence[tuple[Labels, pd.DataFrame]], positions: Sequence[int]
) -> pd.DataFrame:
    """A frame from its parts (index, rows), with the labels and attributes of the whole."""
    outline = how.outline.iloc[:, list(positions)]
    if not parts:
        return outline.copy()
    index, *more = (labels for labels, _ in parts)
    if more:
        frame = pd.concat([rows for _, rows in parts], ignore_index=True)
        index = index.append(more)
    else:
        frame = parts[0][1].copy()  # what the cache holds is not the caller's to change
    frequency = getattr(outline.index, "freq", None)
    if frequency is not None and not isinstance(index, pd.PeriodIndex) and index.freq is None:
        index.freq = frequency  # the rows are contiguous, since all of a regular index ascend
    frame.index = index
    frame.columns = outline.columns
    frame.attrs = dict(how.outline.attrs)
    return frame


def _halved(data: pd.DataFrame, start: int, stop: int, limit: int) -> list[int]:
    """Where slabs of [start, stop) end, when rows of uneven size make it too large for one."""
    rows = data.iloc[start:stop]
    size = _nbytes(rows.index)
    size += sum(_nbytes(rows.iloc[:, place]) for place in range(rows.shape[1]))
    if size <= limit or stop - start == 1:
        return [stop]
    middle = (start + stop) // 2
    return _halved(data, start, middle, limit) + _halved(data, middle, stop, limit)


def _grouped(widths: Sequence[float], enough: float) -> list[list[int]]:
    groups: list[list[int]] = []
    size = enough
    for position, width in enumerate(widths):
        if size >= enough:
            groups.append([])
            size = 0.0
        groups[-1].append(position)
        size += width
    return groups


def _nbytes(column: Any) -> int:
    """Bytes of a column or an index that grow with its rows."""
    if isinstance(column, pd.MultiIndex):
        return sum(np.asarray(codes).nbytes for codes in column.codes)
    if isinstance(column, pd.RangeIndex):
        return 0
    if isinstance(column.dtype, pd.CategoricalDtype):
        return int(column.array.codes.nbytes)
    if isinstance(column, pd.Index):
        return int(column.memory_usage(deep=True))
    return int(column.memory_usage(index=False, deep=True))


def _moment(bound: Instant | None, field: str, index: pd.DatetimeIndex) -> pd.Timestamp | None:
    """A bound of a DatetimeIndex, as exact as it was given; naive means UTC on both sides."""
    if bound is None:
        return None
    ms = to_ms(bound, field)
    has_fraction = isinstance(bound, str) and "." in bound
    if has_fraction or isinstance(bound, date | np.datetime64):
        moment = pd.Timestamp(bound)
        moment = moment.tz_localize("UTC") if moment.tzinfo is None else moment
    else:
        moment = pd.Timestamp(ms, unit="ms", tz="UTC")
    return moment.tz_convert(index.tz) if index.tz is not None else moment.tz_convert(None)


def _all(index: Labels) -> Mask:
    return np.ones(len(index), bool)
