"""Tables of text: CSV, with commas, semicolons, tabs or bars.

The file is read in pieces of a few megabytes, each cut at a line end. pyarrow parses a piece on
all cores. A piece that it refuses is parsed again, row by row in plain Python: that either finds
the offending line and says what is wrong with it, or reads what pyarrow is too strict for. So
every number is what Python's ``float`` makes of its text, and every error names its line.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from ohlcache.candles.block import OHLCV, Block, Times, Values
from ohlcache.errors import FileFormatError
from ohlcache.sources.files.assumed import (
    ASSUMED,
    ASSUMED_SPLIT,
    REMEDY,
    OrderCheck,
    assumed_layout,
)
from ohlcache.sources.files.clock import Clock
from ohlcache.sources.files.compression import Stream
from ohlcache.sources.files.faults import BadLayout, BadRow
from ohlcache.sources.files.heading import HEAD_BYTES, NULLS, Heading, is_number, read_heading
from ohlcache.sources.files.layout import ABSENT, CANDLES, Layout, Roles, make_layout
from ohlcache.sources.files.options import Options
from ohlcache.sources.files.progress import Progress

_PIECE = 8 << 20
_TASK = 2 << 20
_LONGEST_LINE = 1 << 20
_EXACT = 2.0**53
_INT64 = 2**63
_INTEGER = re.compile(r"\s*[+-]?\d+\s*")
_DATE_ONLY = re.compile(r"\d{4}[-./]?\d\d[-./]?\d\d|\d\d\.\d\d\.\d{4}")
_CLOCK_ONLY = re.compile(r"\d\d?:\d\d(:\d\d(\.\d+)?)?|\d{4}|\d{6}")

TimeKind = Literal["integers", "floats", "texts"]


@dataclass(frozen=True, slots=True)
class Table:
    """How to read a delimited file: its layout, how times are written, what comes before data.

    is_assumed: the layout was not said by anyone, so that the prices have to bear it out.
    """

    path: Path
    layout: Layout
    delimiter: str
    heading_lines: int
    time_kind: TimeKind
    is_assumed: bool = False


def read_delimited(path: Path, options: Options, progress: Progress) -> Iterator[Block]:
    """The candles of a CSV file, in the file's order."""
    with Stream(path) as stream:
        heading = read_heading(stream.peek(HEAD_BYTES), path, CANDLES)
        given = options.given_layout(CANDLES)
        if given is not None:
            table = make_table(path, heading, _joined(given, heading))
        elif heading.names is not None:
            table = make_table(path, heading, named_layout(path, heading, CANDLES))
        else:
            table = make_table(path, heading, _assumed(path, heading), is_assumed=True)
        yield from read_table(stream, table, Clock(options.zone, options.time_unit), progress)


def make_table(path: Path, heading: Heading, layout: Layout, *, is_assumed: bool = False) -> Table:
    """How to read a file with this heading and layout."""
    kind: TimeKind = "texts"
    if len(layout.time) == 1:
        fields = heading.column(layout.time[0])
        if fields and _INTEGER.fullmatch(fields[0]):
            kind = "integers"
        elif fields and is_number(fields[0]):
            kind = "floats"
    return Table(path, layout, heading.delimiter, heading.lines, kind, is_assumed)


def named_layout(path: Path, heading: Heading, roles: Roles) -> Layout:
    """The layout that the file's own column names give; text columns do not travel along.

    Raises FileFormatError where they do not say enough.
    """
    try:
        layout = make_layout(heading.names or (), roles)
    except BadLayout as problem:
        raise FileFormatError(
            f"{path}: {problem}: give the names of all columns in order with --columns"
        ) from None
    texts = [
        position
        for position in layout.positions[len(roles.aliases) :]
        if not all(map(is_number, heading.column(position)))
    ]
    return _joined(layout.without(texts), heading)


def read_table(stream: Stream, table: Table, clock: Clock, progress: Progress) -> Iterator[Block]:
    """The rows of a delimited file as blocks of a few megabytes of text each.

    Raises FileFormatError, naming the line (counted from 1), for a row that does not fit.
    """
    skip = table.heading_lines
    order = OrderCheck()
    for first_line, piece in _pieces(stream, table.path):
        if skip:
            skipped, piece = _skip_lines(piece, skip)
            skip -= skipped
            first_line += skipped
        if not piece:
            continue
        try:
            block = _read_piece(piece, table, clock)
        except BadRow as bad:
            line = first_line + _line_of_row(piece, bad.row)
            raise FileFormatError(f"{table.path}: line {line}: {bad.problem}") from None
        if table.is_assumed and not order.fits(block):
            raise FileFormatError(f"{table.path}: the columns have no names, and {REMEDY}")
        progress.fraction = stream.fraction
        if len(block):
            yield block


def _joined(layout: Layout, heading: Heading) -> Layout:
    """The layout with date and time of day as one time, or with the one that says it all."""
    if len(layout.time) < 2:
        return layout
    date, clock = layout.time
    if _is_split(heading, date, clock):
        return layout
    return layout.with_time(clock if _all(_DATE_ONLY, heading.column(date)) else date)


def _assumed(path: Path, heading: Heading) -> Layout:
    """The layout of a file that names no columns; FileFormatError if there are too many or few."""
    if not heading.sample:
        raise FileFormatError(f"{path}: no row of numbers: this is no table of candles")
    split = heading.width == len(ASSUMED_SPLIT) and _is_split(heading, 0, 1)
    layout = assumed_layout(heading.width, split_time=split)
    if layout is None:
        raise FileFormatError(
            f"{path}: {_count(heading.width)} without names, expected {len(ASSUMED)} "
            f"({', '.join(ASSUMED)}): give the names in order with --columns"
        )
    return layout


def _is_split(heading: Heading, date: int, clock: int) -> bool:
    return _all(_DATE_ONLY, heading.column(date)) and _all(_CLOCK_ONLY, heading.column(clock))


def _all(pattern: re.Pattern[str], fields: list[str]) -> bool:
    return bool(fields) and all(map(pattern.fullmatch, fields))


# -- pieces -------------------------------------------------------------------------------------


def _pieces(stream: Stream, path: Path) -> Iterator[tuple[int, bytes]]:
    """The file in pieces that end where a line ends, with the number of each one's first line."""
    line, rest = 1, b"".join(_without_bom(stream))
    while data := stream.read(_PIECE):
        end = data.rfind(b"\n") + 1
        if not end:
            rest += data
            if len(rest) > _LONGEST_LINE:
                raise FileFormatError(f"{path}: line {line} does not end: this is no table of text")
            continue
        piece = rest + data[:end]
        rest = data[end:]
        yield line, piece
        line += piece.count(b"\n")
    if rest:
        yield line, rest


def _without_bom(stream: Stream) -> Iterator[bytes]:
    start = stream.read(3)
    if start != b"\xef\xbb\xbf":
        yield start


def _skip_lines(piece: bytes, lines: int) -> tuple[int, bytes]:
    """How many lines of these were skipped, and the piece without them."""
    at = 0
    for skipped in range(lines):
        end = piece.find(b"\n", at) + 1
        if not end:
            return skipped + 1, b""
        at = end
    return lines, piece[at:]


def _line_of_row(piece: bytes, row: int) -> int:
    """How many lines come before a row, since empty lines are no rows."""
    rows = -1
    for line, text in enumerate(io.BytesIO(piece)):
        rows += text.strip(b"\r\n") != b""
        if rows == row:
            return line
    return row


# -- a piece ------------------------------------------------------------------------------------


def _read_piece(piece: bytes, table: Table, clock: Clock) -> Block:
    layout = table.layout
    try:
        columns = _parse_fast(piece, table)
    except pa.ArrowInvalid:
        columns = _parse_slow(piece, table)
    times = _read_times([columns[position] for position in layout.time], table, clock)
    values = np.empty((len(layout.names), len(times)))
    for row, position in enumerate(layout.positions):
        values[row] = np.nan if position == ABSENT else _to_numpy(columns[position])
    _refuse_inexact(values, piece, table)
    return Block(times, values, layout.names)


def _parse_fast(piece: bytes, table: Table) -> dict[int, Any]:
    """The columns of a piece by position, as Arrow arrays; ArrowInvalid if pyarrow refuses it."""
    types = {str(position): kind for position, kind in _types(table).items()}
    parsed = pacsv.read_csv(
        pa.BufferReader(piece),
        read_options=pacsv.ReadOptions(
            column_names=[str(position) for position in range(table.layout.width)],
            block_size=_TASK,
        ),
        parse_options=pacsv.ParseOptions(delimiter=table.delimiter),
        convert_options=pacsv.ConvertOptions(
            column_types=types,
            include_columns=list(types),
            null_values=list(NULLS),
            strings_can_be_null=True,
        ),
    )
    return {int(position): parsed[position] for position in types}


def _parse_slow(piece: bytes, table: Table) -> dict[int, Any]:
    """The same columns, read a row at a time; BadRow for the first row that does not fit."""
    layout, types = table.layout, _types(table)
    fields: dict[int, list[Any]] = {position: [] for position in types}
    for at, row in enumerate(_rows(piece, table)):
        if len(row) != layout.width:
            raise BadRow(at, f"{_count(len(row))}, expected {layout.expected}")
        for position, kind in types.items():
            field = row[position].strip()
            if field in NULLS:
                fields[position].append(None)
            elif kind == pa.string():
                fields[position].append(field)
            elif (
                kind == pa.int64() and _INTEGER.fullmatch(field) and -_INT64 <= int(field) < _INT64
            ):
                fields[position].append(int(field))
            else:
                fields[position].append(_number(field, at, layout.labels[position]))
    for position in layout.time:
        if any(isinstance(field, float) for field in fields[position]):
            types[position] = pa.float64()
            fields[position] = [
                None if field is None else float(field) for field in fields[position]
            ]
    return {
        position: pa.chunked_array([pa.array(fields[position], kind)])
        for position, kind in types.items()
    }


def _types(table: Table) -> dict[int, Any]:
    """The Arrow type in which each column that is read is read, by position."""
    time_types = {"integers": pa.int64(), "floats": pa.float64(), "texts": pa.string()}
    types = {position: pa.float64() for position in table.layout.positions if position != ABSENT}
    return types | dict.fromkeys(table.layout.time, time_types[table.time_kind])


def _rows(piece: bytes, table: Table) -> Iterator[list[str]]:
    """The rows of a piece as lists of fields, without the empty ones."""
    text = io.StringIO(piece.decode("utf-8", errors="replace"), newline="")
    rows = 0
    try:
        for row in csv.reader(text, delimiter=table.delimiter):
            if row:
                yield row
                rows += 1
    except csv.Error as error:
        raise BadRow(rows, f"{error}, expected {table.layout.expected}") from None


def _number(field: str, row: int, label: str) -> float:
    if is_number(field) and field.isascii():
        return float(field)
    raise BadRow(row, f"{label} is {field!r}, expected a number (in --columns a _ skips a column)")


def _count(columns: int) -> str:
    return f"{columns} column{'s' if columns != 1 else ''}"


def _read_times(columns: list[Any], table: Table, clock: Clock) -> Times:
    """Times from the one column of times, or from one of dates and one of times of day."""
    for column in columns:
        if column.null_count:
            row = int(np.argmax(pc.is_null(column).to_numpy(zero_copy_only=False)))
            raise BadRow(row, "the time is empty, expected one in every row")
    if table.time_kind != "texts":
        return clock.from_numbers(_to_numpy(columns[0]))
    texts = columns[0] if len(columns) == 1 else pc.binary_join_element_wise(*columns, " ")
    return clock.from_texts(
        pa.concat_arrays(texts.chunks) if texts.num_chunks else pa.array([], "string")
    )


def _to_numpy(column: Any) -> Values:
    """A numeric column, NaN where there is nothing."""
    numbers: Values = column.to_numpy(zero_copy_only=False)
    return numbers


def _refuse_inexact(values: Values, piece: bytes, table: Table) -> None:
    """Raise BadRow for an integer in a further column that float64 cannot hold."""
    further = values[len(OHLCV) :]
    if not (np.abs(further) >= _EXACT).any():
        return
    positions = table.layout.positions[len(OHLCV) :]
    for at, row in enumerate(_rows(piece, table)):
        for position in positions:
            field = row[position]
            if _INTEGER.fullmatch(field) and int(field) != int(float(field)):
                raise BadRow(
                    at,
                    f"{table.layout.labels[position]} is {field.strip()}, beyond 2**53 and more "
                    "than float64 can hold: skip the column with _ in --columns",
                )
