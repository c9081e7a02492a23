"""The forms of the columns of pandas: numpy memory as it is, and pandas' own kinds of arrays."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from ohlcache.cache.values.arrow import read_table, write_table
from ohlcache.cache.values.tree import TreeReader, TreeWriter, register

_OBJECTS, _CATEGORICAL, _DATETIMES, _TIMEDELTAS, _PERIODS, _INTERVALS = range(64, 70)
_BOOLEANS, _INTEGERS, _FLOATS, _STRINGS, _ARROW = range(70, 75)

_OBJECT = np.dtype(object)


class _Objects(NamedTuple):
    """A column of Python objects."""

    items: list[Any]


def write_column(tree: TreeWriter, column: pd.Series[Any] | pd.Index[Any]) -> Any:
    """The values of a series or an index, without its labels and its name."""
    if column.dtype == _OBJECT:
        return tree.node(_Objects(column.tolist()))
    return tree.node(column.to_numpy() if isinstance(column.dtype, np.dtype) else column.array)


def read_column(values: Any, index: pd.Index[Any]) -> pd.Series[Any]:
    """Values that were read, as a series on ``index`` without a name."""
    series: pd.Series[Any] = pd.Series(values, index=index, dtype=values.dtype, copy=False)
    return series


def _objects_from(_: TreeReader, items: list[Any]) -> np.ndarray[Any, Any]:
    return np.fromiter(items, _OBJECT, len(items))


def _categorical(tree: TreeWriter, column: pd.Categorical) -> list[Any]:
    return [tree.node(column.codes), tree.node(column.categories), column.ordered]


def _categorical_from(_: TreeReader, fields: list[Any]) -> Any:
    codes, categories, is_ordered = fields
    return pd.Categorical.from_codes(codes, dtype=pd.CategoricalDtype(categories, is_ordered))


def _datetimes(tree: TreeWriter, column: Any) -> list[Any]:
    moments = column.asi8.view(f"M8[{column.unit}]")
    return [tree.node(moments), tree.node(column.tz)]


def _datetimes_from(_: TreeReader, fields: list[Any]) -> Any:
    moments, zone = fields
    index = pd.DatetimeIndex(moments, copy=False)
    return (index if zone is None else index.tz_localize("UTC").tz_convert(zone)).array


def _timedeltas(tree: TreeWriter, column: Any) -> Any:
    return tree.node(column.asi8.view(f"m8[{column.unit}]"))


def _periods(tree: TreeWriter, column: Any) -> list[Any]:
    return [tree.node(column.asi8), column.freqstr]


def _periods_from(_: TreeReader, fields: list[Any]) -> Any:
    ordinals, frequency = fields
    return pd.arrays.PeriodArray(ordinals, dtype=pd.PeriodDtype(frequency))


def _intervals(tree: TreeWriter, column: Any) -> list[Any]:
    return [tree.node(column.left), tree.node(column.right), column.closed]


def _intervals_from(_: TreeReader, fields: list[Any]) -> Any:
    left, right, closed = fields
    return pd.arrays.IntervalArray.from_arrays(left, right, closed=closed)


def _masked(tree: TreeWriter, column: Any) -> list[Any]:
    # The public ways out copy, or confuse NaN with a missing value.
    return [tree.node(column._data), tree.node(column._mask)]


def _strings(tree: TreeWriter, column: Any) -> list[Any]:
    dtype = column.dtype
    return [dtype.storage, dtype.na_value is pd.NA, _write_arrow(tree, column)]


def _strings_from(tree: TreeReader, fields: list[Any]) -> Any:
    storage, is_na, buffer = fields
    dtype: Any = pd.StringDtype(storage, pd.NA if is_na else np.nan)
    return dtype.__from_arrow__(_read_arrow(tree, buffer))


def _arrow_from(tree: TreeReader, buffer: int) -> Any:
    return pd.arrays.ArrowExtensionArray(_read_arrow(tree, buffer))


def _write_arrow(tree: TreeWriter, column: Any) -> int:
    array = column.__arrow_array__()
    chunks = array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])
    return write_table(tree, pa.table([chunks], [""]))


def _read_arrow(tree: TreeReader, buffer: int) -> pa.ChunkedArray:
    return read_table(tree, buffer).column(0)


register(_Objects, _OBJECTS, lambda tree, column: tree.nodes(column.items), _objects_from)
register(pd.Categorical, _CATEGORICAL, _categorical, _categorical_from)
register(pd.arrays.DatetimeArray, _DATETIMES, _datetimes, _datetimes_from)
register(
    pd.arrays.TimedeltaArray,
    _TIMEDELTAS,
    _timedeltas,
    lambda _, moments: pd.TimedeltaIndex(moments, copy=False).array,
)
register(pd.arrays.PeriodArray, _PERIODS, _periods, _periods_from)
register(pd.arrays.IntervalArray, _INTERVALS, _intervals, _intervals_from)
register(pd.arrays.BooleanArray, _BOOLEANS, _masked, lambda _, f: pd.arrays.BooleanArray(*f))
register(pd.arrays.IntegerArray, _INTEGERS, _masked, lambda _, f: pd.arrays.IntegerArray(*f))
register(pd.arrays.FloatingArray, _FLOATS, _masked, lambda _, f: pd.arrays.FloatingArray(*f))
register(pd.arrays.StringArray, _STRINGS, _strings, _strings_from)
register(pd.arrays.ArrowStringArray, _STRINGS, _strings, _strings_from)
register(pd.arrays.ArrowExtensionArray, _ARROW, _write_arrow, _arrow_from)
