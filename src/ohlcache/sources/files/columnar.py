"""Tables of columns: Parquet, Feather (both versions), and Arrow IPC files and streams.

Read a batch of rows at a time. Parquet goes through a small read buffer, which keeps memory
bounded even where one row group holds the whole file. An Arrow file is read by its own record
batches, which writers make of some ten or hundred thousand rows; a larger one is sliced on a memory
map, but if it is compressed it has to be decompressed as a whole.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ohlcache.candles.block import Block, Times, Values
from ohlcache.errors import FileFormatError
from ohlcache.sources.files.clock import Clock
from ohlcache.sources.files.compression import open_seekable
from ohlcache.sources.files.faults import BadLayout, BadRow
from ohlcache.sources.files.heading import NULLS, is_number
from ohlcache.sources.files.layout import (
    ABSENT,
    CANDLES,
    TIMESTAMP,
    Layout,
    Roles,
    make_layout,
)
from ohlcache.sources.files.options import Options
from ohlcache.sources.files.progress import Progress

PARQUET_MAGIC = b"PAR1"
ARROW_MAGICS = (b"ARROW1", b"FEA1", b"\xff\xff\xff\xff")
_ARROW_FILE, _FEATHER_V1, _ARROW_STREAM = ARROW_MAGICS

_ROWS = 262_144
_READ_BUFFER = 1 << 20
_EXACT = 2**53
_LARGE_BATCH = 64 << 20


def read_columnar(path: Path, options: Options, progress: Progress) -> Iterator[Block]:
    """The candles of a Parquet, Feather or Arrow file, in the file's order.

    Raises FileFormatError, naming the row (counted from 1), for a value that does not fit.
    """
    clock = Clock(options.zone, options.time_unit)
    yield from read_columns(path, options, CANDLES, clock, progress)


def read_columns(
    path: Path, options: Options, roles: Roles, clock: Clock, progress: Progress
) -> Iterator[Block]:
    """The columns of a file that play these roles, whatever they are."""
    before = 0
    with open_seekable(path) as file, _arrow_errors(path):
        source = _open(file)
        layout = find_layout(path, source.schema, options, roles)
        for batch, progress.fraction in source.read(names_read(source.schema, layout)):
            try:
                block = to_candles(batch, source.schema, layout, clock)
            except BadRow as bad:
                raise FileFormatError(
                    f"{path}: row {before + bad.row + 1}: {bad.problem}"
                ) from None
            before += len(block)
            if len(block):
                yield block


# -- containers ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Source:
    """A file's schema, and its record batches with how much of the file each one completes."""

    schema: Any
    read: Callable[[list[str]], Iterator[tuple[Any, float]]]


@contextmanager
def _arrow_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).split("\n")[0].rstrip(".")
        raise FileFormatError(
            f"{path}: the file is truncated, damaged or of another format ({reason}): "
            "download or export it again"
        ) from error


def _open(file: Path | IO[bytes]) -> _Source:
    magic = _magic(file)
    if magic.startswith(PARQUET_MAGIC):
        return _open_parquet(file)
    if magic.startswith(_ARROW_FILE):
        return _open_arrow_file(file)
    if magic.startswith(_FEATHER_V1):
        return _open_feather_v1(file)
    if magic.startswith(_ARROW_STREAM):
        return _open_arrow_stream(file)
    raise pa.ArrowInvalid("it is neither Parquet, Feather nor Arrow")


def _magic(file: Path | IO[bytes]) -> bytes:
    if isinstance(file, Path):
        with file.open("rb") as opened:
            return opened.read(8)
    magic = file.read(8)
    file.seek(0)
    return magic


def _native(file: Path | IO[bytes]) -> Any:
    return pa.OSFile(str(file)) if isinstance(file, Path) else pa.PythonFile(file)


def _open_parquet(file: Path | IO[bytes]) -> _Source:
    import pyarrow.parquet as pq

    opened = pq.ParquetFile(_native(file), buffer_size=_READ_BUFFER, pre_buffer=False)
    total = opened.metadata.num_rows

    def read(names: list[str]) -> Iterator[tuple[Any, float]]:
        rows = 0
        for batch in opened.iter_batches(batch_size=_ROWS, columns=names):
            rows += batch.num_rows
            yield batch, rows / total

    return _Source(opened.schema_arrow, read)


def _open_arrow_file(file: Path | IO[bytes]) -> _Source:
    opened = pa.ipc.open_file(_native(file))
    batches = opened.num_record_batches
    is_large = isinstance(file, Path) and file.stat().st_size > _LARGE_BATCH * max(batches, 1)

    def read(_: list[str]) -> Iterator[tuple[Any, float]]:
        for at in range(batches):
            parts = _mapped_parts(file, at) if is_large else _parts(opened.get_batch(at))
            for part, fraction in parts:
                yield part, (at + fraction) / batches

    return _Source(opened.schema, read)


def _mapped_parts(file: Path | IO[bytes], at: int) -> Iterator[tuple[Any, float]]:
    """A large record batch in slices on a memory map.

    The map is made anew for each slice, since pages once touched count as memory until it is
    gone. A batch that is compressed takes memory when it is opened; it is opened only once.
    """
    allocated = pa.total_allocated_bytes()
    batch = pa.ipc.open_file(pa.memory_map(str(file))).get_batch(at)
    if pa.total_allocated_bytes() - allocated >= batch.nbytes:
        yield from _parts(batch)
        return
    for start in range(0, batch.num_rows, _ROWS):
        batch = pa.ipc.open_file(pa.memory_map(str(file))).get_batch(at)
        part = batch.slice(start, _ROWS)
        yield part, (start + part.num_rows) / batch.num_rows


def _open_arrow_stream(file: Path | IO[bytes]) -> _Source:
    native = _native(file)
    size = native.size()
    opened = pa.ipc.open_stream(native)

    def read(_: list[str]) -> Iterator[tuple[Any, float]]:
        for batch in opened:
            for part, _fraction in _parts(batch):
                yield part, native.tell() / size

    return _Source(opened.schema, read)


def _open_feather_v1(file: Path | IO[bytes]) -> _Source:
    from pyarrow import feather

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        whole = isinstance(file, Path)
        table = feather.read_table(str(file) if whole else file, memory_map=whole)

    def read(_: list[str]) -> Iterator[tuple[Any, float]]:
        for batch in table.to_batches():
            yield from _parts(batch)

    return _Source(table.schema, read)


def _parts(batch: Any) -> Iterator[tuple[Any, float]]:
    """A record batch in slices, with how much of it each one completes."""
    for start in range(0, batch.num_rows, _ROWS):
        part = batch.slice(start, _ROWS)
        yield part, (start + part.num_rows) / batch.num_rows


# -- columns ------------------------------------------------------------------------------------


def find_layout(path: Path | str, schema: Any, options: Options, roles: Roles) -> Layout:
    """Which column of a schema is which. Raises FileFormatError, naming ``path``."""
    given = options.given_layout(roles)
    if len(set(schema.names)) < len(schema.names):
        raise FileFormatError(f"{path}: two columns have one name: rename one of them")
    if given is not None:
        if given.width != len(schema.names):
            raise FileFormatError(
                f"{path}: {len(schema.names)} columns ({', '.join(schema.names)}), but --columns "
                f"names {given.width}: name each of them, _ skips one"
            )
        return given
    try:
        layout = _layout_by_name(schema, roles)
    except BadLayout as problem:
        raise FileFormatError(
            f"{path}: {problem}: give the names of all columns in order with --columns"
        ) from None
    texts = [
        position
        for position in layout.positions[len(roles.aliases) :]
        if not _is_numeric(schema.field(position).type)
    ]
    return layout.without(texts)


def _layout_by_name(schema: Any, roles: Roles) -> Layout:
    """The layout by name; where no name says time, the index of pandas or the only timestamp."""
    labels = list(schema.names)
    index = _pandas_index(schema)
    stamps = [at for at, kind in enumerate(schema.types) if pa.types.is_timestamp(kind)]
    if index in stamps:
        labels[index] = TIMESTAMP
    try:
        return make_layout(labels, roles)
    except BadLayout as problem:
        candidates = stamps if index == ABSENT else [index]
        if len(candidates) == 1:
            labels[candidates[0]] = TIMESTAMP
            with suppress(BadLayout):
                return make_layout(labels, roles)
        raise problem from None


def _pandas_index(schema: Any) -> int:
    """The position of the column that pandas wrote its index to, or ABSENT."""
    try:
        columns = json.loads((schema.metadata or {})[b"pandas"])["index_columns"]
    except (KeyError, ValueError, TypeError):
        return ABSENT
    names = [name for name in columns if isinstance(name, str) and name in schema.names]
    return int(schema.names.index(names[0])) if len(names) == 1 else ABSENT


def names_read(schema: Any, layout: Layout) -> list[str]:
    """The columns of a schema that a layout needs."""
    wanted = {position for position in (*layout.time, *layout.positions) if position != ABSENT}
    return [schema.names[position] for position in sorted(wanted)]


def to_candles(batch: Any, schema: Any, layout: Layout, clock: Clock) -> Block:
    """The columns of a record batch. Raises BadRow for a value that does not fit."""
    columns = [_decoded(batch.column(schema.names[position])) for position in layout.time]
    times = _times(columns, clock)
    values = np.empty((len(layout.names), len(times)))
    for row, (name, position) in enumerate(zip(layout.names, layout.positions, strict=True)):
        if position == ABSENT:
            values[row] = np.nan
        else:
            values[row] = _floats(_decoded(batch.column(schema.names[position])), name)
    return Block(times, values, layout.names)


def _decoded(array: Any) -> Any:
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _is_numeric(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_numeric(kind.value_type)
    checks = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    return any(check(kind) for check in (*checks, pa.types.is_boolean, pa.types.is_null))


def _is_text(kind: Any) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or str(kind) == "string_view"


def _times(columns: list[Any], clock: Clock) -> Times:
    for column in columns:
        if column.null_count:
            row = int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
            raise BadRow(row, "the time is empty, expected one in every row")
    column = columns[0]
    if len(columns) > 1:
        if all(_is_text(column.type) for column in columns):
            column = pc.binary_join_element_wise(*(c.cast(pa.string()) for c in columns), " ")
        elif not _is_moment(column.type):
            column = columns[1]
    return moments(column, clock)


def _is_moment(kind: Any) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def moments(column: Any, clock: Clock) -> Times:
    """A column of times as ms. Raises BadRow for what is no time."""
    kind = column.type
    if pa.types.is_date(kind):
        column, kind = column.cast(pa.timestamp("ms")), pa.timestamp("ms")
    if pa.types.is_timestamp(kind):
        raw = column.cast(pa.int64()).to_numpy(zero_copy_only=False)
        return clock.from_stamps(raw, kind.unit, is_utc=kind.tz is not None)
    if _is_text(kind):
        texts = column.cast(pa.string())
        digits = pc.match_substring_regex(texts, pattern=r"^\s*-?\d+\s*$")
        if len(texts) and not pc.all(digits).as_py():
            return clock.from_texts(texts)
        column = pc.utf8_trim_whitespace(texts)
    elif not _is_numeric(kind) or pa.types.is_boolean(kind):
        raise BadRow(0, f"the time is {column[0].as_py()!r} ({kind}), expected a time")
    try:
        numbers = column.cast(pa.float64() if pa.types.is_floating(kind) else pa.int64())
    except pa.ArrowInvalid as error:
        raise BadRow(0, f"the time is no whole number ({error}), expected a time") from None
    return clock.from_numbers(numbers.to_numpy(zero_copy_only=False))


def _floats(array: Any, name: str) -> Values:
    """A column as float64, exactly; nulls are NaN. BadRow for what is no number."""
    kind = array.type
    if pa.types.is_integer(kind):
        _refuse_inexact(array, name)
    elif pa.types.is_decimal(kind):
        array = array.cast(pa.string())  # parsing text rounds once, casting a decimal may not
    elif _is_text(kind):
        return _from_texts(array, name)
    elif not _is_numeric(kind):
        raise BadRow(0, f"{name} is {array[0].as_py()!r} ({kind}), expected a number")
    values: Values = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return values


def _from_texts(array: Any, name: str) -> Values:
    try:
        numbers = pc.utf8_trim_whitespace(array).cast(pa.float64())
    except pa.ArrowInvalid:
        return np.array([_number(field, row, name) for row, field in enumerate(array.to_pylist())])
    values: Values = numbers.to_numpy(zero_copy_only=False)
    return values


def _number(field: str | None, row: int, name: str) -> float:
    if field is None or field.strip() in NULLS:
        return np.nan
    if is_number(field):
        return float(field)
    raise BadRow(row, f"{name} is {field!r}, expected a number")


def _refuse_inexact(array: Any, name: str) -> None:
    integers = array.fill_null(0).to_numpy(zero_copy_only=False)
    for row in np.flatnonzero((integers > _EXACT) | (integers < -_EXACT)):
        if int(float(integers[row])) != int(integers[row]):
            raise BadRow(
                int(row),
                f"{name} is {integers[row]}, beyond 2**53 and more than float64 can hold: leave "
                "the column out with _ in --columns",
            )
