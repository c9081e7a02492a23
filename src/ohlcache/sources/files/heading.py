"""The beginning of a delimited file: its delimiter, the lines before the data, its column names.

Only the first lines are looked at. A line is data if one of its fields is a number or a date;
the lines before the first one of these are the heading, whatever their number up to a limit.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ohlcache.errors import FileFormatError
from ohlcache.sources.files.faults import BadLayout
from ohlcache.sources.files.layout import Roles, make_layout

HEAD_BYTES = 256 << 10
DELIMITERS = ";\t|,"  # the comma last: with another delimiter it may be a decimal comma

_HEADING_LINES = 20
_SAMPLE_LINES = 1_000
_DATE = re.compile(r"\d{4}[-./]\d\d[-./]\d\d.*|\d{8}[ T]\d.*|\d\d[./]\d\d[./]\d{4}.*")
_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")

# Spellings of a value that is not there, beside an empty field.
NULLS = ("", "null", "NULL", "None", "NaN", "nan", "NA", "N/A", "n/a")


@dataclass(frozen=True, slots=True)
class Heading:
    """What the first lines of a delimited file say.

    lines: how many lines come before the data. names: the column names in them, or None.
    sample: fields of the first rows of data.
    """

    delimiter: str
    lines: int
    names: tuple[str, ...] | None
    sample: tuple[tuple[str, ...], ...]

    @property
    def width(self) -> int:
        """How many columns the first row of data has."""
        return len(self.sample[0]) if self.sample else len(self.names or ())

    def column(self, position: int) -> list[str]:
        """The fields of one column in the sample, without those that are not there."""
        fields = (row[position].strip() for row in self.sample if position < len(row))
        return [field for field in fields if field not in NULLS]


def read_heading(head: bytes, path: Path, roles: Roles) -> Heading:
    """The heading of a file that begins with ``head``.

    Raises FileFormatError for what is not text of rows and columns.
    """
    lines = _lines(head, path)
    delimiter = _delimiter(lines)
    try:
        rows = [tuple(row) for row in csv.reader(lines[:_SAMPLE_LINES], delimiter=delimiter)]
    except csv.Error as error:
        raise FileFormatError(f"{path}: {error}: this is no table of candles") from None
    first = next((at for at, row in enumerate(rows) if _is_data(row)), len(rows))
    heading, sample = rows[:first], tuple(row for row in rows[first:] if row)
    if len(heading) > _HEADING_LINES or not rows:
        raise FileFormatError(
            f"{path}: no row of numbers in the first {len(rows)} lines: this is no table of candles"
        )
    width = len(sample[0]) if sample else max(map(len, heading))
    return Heading(delimiter, first, _names(heading, width, roles), sample)


def is_number(field: str) -> bool:
    """Whether a field is written as a number."""
    try:
        float(field)
    except ValueError:
        return False
    return "_" not in field


def _lines(head: bytes, path: Path) -> list[str]:
    """The complete lines of the head; what follows the last line end counts if all is there."""
    if head.startswith(_UTF16):
        raise FileFormatError(f"{path}: the text is UTF-16: save it as UTF-8")
    if b"\0" in head:
        raise FileFormatError(f"{path}: the file is not text: choose another format")
    text = head.removeprefix(_BOM).decode("utf-8", errors="replace")
    lines = text.split("\n")
    if len(head) >= HEAD_BYTES and len(lines) > 1:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def _delimiter(lines: list[str]) -> str:
    """The delimiter that cuts most lines into the same number of fields, several of them."""
    sample = [line for line in lines[:_SAMPLE_LINES] if line.strip()]
    best, most = ",", (0, 0)
    for delimiter in DELIMITERS:
        counts = Counter(line.count(delimiter) for line in sample if delimiter in line)
        if counts:
            fields, agreeing = counts.most_common(1)[0]
            if (agreeing, fields) > most:
                best, most = delimiter, (agreeing, fields)
    return best


def _is_data(row: tuple[str, ...]) -> bool:
    fields = [field.strip() for field in row]
    return any(
        (is_number(field) and field.lower() != "nan") or _DATE.fullmatch(field) for field in fields
    )


def _names(heading: list[tuple[str, ...]], width: int, roles: Roles) -> tuple[str, ...] | None:
    """The line of the heading that names the columns: the last whose names can be told apart.

    Where none can, the last line that is as wide as the data.
    """
    fitting = [row for row in heading if len(row) == width and len(row) > 1]
    for row in reversed(fitting):
        try:
            make_layout(row, roles)
        except BadLayout:
            continue
        return row
    return fitting[-1] if fitting else None
