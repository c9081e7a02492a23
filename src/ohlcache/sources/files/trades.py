"""Files of single trades: CSV, Binance's archive, and what freqtrade stores.

freqtrade's rows are ``[ms, id, type, side, price, amount, cost]`` in JSON, or columns of these
names in Feather and Parquet. Other tables need a header that names the time, the price and the
amount (or quantity, size, volume), or ``columns``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ohlcache.candles.block import Block
from ohlcache.candles.trades import Trades
from ohlcache.errors import FileFormatError
from ohlcache.sources.files.binance import archive_clock, verify_checksum
from ohlcache.sources.files.clock import Clock
from ohlcache.sources.files.columnar import ARROW_MAGICS, PARQUET_MAGIC, read_columns
from ohlcache.sources.files.compression import Stream
from ohlcache.sources.files.delimited import make_table, named_layout, read_table
from ohlcache.sources.files.faults import BadRow
from ohlcache.sources.files.heading import HEAD_BYTES, Heading, read_heading
from ohlcache.sources.files.json_rows import first_row, read_rows, row_layout, to_block
from ohlcache.sources.files.layout import TRADES, Layout, make_layout
from ohlcache.sources.files.options import Options
from ohlcache.sources.files.progress import Progress

ARCHIVE_NAME = re.compile(r"[A-Z0-9_.]+-(trades|aggTrades)-\d{4}-\d{2}(-\d{2})?\.csv")
FREQTRADE_NAME = re.compile(r".+-trades\.(json|feather|parquet)")

_FREQTRADE = ("timestamp", "_", "_", "_", "price", "amount", "_")
# Binance's trades and aggregated trades; futures lack the last column of each.
_ARCHIVES = {
    "trades": ("_", "price", "amount", "_", "timestamp", "_", "_"),
    "aggTrades": ("_", "price", "amount", "_", "_", "timestamp", "_", "_"),
}


def read_trade_batches(path: Path, options: Options, progress: Progress) -> Iterator[Trades]:
    """The trades of a file, in the file's order; times finer than a millisecond are cut off.

    Raises FileFormatError, naming the row or line, for one that does not fit.
    """
    for block in _read(path, options, progress):
        yield Trades(block.times, block.column("price"), block.column("amount"))


def is_trade_row(row: Any) -> bool:
    """Whether a row of a JSON array is one of freqtrade's trades."""
    if isinstance(row, dict):
        return {"price", "amount"} <= row.keys()
    return isinstance(row, list) and len(row) == len(_FREQTRADE) and isinstance(row[3], str)


def _read(path: Path, options: Options, progress: Progress) -> Iterator[Block]:
    with Stream(path) as stream:
        head = stream.peek(8)
        if head.startswith((PARQUET_MAGIC, *ARROW_MAGICS)):
            clock = Clock(options.zone, options.time_unit, exact=False)
            yield from read_columns(path, options, TRADES, clock, progress)
        elif head.lstrip()[:1] == b"[":
            yield from _read_json(path, stream, options, progress)
        else:
            yield from _read_text(path, stream, options, progress)


def _read_json(path: Path, stream: Stream, options: Options, progress: Progress) -> Iterator[Block]:
    row = first_row(stream)
    layout = options.given_layout(TRADES)
    if layout is None and isinstance(row, dict):
        layout = row_layout(row, path, TRADES)
    layout = layout or make_layout(_FREQTRADE, TRADES)
    clock = Clock(options.zone, options.time_unit, exact=False)
    for before, rows in read_rows(stream, path):
        try:
            yield to_block(rows, layout, clock)
        except BadRow as bad:
            raise FileFormatError(f"{path}: row {before + bad.row + 1}: {bad.problem}") from None
        progress.fraction = stream.fraction


def _read_text(path: Path, stream: Stream, options: Options, progress: Progress) -> Iterator[Block]:
    heading = read_heading(stream.peek(HEAD_BYTES), path, TRADES)
    archive = ARCHIVE_NAME.fullmatch(stream.name)
    clock = Clock(options.zone, options.time_unit, exact=False)
    if archive:
        verify_checksum(path)
        clock = archive_clock(options, exact=False)
    layout = options.given_layout(TRADES)
    if layout is None and heading.names is not None:
        layout = named_layout(path, heading, TRADES)
    if layout is None:
        layout = _archive_layout(path, heading, archive.group(1) if archive else None)
    yield from read_table(stream, make_table(path, heading, layout), clock, progress)


def _archive_layout(path: Path, heading: Heading, kind: str | None) -> Layout:
    """The layout of an archive without a header."""
    columns = _ARCHIVES.get(kind or "", ())
    if not columns or len(columns) - heading.width not in (0, 1):
        raise FileFormatError(
            f"{path}: the {heading.width} columns of the trades have no names: give them in order "
            "with --columns, such as timestamp,price,amount"
        )
    return make_layout(columns[: heading.width], TRADES)
