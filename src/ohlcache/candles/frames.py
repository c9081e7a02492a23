"""Blocks from and to what users hold: pandas, polars, Arrow, numpy and ccxt's lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ohlcache.candles.block import OHLCV, Block, Times, Values
from ohlcache.candles.columns import TIME, find_columns, require_columns
from ohlcache.candles.instant import EARLIEST, LATEST
from ohlcache.errors import InvalidArgument, MissingExtra

if TYPE_CHECKING:
    import pandas as pd

Frame = Any  # a pandas or polars DataFrame, an Arrow table, a dict of arrays or ccxt's lists
FrameKind = Literal["pandas", "polars", "arrow", "numpy", "ccxt"]

_EXACT_INTEGERS = 2**53
NS_PER_MS = 1_000_000
_UNITS_PER_MS = {"ns": NS_PER_MS, "us": 1_000}


# -- in -----------------------------------------------------------------------------------------


def to_block(data: Frame) -> Block:
    """The candles of a table, in the order they stand, as a block.

    Takes a Block, a pandas or polars DataFrame, an Arrow table, a mapping of arrays, an (n, 6)
    array, or rows as ccxt gives them, ``[ms, open, high, low, close, volume]`` with None for what
    is not known (it becomes NaN). Columns are found by their usual names, in any case; the time
    is a column or, in pandas, a DatetimeIndex. Integer times are milliseconds, naive ones UTC.
    Further numeric columns travel along as float64; columns of text are left out.

    Raises InvalidArgument for a missing column, a name that occurs twice, a time that is no whole
    millisecond, an integer that float64 cannot hold, and whatever is no table of numbers.
    """
    if isinstance(data, Block):
        return data
    try:
        return _to_block(data)
    except InvalidArgument:
        raise
    except (TypeError, ValueError, OverflowError) as error:
        reason = " ".join(str(error).split())
        raise InvalidArgument(f"data is no table of candles ({reason}): give numbers") from error


def _to_block(data: Frame) -> Block:
    if data is None:
        return Block.empty()
    kind = type(data).__module__.partition(".")[0]
    if kind == "pandas" and hasattr(data, "columns"):
        return _from_columns(_pandas_columns(data))
    if kind == "polars" and hasattr(data, "columns"):
        return _from_columns({name: data[name].to_numpy() for name in data.columns})
    if kind == "pyarrow" and hasattr(data, "column_names"):
        return _from_columns(_arrow_columns(data))
    if isinstance(data, np.ndarray) and data.dtype.names:
        return _from_columns({name: data[name] for name in data.dtype.names})
    if isinstance(data, Mapping):
        return _from_columns({str(name): np.asarray(data[name]) for name in data})
    if isinstance(data, Sequence | np.ndarray) and not isinstance(data, str | bytes):
        return _from_rows(data)
    raise InvalidArgument(
        f"data is a {type(data).__name__}: give a DataFrame, an Arrow table, a dict of arrays or "
        "rows of [ms, open, high, low, close, volume]"
    )


def _pandas_columns(frame: pd.DataFrame) -> dict[str, Any]:
    import pandas as pd

    if isinstance(frame.columns, pd.MultiIndex):
        raise InvalidArgument("data has columns of several levels: select one symbol's columns")
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise InvalidArgument(f"data has two columns {twice!r}: rename one")
    columns = {str(name): _pandas_values(frame[name]) for name in frame.columns}
    if isinstance(frame.index, pd.PeriodIndex):
        columns[TIME] = frame.index.to_timestamp().to_numpy()
    elif isinstance(frame.index, pd.DatetimeIndex):
        index = frame.index if frame.index.tz is None else frame.index.tz_convert("UTC")
        columns = {
            name: columns[name] for name in columns if name != find_columns([name]).get(TIME)
        }
        columns[TIME] = index.tz_localize(None).to_numpy()
    elif frame.index.name is not None and TIME not in find_columns(columns):
        columns[str(frame.index.name)] = frame.index.to_numpy()
    return columns


def _pandas_values(series: pd.Series[Any]) -> Any:
    import pandas as pd

    if isinstance(series.dtype, pd.DatetimeTZDtype):
        return series.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
    if isinstance(series.dtype, pd.api.extensions.ExtensionDtype) and pd.api.types.is_numeric_dtype(
        series.dtype
    ):
        return (
            series.to_numpy(dtype="float64", na_value=np.nan)
            if series.hasnans
            else (series.to_numpy(dtype=getattr(series.dtype, "numpy_dtype", None)))
        )
    return series.to_numpy()


def _arrow_columns(table: Any) -> dict[str, Any]:
    import pyarrow as pa

    columns: dict[str, Any] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_timestamp(column.type):
            # A zone in Arrow is only how to show the moment: the numbers count from the epoch UTC.
            column = column.cast(pa.timestamp(column.type.unit))
        elif pa.types.is_decimal(column.type):
            column = column.cast(pa.float64())
        columns[name] = column.to_numpy()
    return columns


def _from_rows(rows: Sequence[Any] | np.ndarray[Any, Any]) -> Block:
    if not len(rows):
        return Block.empty()
    if isinstance(rows[0], Mapping):
        names = dict.fromkeys(name for row in rows for name in row)
        return _from_columns({name: np.array([row.get(name) for row in rows]) for name in names})
    width = len(OHLCV) + 1
    lengths = {len(row) for row in rows}
    if lengths != {width}:
        raise InvalidArgument(
            f"data has rows of {', '.join(map(str, sorted(lengths)))} fields: give "
            f"{width}, [ms, open, high, low, close, volume]"
        )
    times = _times(np.array([row[0] for row in rows]))
    values = np.array([[_number(field) for field in row[1:]] for row in rows], np.float64)
    return Block(times, np.ascontiguousarray(values.T))


def _number(field: Any) -> float:
    return np.nan if field is None else float(field)


def _from_columns(columns: dict[str, Any]) -> Block:
    found = find_columns(columns)
    require_columns(found, columns, what="data")
    if TIME not in found:
        raise InvalidArgument(
            f"data has no time (its columns are {', '.join(columns)}): give a DatetimeIndex or a "
            "column timestamp"
        )
    times = _times(np.asarray(columns[found[TIME]]))
    taken = set(found.values())
    extras = [name for name in columns if name not in taken and _is_numeric(columns[name])]
    repeated = [name for name in extras if name in (TIME, *OHLCV)]
    if repeated:
        raise InvalidArgument(f"data has two columns for {', '.join(repeated)}: rename one")
    values = np.empty((len(OHLCV) + len(extras), len(times)))
    for row, name in enumerate([*(found[role] for role in OHLCV), *extras]):
        column = _floats(columns[name], name)
        if column.shape != times.shape:
            raise InvalidArgument(
                f"column {name} has {len(column)} values where there are {len(times)} times"
            )
        values[row] = column
    return Block(times, values, (*OHLCV, *extras))


def _is_numeric(column: Any) -> bool:
    return np.asarray(column).dtype.kind in "iufb"


def _floats(column: Any, name: str) -> Values:
    array = np.asarray(column)
    if array.dtype.kind in "iu" and array.size and np.abs(array).max() > _EXACT_INTEGERS:
        raise InvalidArgument(
            f"column {name} holds integers beyond 2**53, which float64 cannot hold: leave it out"
        )
    try:
        if array.dtype == object:
            return np.array([_number(field) for field in array], np.float64)
        return array.astype(np.float64, copy=False)
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"column {name} is not numeric ({error}): give numbers") from None


def _times(times: np.ndarray[Any, Any]) -> Times:
    if times.dtype == object:
        times = _object_times(times)
    if times.dtype.kind == "M":
        return _datetime_times(times)
    if times.dtype.kind == "f" and (np.isnan(times).any() or (times != np.rint(times)).any()):
        raise InvalidArgument("column timestamp holds fractions or NaN: give whole milliseconds")
    if times.dtype.kind not in "iuf":
        raise InvalidArgument(
            f"column timestamp is {times.dtype}: give datetimes or integer milliseconds"
        )
    low, high = (int(times.min()), int(times.max())) if times.size else (0, 0)
    if low < EARLIEST or high > LATEST:
        raise InvalidArgument(
            f"column timestamp holds {high if high > LATEST else low}, outside the years 1678 to "
            "2262: integer times are milliseconds"
        )
    return np.ascontiguousarray(times, np.int64)


def _object_times(times: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    import pandas as pd

    if all(isinstance(time, int | np.integer) for time in times):
        return times.astype(np.int64)
    try:
        return pd.to_datetime(times, utc=True).tz_localize(None).to_numpy()
    except (ValueError, TypeError) as error:
        raise InvalidArgument(f"column timestamp cannot be read as times: {error}") from None


def _datetime_times(times: np.ndarray[Any, Any]) -> Times:
    if np.isnat(times).any():
        raise InvalidArgument(f"column timestamp is empty in row {int(np.isnat(times).argmax())}")
    unit, _ = np.datetime_data(times.dtype)
    numbers = times.view(np.int64)
    per_ms = _UNITS_PER_MS.get(unit)
    if per_ms is None:
        return np.ascontiguousarray(times.astype("M8[ms]").view(np.int64))
    uneven = numbers % per_ms != 0
    if uneven.any():
        raise InvalidArgument(
            f"column timestamp holds {times[int(uneven.argmax())]}, which is no whole millisecond"
        )
    return numbers // per_ms


# -- out ----------------------------------------------------------------------------------------


def to_frame(block: Block, as_: FrameKind = "pandas", *, copy: bool = False) -> Frame:
    """A block as ``pandas``, ``polars``, ``arrow``, ``numpy`` (dict of arrays) or ``ccxt`` lists.

    Nothing is copied unless ``copy`` is true (``ccxt`` is always new). Raises InvalidArgument for
    any other name.
    """
    convert = _CONVERTERS.get(as_)
    if convert is None:
        raise InvalidArgument(f"as_ is {as_!r}: use one of {', '.join(_CONVERTERS)}")
    if copy:
        block = Block(block.times.copy(), block.values.copy(), block.names)
    return convert(block)


def to_index(nanoseconds: Times) -> pd.DatetimeIndex:
    """The pandas index (UTC, named ``timestamp``) on these nanoseconds, without a copy."""
    import pandas as pd

    # Integers with a zone are taken as they are; going through datetime64 would copy them.
    return pd.DatetimeIndex(nanoseconds, tz="UTC", copy=False, name=TIME)


def _to_pandas(block: Block) -> pd.DataFrame:
    import pandas as pd

    nanoseconds = block.nanoseconds
    index = to_index(block.times * NS_PER_MS if nanoseconds is None else nanoseconds)
    return pd.DataFrame(block.values.T, index=index, columns=_labels(block.names), copy=False)


@lru_cache(maxsize=256)
def _labels(names: tuple[str, ...]) -> pd.Index[str]:
    import pandas as pd

    return pd.Index(names)


def _to_numpy(block: Block) -> dict[str, Times | Values]:
    columns: dict[str, Times | Values] = {TIME: block.times}
    columns.update(zip(block.names, block.values, strict=True))
    return columns


def _to_arrow(block: Block) -> Any:
    import pyarrow as pa

    buffers = [None, pa.py_buffer(np.ascontiguousarray(block.times))]
    times = pa.Array.from_buffers(pa.timestamp("ms", "UTC"), len(block), buffers)
    columns = [pa.array(np.ascontiguousarray(column)) for column in block.values]
    return pa.table([times, *columns], [TIME, *block.names])


def _to_polars(block: Block) -> Any:
    try:
        import polars as pl
    except ImportError:
        raise MissingExtra("polars", "polars") from None
    return pl.from_arrow(_to_arrow(block))


def _to_ccxt(block: Block) -> list[list[float | int | None]]:
    columns = [_with_none(column) for column in block.values[: len(OHLCV)]]
    return [list(row) for row in zip(block.times.tolist(), *columns, strict=True)]


def _with_none(column: Values) -> list[float | None]:
    values: list[float | None] = column.tolist()
    if np.isnan(column).any():
        return [None if value != value else value for value in values]  # noqa: PLR0124
    return values


_CONVERTERS: dict[str, Callable[[Block], Frame]] = {
    "pandas": _to_pandas,
    "polars": _to_polars,
    "arrow": _to_arrow,
    "numpy": _to_numpy,
    "ccxt": _to_ccxt,
}
