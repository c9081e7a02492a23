"""JSON arrays of rows, read piece by piece: ``[[…], […], …]`` and ``[{…}, {…}, …]``.

The text is cut behind a row's end, each piece is parsed as an array of its own, and the last one
must close the array. So a file of any size is read in bounded memory, and a file cut short is
noticed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ohlcache.candles.block import Block, Times, Values
from ohlcache.errors import FileFormatError
from ohlcache.sources.files.clock import Clock
from ohlcache.sources.files.compression import Stream
from ohlcache.sources.files.faults import BadLayout, BadRow
from ohlcache.sources.files.layout import ABSENT, Layout, Roles, make_layout

Row = list[Any]

_PIECE = 4 << 20
_HEAD = 64 << 10
_LONGEST_ROW = 1 << 20
_EXACT = 2**53
_BOM = b"\xef\xbb\xbf"


def first_row(stream: Stream) -> Row | dict[str, Any] | None:
    """The first row of the array, without consuming it; None if it cannot be made out.

    An array without any row gives an empty list.
    """
    head = stream.peek(_HEAD).removeprefix(_BOM).lstrip()
    body = head[1:].lstrip()
    if head[:1] == b"[" and body[:1] == b"]":
        return []
    if head[:1] != b"[" or body[:1] not in (b"[", b"{"):
        return None
    end = body.find(b"]" if body[:1] == b"[" else b"}") + 1
    try:
        row = json.loads(body[:end])
    except ValueError:
        return None
    return row if isinstance(row, list | dict) else None


def read_rows(stream: Stream, path: Path) -> Iterator[tuple[int, list[Any]]]:
    """Batches of rows, lists or dicts as they stand, with the number of rows before each.

    Raises FileFormatError where the file is no JSON array of rows or ends within one.
    """
    rows_before = 0
    for piece in _pieces(stream, path):
        try:
            rows = json.loads(b"[%b]" % piece)
        except (ValueError, RecursionError) as error:
            raise FileFormatError(
                f"{path}: the JSON cannot be read after row {rows_before} ({error}): the file is "
                "damaged or no array of rows"
            ) from None
        yield rows_before, rows
        rows_before += len(rows)


def row_layout(row: dict[str, Any], path: Path, roles: Roles) -> Layout:
    """The layout of rows that are objects; members that are no numbers do not travel along."""
    try:
        layout = make_layout(list(row), roles)
    except BadLayout as problem:
        raise FileFormatError(f"{path}: {problem}: rename the members of each object") from None
    members = list(row.values())
    texts = [
        position
        for position in layout.positions[len(roles.aliases) :]
        if not isinstance(members[position], int | float | None)
    ]
    return layout.without(texts)


def to_block(rows: Sequence[Any], layout: Layout, clock: Clock) -> Block:
    """Rows as a block; BadRow for one that does not fit the layout."""
    columns = _columns(rows, layout)
    written = [columns[position] for position in layout.time]
    if len(written) > 1:
        written = [[f"{date} {time}" for date, time in zip(*written, strict=True)]]
    times = _times(written[0], clock)
    values = np.empty((len(layout.names), len(rows)))
    for at, (name, position) in enumerate(zip(layout.names, layout.positions, strict=True)):
        values[at] = np.nan if position == ABSENT else _floats(columns[position], name)
    return Block(times, values, layout.names)


def _pieces(stream: Stream, path: Path) -> Iterator[bytes]:
    """The inside of the array in pieces that hold whole rows, without the comma after each."""
    text = stream.peek(_HEAD).removeprefix(_BOM).lstrip()
    opened = text[:1] == b"["
    inside = text[1:].lstrip()[:1]
    if not opened or inside not in (b"[", b"{", b"]"):
        raise FileFormatError(
            f"{path}: the JSON is no array of rows, expected [[ms, open, high, low, close, "
            "volume], …]: choose another format"
        )
    row_end = b"}" if inside == b"{" else b"]"
    rest = stream.read(_PIECE).removeprefix(_BOM).lstrip()[1:]
    while data := stream.read(_PIECE):
        end = rest.rfind(row_end + b",") + 1
        if end:
            yield rest[:end]
            rest = rest[end + 1 :]
        rest += data
        if not end and len(rest) > 2 * _PIECE + _LONGEST_ROW:
            raise FileFormatError(f"{path}: a row of the JSON does not end: choose another format")
    rest = rest.rstrip()
    last = rest.removesuffix(b"]").rstrip()
    if not rest.endswith(b"]") or (last and not last.endswith(row_end)):
        raise FileFormatError(
            f"{path}: the JSON ends within a row, the file is truncated: download it again"
        )
    if last:
        yield last


def _columns(rows: Sequence[Any], layout: Layout) -> list[Sequence[Any]]:
    if isinstance(rows[0], dict):
        other = next((at for at, row in enumerate(rows) if not isinstance(row, dict)), None)
        if other is not None:
            raise BadRow(other, f"{rows[other]!r}, expected an object as in the rows before")
        return [[row.get(label) for row in rows] for label in layout.labels]
    try:
        columns = list(zip(*rows, strict=True))
    except (TypeError, ValueError):
        columns = []
    if len(columns) != layout.width:
        row = next(at for at, row in enumerate(rows) if not _has_width(row, layout.width))
        got = f"{len(rows[row])} values" if isinstance(rows[row], list) else repr(rows[row])
        raise BadRow(row, f"{got}, expected {layout.expected}")
    return list(columns)


def _has_width(row: Any, width: int) -> bool:
    return isinstance(row, list) and len(row) == width


def _times(column: Sequence[Any], clock: Clock) -> Times:
    kinds = set(map(type, column))
    if kinds == {str} and not all(_is_integer(text) for text in column):
        return clock.from_texts(pa.array(column, pa.string()))
    if kinds <= {int, str}:
        try:
            return clock.from_numbers(np.array([int(number) for number in column], np.int64))
        except (ValueError, OverflowError):
            pass
    elif kinds <= {int, float}:
        return clock.from_numbers(np.array(column, np.float64))
    row = next((at for at, time in enumerate(column) if not _is_time(time)), 0)
    raise BadRow(row, f"the time is {column[row]!r}, expected epoch milliseconds")


def _is_integer(text: str) -> bool:
    return text.strip().removeprefix("-").isdecimal()


def _is_time(time: Any) -> bool:
    return type(time) in (int, float) and abs(time) < 2**63


def _floats(column: Sequence[Any], name: str) -> Values:
    """Numbers, or texts of numbers, as float64; None is NaN."""
    try:
        values = np.array(column, np.float64)
    except (TypeError, ValueError, OverflowError):
        row = next((at for at, value in enumerate(column) if not _is_number(value)), 0)
        raise BadRow(row, f"{name} is {column[row]!r}, expected a number or null") from None
    if values.ndim != 1:
        raise BadRow(0, f"{name} is {column[0]!r}, expected a number or null")
    for large in np.flatnonzero(np.abs(values) >= _EXACT):
        value = column[int(large)]
        if isinstance(value, int) and int(float(value)) != value:
            raise BadRow(int(large), f"{name} is {value}, which float64 cannot hold (beyond 2**53)")
    return values


def _is_number(value: Any) -> bool:
    try:
        return value is None or np.ndim(float(value)) == 0
    except (TypeError, ValueError, OverflowError):
        return False
