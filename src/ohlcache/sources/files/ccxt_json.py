"""A JSON array of candles as ccxt gives them: ``[ms, open, high, low, close, volume]``.

A field may be null. Rows that are objects with named members are read too, and with ``columns``
rows of any other order and width.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ohlcache.candles.block import Block
from ohlcache.errors import FileFormatError
from ohlcache.sources.files.assumed import ASSUMED, REMEDY, OrderCheck, assumed_layout
from ohlcache.sources.files.clock import Clock
from ohlcache.sources.files.compression import Stream
from ohlcache.sources.files.faults import BadRow
from ohlcache.sources.files.json_rows import first_row, read_rows, row_layout, to_block
from ohlcache.sources.files.layout import CANDLES, Layout
from ohlcache.sources.files.options import Options
from ohlcache.sources.files.progress import Progress


def read_ccxt_json(path: Path, options: Options, progress: Progress) -> Iterator[Block]:
    """The candles of a JSON file, in the file's order.

    Raises FileFormatError, naming the row (counted from 1), for a row that does not fit.
    """
    with Stream(path) as stream:
        given = options.given_layout(CANDLES)
        row = first_row(stream)
        layout = given or _layout(path, row)
        is_assumed = given is None and not isinstance(row, dict)
        clock = Clock(options.zone, options.time_unit)
        order = OrderCheck()
        for before, rows in read_rows(stream, path):
            try:
                block = to_block(rows, layout, clock)
            except BadRow as bad:
                raise FileFormatError(
                    f"{path}: row {before + bad.row + 1}: {bad.problem}"
                ) from None
            if is_assumed and not order.fits(block):
                raise FileFormatError(f"{path}: the columns have no names, and {REMEDY}")
            progress.fraction = stream.fraction
            yield block


def _layout(path: Path, row: list[Any] | dict[str, Any] | None) -> Layout:
    if isinstance(row, dict):
        return row_layout(row, path, CANDLES)
    width = len(row) if row else len(ASSUMED)
    layout = assumed_layout(width)
    if layout is None:
        raise FileFormatError(
            f"{path}: the rows have {width} values, expected {len(ASSUMED)} "
            f"({', '.join(ASSUMED)}): give the names in order with --columns"
        )
    return layout
