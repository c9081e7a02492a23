"""A part of a lake: candles to a Parquet file and back.

Ours are sorted by time, ``timestamp`` as timestamp[ms, UTC] and every column as float64, in row
groups of 16,384 candles (eleven days of minutes), compressed with zstd, with statistics and a
checksum for every page. Reading takes two requests: one for the footer, whose checksum the
manifest holds, and one for the row groups that the range touches.
"""

from __future__ import annotations

import hashlib
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ohlcache.candles import Block, Interval, IntervalSet, to_frame
from ohlcache.errors import FetchError, FileFormatError, SourceUnavailable
from ohlcache.sources.files.clock import Clock
from ohlcache.sources.files.columnar import find_layout, moments, names_read, to_candles
from ohlcache.sources.files.faults import BadRow
from ohlcache.sources.files.layout import CANDLES, Layout
from ohlcache.sources.files.options import Options
from ohlcache.sources.lake.manifest import Part
from ohlcache.sources.lake.ranges import Pieces, coalesced
from ohlcache.sources.lake.storage import Storage, join

_ROWS_PER_GROUP = 16_384
_BATCH = 262_144
_OURS = re.compile(r"year=\d{4}/(month=\d\d/)?part-[0-9a-f]{32}\.parquet")
_MAGIC = b"PAR1"
_USUAL_FOOTER = 1 << 16  # bytes that hold the end of most files of others


class PartGone(SourceUnavailable):
    """A part that was deleted since somebody found it: the manifest tells what took its place."""


def digest(block: Block) -> str:
    """What tells these candles from all others, however they are compressed."""
    found = hashlib.blake2b(repr(block.names).encode(), digest_size=16)
    found.update(np.ascontiguousarray(block.times).data)
    found.update(np.ascontiguousarray(block.values).data)
    return found.hexdigest()


def name_of(mark: str) -> str:
    """The name of a part whose candles have this digest."""
    return f"part-{mark}.parquet"


def is_ours(path: str) -> bool:
    """Whether a path below the folder of a series is one that an export gives to a part."""
    return _OURS.fullmatch(path) is not None


def encode(block: Block) -> bytes:
    """Candles, sorted by time, as a Parquet file."""
    table = to_frame(block, "arrow")
    sink = io.BytesIO()
    pq.write_table(
        table,
        sink,
        row_group_size=_ROWS_PER_GROUP,
        compression="zstd",
        # Plain floats: with dictionaries files are half as large again, and slower to write.
        use_dictionary=False,
        column_encoding={"timestamp": "DELTA_BINARY_PACKED"},
        sorting_columns=[pq.SortingColumn(0)],
        write_page_checksum=True,
    )
    return sink.getvalue()


def footer_of(data: bytes) -> tuple[int, int]:
    """Length and CRC-32 of the end of a Parquet file, where its metadata is."""
    length = int.from_bytes(data[-8:-4], "little") + 8
    return length, zlib.crc32(data[-length:])


@dataclass(frozen=True, slots=True)
class _Footer:
    """What is known of a file before its candles are read."""

    metadata: Any
    schema: Any
    layout: Layout
    clock: Clock

    def groups(self, start: int, end: int) -> list[int]:
        """The row groups that may hold candles which open in [start, end)."""
        chosen = []
        for at in range(self.metadata.num_row_groups):
            span = self.span(at)
            if span is None or (span.start < end and start < span.end):
                chosen.append(at)
        return chosen

    def span(self, group: int) -> Interval | None:
        """From the first to after the last open time of a row group, where statistics tell."""
        if len(self.layout.time) > 1:
            return None
        position = self.layout.time[0]
        kind = self.schema.field(position).type
        found = self.metadata.row_group(group).column(position).statistics
        if found is None or not found.has_min_max or pa.types.is_string(kind):
            return None
        first, last = moments(pa.array([found.min, found.max]).cast(kind), self.clock)
        return Interval(int(first), int(last) + 1)

    def bytes_of(self, groups: list[int], names: list[str]) -> IntervalSet:
        """Where in the file the columns of these names are, for row groups."""
        found = []
        for group in map(self.metadata.row_group, groups):
            for column in map(group.column, range(group.num_columns)):
                if column.path_in_schema in names:
                    places = (column.dictionary_page_offset, column.data_page_offset)
                    start = min(place for place in places if place)
                    found.append((start, start + column.total_compressed_size))
        return coalesced(found)


def read(storage: Storage, part: Part, folder: str, range_: Interval, options: Options) -> Block:
    """The candles of a part that open in a range, in the order they stand.

    Raises FetchError, naming the part, where it is damaged, FileFormatError where it is no table
    of candles, PartGone where it is not there, SourceUnavailable where it cannot be reached.
    """
    path = join(folder, part.path)
    with _reading(storage, path):
        footer = _footer(storage, path, part, options)
        groups = footer.groups(*range_)
        names = names_read(footer.schema, footer.layout)
        pieces = Pieces(footer.bytes_of(groups, names), partial(storage.read, path))
        opened = pq.ParquetFile(
            pieces, metadata=footer.metadata, pre_buffer=False, page_checksum_verification=True
        )
        blocks = [
            to_candles(batch, footer.schema, footer.layout, footer.clock)
            for batch in opened.iter_batches(_BATCH, row_groups=groups, columns=names)
        ]
    block = Block.concatenate(blocks)
    inside = (block.times >= range_.start) & (block.times < range_.end)
    return block if inside.all() else block.take(inside)


@dataclass(frozen=True, slots=True)
class Surveyed:
    """A file that others wrote, and the columns that it brings."""

    part: Part
    columns: tuple[str, ...]


def survey(storage: Storage, folder: str, path: str, size: int, options: Options) -> Surveyed:
    """What the footer of a file tells that others wrote, of so many bytes.

    Raises what :func:`read` raises, and FileFormatError where it has no statistics of the time.
    """
    where = join(folder, path)
    unknown = Part(path, Interval(0, 0), 0, size)
    with _reading(storage, where):
        footer = _footer(storage, where, unknown, options)
        spans = [footer.span(at) for at in range(footer.metadata.num_row_groups)]
    known = [span for span in spans if span is not None]
    if len(known) < len(spans):
        raise FileFormatError(
            f"{join(storage.name, where)}: no statistics tell which times it holds: write it with "
            "statistics and one time column that is no text"
        )
    first = min((span.start for span in known), default=0)
    last = max((span.end for span in known), default=0)
    part = replace(unknown, range=Interval(first, last), rows=footer.metadata.num_rows)
    return Surveyed(part, footer.layout.names)


def _footer(storage: Storage, path: str, part: Part, options: Options) -> _Footer:
    metadata = pq.read_metadata(pa.BufferReader(_MAGIC + _end_of(storage, path, part)))
    schema = metadata.schema.to_arrow_schema()
    layout = find_layout(join(storage.name, path), schema, options, CANDLES)
    return _Footer(metadata, schema, layout, Clock(options.zone, options.time_unit))


def _end_of(storage: Storage, path: str, part: Part) -> bytes:
    """The footer and what follows it; where it is ours, as the manifest knows it."""
    if part.footer is not None:
        length, crc = part.footer
        data = storage.read(path, part.bytes - length, part.bytes)
        if zlib.crc32(data) != crc:
            raise pa.ArrowInvalid("its end fails its checksum")
        return data
    data = storage.read(path, max(0, part.bytes - _USUAL_FOOTER), part.bytes)
    length, _ = footer_of(data)
    if len(data) < length <= part.bytes:
        data = storage.read(path, part.bytes - length, part.bytes)
    return data


@contextmanager
def present(storage: Storage, path: str) -> Iterator[None]:
    """Has PartGone raised where a part is not there."""
    try:
        yield
    except FileNotFoundError as error:
        raise PartGone(
            f"{join(storage.name, path)} has gone: ask again, and export the series again if it "
            "stays away"
        ) from error


@contextmanager
def _reading(storage: Storage, path: str) -> Iterator[None]:
    where = join(storage.name, path)
    try:
        with present(storage, path):
            yield
    except BadRow as bad:
        raise FileFormatError(f"{where}: {bad.problem}") from None
    except (pa.ArrowException, OSError, ValueError) as error:  # what Arrow makes of bad bytes
        reason = str(error).split("\n")[0].rstrip(".")
        raise FetchError(
            f"{where} is damaged ({reason}): delete this file and export the series again"
        ) from error
