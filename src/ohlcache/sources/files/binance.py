"""Klines of Binance's public archive (data.binance.vision), zipped or unpacked.

Twelve columns, with or without a header. Spot archives count in milliseconds up to 2024 and in
microseconds from 2025 on, so the unit is told row by row. A ``.CHECKSUM`` beside the archive is
verified.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from ohlcache.candles.block import Block
from ohlcache.errors import FileFormatError
from ohlcache.sources.files.clock import ArchiveClock, Clock
from ohlcache.sources.files.compression import Stream
from ohlcache.sources.files.delimited import make_table, read_table
from ohlcache.sources.files.heading import HEAD_BYTES, read_heading
from ohlcache.sources.files.layout import CANDLES, make_layout
from ohlcache.sources.files.options import Options
from ohlcache.sources.files.progress import Progress

COLUMNS = (
    *("timestamp", "open", "high", "low", "close", "volume", "_", "quote_volume", "trades"),
    *("taker_buy_volume", "taker_buy_quote_volume", "_"),
)
FILE_NAME = re.compile(r"[A-Z0-9_.]+-\d+(s|m|h|d|w|mo|M)-\d{4}-\d{2}(-\d{2})?\.csv")

_READ = 1 << 20


def read_binance(path: Path, options: Options, progress: Progress) -> Iterator[Block]:
    """The candles of a kline archive, in the file's order.

    They carry quote_volume, trades, taker_buy_volume and taker_buy_quote_volume along.
    Raises FileFormatError where the checksum beside the file does not match.
    """
    verify_checksum(path)
    with Stream(path) as stream:
        heading = read_heading(stream.peek(HEAD_BYTES), path, CANDLES)
        layout = options.given_layout(CANDLES) or make_layout(COLUMNS, CANDLES)
        if heading.width != layout.width:
            raise FileFormatError(
                f"{path}: {heading.width} columns, expected the {layout.width} of Binance's "
                "klines: choose format csv"
            )
        table = make_table(path, heading, layout)
        yield from read_table(stream, table, archive_clock(options), progress)


def archive_clock(options: Options, *, exact: bool = True) -> Clock:
    """The clock of an archive: milliseconds or microseconds unless another unit is given."""
    if options.time_unit == "auto":
        return ArchiveClock(options.zone, exact=exact)
    return Clock(options.zone, options.time_unit, exact=exact)


def verify_checksum(path: Path) -> None:
    """Compare a file with the SHA-256 in ``<file>.CHECKSUM`` beside it, if there is one."""
    beside = path.with_name(f"{path.name}.CHECKSUM")
    if not beside.is_file():
        return
    expected = beside.read_text("utf-8", errors="replace").split()[:1]
    if not expected or not re.fullmatch(r"[0-9a-fA-F]{64}", expected[0]):
        raise FileFormatError(f"{beside}: no SHA-256 in it: download it again or remove it")
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(_READ):
            digest.update(data)
    if digest.hexdigest() != expected[0].lower():
        raise FileFormatError(
            f"{path}: its SHA-256 is {digest.hexdigest()[:12]}…, but {beside.name} says "
            f"{expected[0][:12]}…: download the file again"
        )
