"""How many bytes a value takes in memory: deep, cheap, and close rather than exact.

Long containers and columns of objects are sampled evenly. What several values may share (classes,
modules, functions) is not counted; a view of an array is counted with the whole memory that it
keeps alive.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Sized
from itertools import islice
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

_SAMPLE = 32  # parts looked at in a container with more than twice as many
_MOST_LOOKS = 10_000  # objects looked at in one value
_ARRAY = 112  # bytes of an array without its data
# The same of what pandas makes, by the RSS of many in a memory tier: a frame with columns of one
# type, each further type, a column with an array of its own kind (texts, categories), …
_FRAME, _FURTHER_TYPE, _OWN_ARRAY, _SERIES, _INDEX = 5600, 2200, 900, 2500, 600
FLAT = frozenset((type(None), bool, int, float, complex, str, bytes, bytearray, range))
_SHARED = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType)
_CONTAINERS = (list, tuple, set, frozenset, deque)

_Part = tuple[Any, float]  # an object and how many like it there are


def size_of(value: Any) -> int:
    """Bytes that a value keeps alive, its parts included."""
    if type(value) in FLAT:
        size: int = value.__sizeof__()  # sys.getsizeof would add nothing but time
        return size
    return _deep_size(value)


def _deep_size(value: Any) -> int:
    total = 0.0
    seen: set[int] = set()
    rest: list[_Part] = [(value, 1.0)]
    while rest and len(seen) < _MOST_LOOKS:
        one, times = rest.pop()
        if type(one) in FLAT:
            total += times * sys.getsizeof(one)
            continue
        if id(one) in seen or isinstance(one, _SHARED):
            continue
        seen.add(id(one))
        measured = _measured(one)
        if measured is not None:
            total += times * measured
            continue
        total += times * sys.getsizeof(one, 0)
        rest += [(part, times * share) for part, share in _parts(one)]
    return int(total)


def _measured(value: Any) -> float | None:
    """The bytes of what knows its own size: arrays and frames."""
    package = type(value).__module__.partition(".")[0]
    if package == "numpy":
        return _array_size(value)
    if package == "pandas":
        return _pandas_size(value)
    if package == "pyarrow" and hasattr(value, "get_total_buffer_size"):
        return float(value.get_total_buffer_size())
    if package == "polars" and hasattr(value, "estimated_size"):
        return float(value.estimated_size())
    nbytes = getattr(value, "nbytes", None)
    return float(nbytes) if isinstance(nbytes, int) else None


def _array_size(value: Any) -> float | None:
    nbytes = getattr(value, "nbytes", None)
    if nbytes is None or not hasattr(value, "dtype"):
        return None
    owner = value
    while (base := getattr(owner, "base", None)) is not None and hasattr(base, "nbytes"):
        owner = base
    size = _ARRAY + max(nbytes, getattr(owner, "nbytes", 0))
    if value.dtype.hasobject and getattr(value, "ndim", 0):
        size += _column_size(value.ravel())
    return float(size)


def _pandas_size(value: Any) -> float | None:
    import pandas as pd

    if isinstance(value, pd.DataFrame):
        size = float(value.index.memory_usage(deep=False)) + _index_size(value.index)
        size += _FRAME + _FURTHER_TYPE * max(0, len(set(value.dtypes)) - 1)
        for position, kind in enumerate(value.dtypes):
            size += _frame_column_size(value, position, kind)
        return size
    if isinstance(value, pd.Series):
        size = _SERIES + float(value.memory_usage(index=True, deep=False))
        return (
            size
            + _index_size(value.index)
            + (_column_size(value) if _is_object(value.dtype) else 0)
        )
    if isinstance(value, pd.Index):
        return _INDEX + float(value.memory_usage(deep=False)) + _index_size(value)
    return None


def _is_object(dtype: Any) -> bool:
    return bool(getattr(dtype, "kind", "") == "O" and getattr(dtype, "hasobject", False))


def _index_size(index: Any) -> float:
    """The objects of an index; its array is counted already."""
    return _column_size(index) if _is_object(index.dtype) and index.nlevels == 1 else 0.0


def _frame_column_size(frame: Any, position: int, dtype: Any) -> float:
    import numpy as np

    if isinstance(dtype, np.dtype) and not dtype.hasobject:
        return float(dtype.itemsize * len(frame))  # a series of it would be slow to make
    column = frame.iloc[:, position]
    size = _OWN_ARRAY + float(column.memory_usage(index=False, deep=False))
    return size + (_column_size(column) if _is_object(dtype) else 0.0)


def _column_size(column: Any) -> float:
    """The objects of an array or column, from an even sample."""
    count = len(column)
    if not count:
        return 0.0
    sample = column[:: max(1, count // _SAMPLE)]
    return count / len(sample) * sum(map(sys.getsizeof, sample))


def _parts(value: Any) -> Iterable[_Part]:
    if isinstance(value, dict):
        for part, share in _sampled(value.items(), value):
            yield part[0], share
            yield part[1], share
    elif isinstance(value, _CONTAINERS):
        yield from _sampled(value, value)
    attributes = getattr(value, "__dict__", None)
    if isinstance(attributes, dict):
        yield attributes, 1.0
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            part = getattr(value, name, None)
            if part is not None and name not in ("__dict__", "__weakref__"):
                yield part, 1.0


def _sampled(parts: Iterable[Any], whole: Sized) -> Iterable[_Part]:
    step = max(1, len(whole) // _SAMPLE)
    sample = list(islice(parts, 0, None, step))
    share = len(whole) / len(sample) if sample else 1.0
    return [(part, share) for part in sample]
