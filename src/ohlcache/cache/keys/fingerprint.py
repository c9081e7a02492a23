"""Fingerprints: digests of values by content, the same in every process.

A value is first written in a canonical form in msgpack, in which whatever is not a plain scalar is
an extension that names its type, and in which dicts and sets are sorted. Large memory goes in by
its own digest. The digest is BLAKE2b (RFC 7693) of 16 bytes.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, Flag
from hashlib import blake2b
from pathlib import PurePath
from typing import Any
from uuid import UUID

import msgspec

from ohlcache.cache.keys.code import SCRIPTS, code_content

_SIZE = 16  # bytes
_LEAST_INTEGER, _LARGEST_INTEGER = -(2**63), 2**64 - 1
_LOCAL = ("<locals>", "<lambda>")
_NUMERIC = "biufcmM"

_pack = msgspec.msgpack.Encoder().encode


def fingerprint(value: Any) -> str:
    """A digest of a value's type and content, 32 hexadecimal digits.

    Takes scalars, containers (the order of dicts and sets does not count), dates, Decimal, UUID,
    paths, Enum members, dataclasses, named tuples, functions and classes (by qualified name),
    numpy arrays, pandas, polars and pyarrow frames. NaN equals itself. How memory is laid out does
    not count.

    Raises TypeError, naming the type, for anything else.
    """
    try:
        return _digest(_pack(_node(value))).hex()
    except RecursionError:
        raise TypeError("a value that holds itself cannot be part of a key: give key=") from None


def _digest(data: Any) -> bytes:
    return blake2b(data, digest_size=_SIZE).digest()


def _node(value: Any) -> Any:
    """A value in canonical form."""
    kind = type(value)
    write = _FORMS.get(kind)
    if write is not None:
        return write(value)
    if isinstance(value, Enum):
        # A combination of flags may have no name.
        return _tagged(kind, value.value if isinstance(value, Flag) else value.name)
    if is_dataclass(value) and not isinstance(value, type):
        return _tagged(kind, [_node(getattr(value, field.name)) for field in fields(value)])
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return _tagged(kind, [_node(item) for item in value])
    if isinstance(value, PurePath):
        return _tagged(PurePath, str(value))
    if isinstance(value, type | types.FunctionType | types.BuiltinFunctionType):
        return _named(value)
    write = _LIBRARIES.get(kind.__module__.partition(".")[0], _refused)
    return write(value)


def _tagged(kind: type | str, content: Any) -> msgspec.msgpack.Ext:
    name = kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"
    return msgspec.msgpack.Ext(0, _pack([name, content]))


def _refused(value: Any) -> Any:
    kind = type(value)
    raise TypeError(
        f"a {kind.__module__}.{kind.__qualname__} cannot be part of a key: give builtin types, "
        "dataclasses, arrays or frames, or say what tells calls apart with key="
    )


def _integer(value: int) -> Any:
    return value if _LEAST_INTEGER <= value <= _LARGEST_INTEGER else _tagged(int, str(value))


def _float(value: float) -> Any:
    return value if value == value else _tagged(float, "nan")  # noqa: PLR0124


def _text(value: str) -> Any:
    return value if value.isascii() else _tagged(str, value.encode("utf-8", "surrogatepass"))


def _unordered(items: Iterable[Any]) -> list[bytes]:
    return sorted(_pack(_node(item)) for item in items)


def _mapping(value: dict[Any, Any]) -> Any:
    return _tagged(dict, _unordered(value.items()))


def _moment(value: datetime | time) -> Any:
    return _tagged(type(value), [value.isoformat(), value.fold, str(value.tzinfo)])


def _named(value: Any) -> Any:
    """A class or function by its name, if that says which one it is."""
    module, name = value.__module__, value.__qualname__
    owner = getattr(value, "__self__", None)
    is_bound = owner is not None and not isinstance(owner, types.ModuleType)
    if module is None or is_bound or any(part in name for part in _LOCAL):
        raise TypeError(
            f"{name} of {module} has no name of its own and cannot be part of a key: define it at "
            "the top of a module, or give key="
        )
    if module in SCRIPTS and isinstance(value, types.FunctionType):
        # Scripts have functions of the same names.
        known = [value.__defaults__, value.__kwdefaults__, code_content(value.__code__)]
        return _tagged(type(value), [name, _node(known)])
    return _tagged(type(value), f"{module}.{name}")


# -- numpy --------------------------------------------------------------------------------------


def _numpy(value: Any) -> Any:
    import numpy as np

    if type(value) is np.ndarray:
        return _array(value)
    if isinstance(value, np.generic) and not value.dtype.hasobject:
        return _tagged(type(value), [str(value.dtype), value.tobytes()])
    if isinstance(value, np.dtype):
        return _tagged(np.dtype, repr(value))
    return _refused(value)


def _array(array: Any) -> Any:
    import numpy as np

    shape = list(array.shape)
    if array.dtype.hasobject:
        return _tagged("array", [shape, [_node(item) for item in array.ravel().tolist()]])
    memory = np.ascontiguousarray(array).reshape(-1)
    data = _digest(memory.view(np.uint8) if memory.nbytes else b"")
    return _tagged("array", [shape, repr(array.dtype), data])


# -- pandas -------------------------------------------------------------------------------------


def _pandas(value: Any) -> Any:
    import pandas as pd

    if type(value) is pd.DataFrame:
        columns = [_pandas_column(value.iloc[:, place]) for place in range(value.shape[1])]
        return _tagged("frame", [_node(value.index), _node(value.columns), columns])
    if type(value) is pd.Series:
        return _tagged("series", [_node(value.index), _node(value.name), _pandas_column(value)])
    if isinstance(value, pd.MultiIndex):
        levels = [_pandas_column(value.get_level_values(place)) for place in range(value.nlevels)]
        return _tagged("index", [[_node(name) for name in value.names], levels])
    if isinstance(value, pd.Index):
        return _tagged("index", [_node(value.name), _pandas_column(value)])
    if isinstance(value, pd.Timestamp):
        return _tagged(pd.Timestamp, [value.isoformat(), value.fold, str(value.tzinfo)])
    if isinstance(value, pd.Timedelta):
        return _tagged(pd.Timedelta, value.isoformat())
    if value is pd.NaT or value is pd.NA:
        return _tagged(type(value), None)
    if isinstance(value, pd.api.extensions.ExtensionArray):
        return _pandas_column(pd.Series(value))
    if isinstance(value, pd.Period | pd.Interval | pd.offsets.BaseOffset):
        return _tagged(type(value), repr(value))
    return _refused(value)


def _pandas_column(column: Any) -> Any:
    import numpy as np
    import pandas as pd

    dtype = column.dtype
    if isinstance(dtype, np.dtype):
        return _array(column.to_numpy())
    if isinstance(dtype, pd.CategoricalDtype):
        values = column.array
        content = [_array(values.codes), _node(values.categories), bool(values.ordered)]
    elif isinstance(dtype, pd.DatetimeTZDtype):
        content = [_array(column.array.asi8)]
    else:
        content = [_node(column.tolist())]
    return _tagged("column", [str(dtype), *content])


# -- polars and pyarrow -------------------------------------------------------------------------


def _polars(value: Any) -> Any:
    import polars as pl

    if type(value) is pl.DataFrame:
        return _tagged("polars", [_polars_column(column) for column in value.get_columns()])
    if type(value) is pl.Series:
        return _polars_column(value)
    if isinstance(value, pl.DataType):
        return _tagged("polars.DataType", repr(value))
    return _refused(value)


def _polars_column(column: Any) -> Any:
    is_memory = column.dtype.is_numeric() and not column.null_count()
    content = _array(column.to_numpy()) if is_memory else _node(column.to_list())
    return _tagged("polars.Series", [column.name, str(column.dtype), content])


def _arrow(value: Any) -> Any:
    import pyarrow as pa

    if isinstance(value, pa.Table | pa.RecordBatch):
        columns = [_arrow_column(column) for column in value.columns]
        return _tagged("arrow", [list(value.schema.names), columns])
    if isinstance(value, pa.Array | pa.ChunkedArray):
        return _arrow_column(value)
    if isinstance(value, pa.DataType | pa.Schema | pa.Scalar):
        return _tagged("arrow." + type(value).__name__, str(value))
    return _refused(value)


def _arrow_column(column: Any) -> Any:
    import pyarrow as pa

    is_memory = (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)) and (
        column.null_count == 0
    )
    content = _array(_arrow_memory(column)) if is_memory else _node(column.to_pylist())
    return _tagged("arrow.Array", [str(column.type), content])


def _arrow_memory(column: Any) -> Any:
    import pyarrow as pa

    return column.to_numpy() if isinstance(column, pa.ChunkedArray) else column.to_numpy(False)


def _as_it_is(value: Any) -> Any:
    return value


_FORMS: dict[type, Callable[[Any], Any]] = {
    type(None): _as_it_is,
    bool: _as_it_is,
    bytes: _as_it_is,
    int: _integer,
    float: _float,
    str: _text,
    list: lambda value: [_node(item) for item in value],
    tuple: lambda value: _tagged(tuple, [_node(item) for item in value]),
    dict: _mapping,
    set: lambda value: _tagged(set, _unordered(value)),
    frozenset: lambda value: _tagged(frozenset, _unordered(value)),
    bytearray: lambda value: _tagged(bytearray, bytes(value)),
    complex: lambda value: _tagged(complex, repr(value)),
    range: lambda value: _tagged(range, [_node(part) for part in value.__reduce__()[1]]),
    slice: lambda value: _tagged(slice, [_node(part) for part in value.__reduce__()[1]]),
    type(...): lambda _: _tagged("Ellipsis", None),
    datetime: _moment,
    time: _moment,
    date: lambda value: _tagged(date, value.isoformat()),
    timedelta: lambda value: _tagged(timedelta, [value.days, value.seconds, value.microseconds]),
    Decimal: lambda value: _tagged(Decimal, str(value)),
    UUID: lambda value: _tagged(UUID, value.bytes),
}
_LIBRARIES: dict[str, Callable[[Any], Any]] = {
    "numpy": _numpy,
    "pandas": _pandas,
    "polars": _polars,
    "pyarrow": _arrow,
    "datetime": lambda value: _tagged(type(value), repr(value)),  # time zones
    "zoneinfo": lambda value: _tagged(type(value), repr(value)),
}
