"""The forms of pandas: frames, series, indexes and moments.

Every column travels in the layout that it has in memory (``columns``), and so do the labels, so
that dtypes, names, zones and frequencies come back as they were. Frames that are built from what
was read share its memory, which is read-only: copy one to change it in place.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset

from ohlcache.cache.values.columns import read_column, write_column
from ohlcache.cache.values.tree import TreeReader, TreeWriter, Unencodable, register

_FRAME, _SERIES, _INDEX, _RANGE, _MULTI = range(48, 53)
_TIMESTAMP, _TIMEDELTA, _NAT, _NA = range(56, 60)


def _frame(tree: TreeWriter, frame: pd.DataFrame) -> list[Any]:
    index, labels = tree.node(frame.index), tree.node(frame.columns)
    attributes = _attributes(tree, frame)
    dtype = _only_dtype(frame)
    if dtype is not None:
        return [index, labels, attributes, tree.node(frame.to_numpy()), None]
    columns = []
    for label, column in frame.items():
        try:
            columns.append(write_column(tree, column))
        except Unencodable as error:
            raise error.inside(f"[{label!r}]") from None
    return [index, labels, attributes, None, columns]


def _only_dtype(frame: pd.DataFrame) -> np.dtype[Any] | None:
    """The numpy dtype of all columns, if it is one, so that they are one array."""
    dtypes = set(frame.dtypes)
    dtype = dtypes.pop() if len(dtypes) == 1 else None
    return dtype if isinstance(dtype, np.dtype) and dtype != np.dtype(object) else None


def _frame_from(_: TreeReader, fields: list[Any]) -> pd.DataFrame:
    index, labels, attributes, block, columns = fields
    if columns is None:
        frame = pd.DataFrame(block, index=index, columns=labels, copy=False)
    else:
        by_position = {
            position: read_column(column, index) for position, column in enumerate(columns)
        }
        frame = pd.DataFrame(by_position, index=index, copy=False)
        frame.columns = labels
    frame.attrs.update(attributes)
    return frame


def _series(tree: TreeWriter, series: pd.Series[Any]) -> list[Any]:
    return [
        tree.node(series.index),
        tree.node(series.name),
        _attributes(tree, series),
        write_column(tree, series),
    ]


def _series_from(_: TreeReader, fields: list[Any]) -> pd.Series[Any]:
    index, name, attributes, column = fields
    series = read_column(column, index)
    series.name = name
    series.attrs.update(attributes)
    return series


def _attributes(tree: TreeWriter, owner: pd.DataFrame | pd.Series[Any]) -> Any:
    try:
        return tree.node(dict(owner.attrs))
    except Unencodable as error:
        raise error.inside(".attrs") from None


def _index(tree: TreeWriter, index: pd.Index[Any]) -> list[Any]:
    return [write_column(tree, index), tree.node(index.name), _frequency(index)]


def _frequency(index: pd.Index[Any]) -> str | None:
    """A frequency as text; None for one that text cannot say, such as holidays of one's own."""
    frequency = getattr(index, "freq", None)
    if frequency is None or isinstance(index, pd.PeriodIndex):  # whose dtype holds it
        return None
    try:
        return frequency.freqstr if to_offset(frequency.freqstr) == frequency else None
    except ValueError:
        return None


def _index_from(_: TreeReader, fields: list[Any]) -> Any:
    column, name, frequency = fields
    index: Any = pd.Index(column, dtype=column.dtype, name=name, copy=False, tupleize_cols=False)
    return index if frequency is None else type(index)(index, freq=frequency)


def _range(tree: TreeWriter, index: pd.RangeIndex) -> list[Any]:
    return [index.start, index.stop, index.step, tree.node(index.name)]


def _range_from(_: TreeReader, fields: list[Any]) -> pd.RangeIndex:
    start, stop, step, name = fields
    return pd.RangeIndex(start, stop, step, name=name)


def _multi(tree: TreeWriter, index: pd.MultiIndex) -> list[Any]:
    return [
        tree.nodes(index.levels),
        tree.nodes([np.asarray(codes) for codes in index.codes]),
        tree.nodes(index.names),
    ]


def _multi_from(_: TreeReader, fields: list[Any]) -> pd.MultiIndex:
    levels, codes, names = fields
    return pd.MultiIndex(levels=levels, codes=codes, names=names)


def _timestamp(tree: TreeWriter, moment: pd.Timestamp) -> list[Any]:
    return [tree.node(moment.asm8), tree.node(moment.tzinfo)]


def _timestamp_from(_: TreeReader, fields: list[Any]) -> pd.Timestamp:
    moment, zone = fields
    stamp = pd.Timestamp(moment)
    return stamp if zone is None else stamp.tz_localize("UTC").tz_convert(zone)


register(pd.DataFrame, _FRAME, _frame, _frame_from)
register(pd.Series, _SERIES, _series, _series_from)
register(pd.RangeIndex, _RANGE, _range, _range_from)
register(pd.MultiIndex, _MULTI, _multi, _multi_from)
for _kind in (
    pd.Index,
    pd.DatetimeIndex,
    pd.TimedeltaIndex,
    pd.PeriodIndex,
    pd.CategoricalIndex,
    pd.IntervalIndex,
):
    register(_kind, _INDEX, _index, _index_from)
register(pd.Timestamp, _TIMESTAMP, _timestamp, _timestamp_from)
register(
    pd.Timedelta,
    _TIMEDELTA,
    lambda tree, value: tree.node(value.asm8),
    lambda _, value: pd.Timedelta(value),
)
register(type(pd.NaT), _NAT, lambda *_: None, lambda *_: pd.NaT)
register(type(pd.NA), _NA, lambda *_: None, lambda *_: pd.NA)
