"""Which format a file has, told from its first bytes and from names."""

from __future__ import annotations

from pathlib import Path

from ohlcache.errors import FileFormatError
from ohlcache.sources.files import binance, freqtrade, lean, trades
from ohlcache.sources.files.columnar import ARROW_MAGICS, PARQUET_MAGIC
from ohlcache.sources.files.compression import PathLike, Stream
from ohlcache.sources.files.faults import BadLayout
from ohlcache.sources.files.heading import HEAD_BYTES, Heading, read_heading
from ohlcache.sources.files.json_rows import first_row
from ohlcache.sources.files.layout import CANDLES, TRADES, Roles, make_layout

FORMATS = ("csv", "parquet", "feather", "freqtrade", "binance", "lean", "ccxt-json", "trades")

_FOREIGN = (
    (b"\x89HDF", "an HDF5 file"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"%PDF", "a PDF document"),
    (b"\xd0\xcf\x11\xe0", "an Office document"),
    (b"\x80\x04", "a Python pickle"),
    (b"ORC", "an ORC file"),
    (b"\x7fELF", "a program"),
)
_PAGE = (b"<!doctype", b"<html", b"<?xml")


def detect_format(path: PathLike) -> str:
    """The format of a file, one of FORMATS.

    Raises FileFormatError, with the list of formats, where it cannot be told.
    """
    with Stream(path) as stream:
        head = stream.peek(HEAD_BYTES)
        is_freqtrade = freqtrade.FILE_NAME.fullmatch(stream.name) is not None
        is_trades = trades.FREQTRADE_NAME.fullmatch(stream.name) is not None
        if head.startswith((PARQUET_MAGIC, *ARROW_MAGICS)):
            kind = "parquet" if head.startswith(PARQUET_MAGIC) else "feather"
            return "trades" if is_trades else "freqtrade" if is_freqtrade else kind
        if head.lstrip()[:1] == b"[":
            if is_trades or trades.is_trade_row(first_row(stream)):
                return "trades"
            return "freqtrade" if is_freqtrade else "ccxt-json"
        return _text_format(stream.path, stream.name, head)


def _text_format(path: Path, name: str, head: bytes) -> str:
    _refuse_foreign(path, head)
    if lean.is_lean(path, name, head):
        return "lean"
    heading = read_heading(head, path, CANDLES)
    if trades.ARCHIVE_NAME.fullmatch(name):
        return "trades"
    if _is_kline(name, heading):
        return "binance"
    if heading.width < 2:
        raise FileFormatError(f"{path}: {_UNKNOWN}")
    return "trades" if _is_trades(heading) else "csv"


_UNKNOWN = f"the format cannot be told: give --format, one of {', '.join(FORMATS)}"


def _refuse_foreign(path: Path, head: bytes) -> None:
    what = next((what for magic, what in _FOREIGN if head.startswith(magic)), None)
    if head.lstrip()[:16].lower().startswith(_PAGE):
        what = "a web page"
    if what is not None:
        raise FileFormatError(
            f"{path}: this is {what}, no file of candles: give a file of one of the formats "
            f"{', '.join(FORMATS)}"
        )
    if b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise FileFormatError(f"{path}: {_UNKNOWN}")


def _is_kline(name: str, heading: Heading) -> bool:
    if heading.width != len(binance.COLUMNS):
        return False
    if heading.names is not None:
        return heading.names[0] == "open_time" and heading.names[-1] == "ignore"
    return binance.FILE_NAME.fullmatch(name) is not None or _closes_after_open(heading)


def _closes_after_open(heading: Heading) -> bool:
    """Whether the seventh column is a time after the first, as the close time of a kline is."""
    row = heading.sample[0]
    if not (row[0].isdecimal() and row[6].isdecimal()):
        return False
    return len(row[0]) in (13, 16) and int(row[0]) < int(row[6]) < 2 * int(row[0])


def _is_trades(heading: Heading) -> bool:
    return (
        heading.names is not None
        and _names_fit(heading, TRADES)
        and not _names_fit(heading, CANDLES)
    )


def _names_fit(heading: Heading, roles: Roles) -> bool:
    try:
        make_layout(heading.names or (), roles)
    except BadLayout:
        return False
    return True
