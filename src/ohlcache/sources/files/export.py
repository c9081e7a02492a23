"""Candles written to the files that other tools read.

Every format holds each float64 so exactly that reading the file again gives the same bits, with
two exceptions: text keeps only one NaN, as an empty field or null, and JSON knows no infinity,
which is refused. A file is written a batch at a time, and appears under its name when complete.

The formats:

- ``csv``: a header, ``timestamp`` in ms, every column, the shortest digits that give a float back.
- ``parquet`` (zstd) and ``feather`` (lz4): ``timestamp`` as timestamp[ms, UTC], every column.
- ``freqtrade``: ``date`` instead of ``timestamp``, without further columns; Feather (lz4) as
  freqtrade writes it now, or JSON or Parquet if the path ends so.
- ``backtesting``: CSV for backtesting.py, ``pandas.read_csv(path, index_col=0, parse_dates=True)``:
  an index of UTC times without a zone and Open, High, Low, Close, Volume, then the further columns.
- ``ccxt-json``: an array of ``[ms, open, high, low, close, volume]``, null for what is not known.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa

from ohlcache.candles.block import OHLCV, Block, Values
from ohlcache.candles.instant import to_iso
from ohlcache.candles.timeframe import Timeframe
from ohlcache.errors import InvalidArgument
from ohlcache.sources.files.atomic import atomic_write, compressed
from ohlcache.sources.files.compression import PathLike

EXPORT_FORMATS = ("csv", "parquet", "feather", "freqtrade", "backtesting", "ccxt-json")

_ROWS = 131_072
_TIME_TYPE = pa.timestamp("ms", "UTC")
_CANONICAL_NAN = np.float64(np.nan).view(np.int64)
_UNSAFE = str.maketrans(dict.fromkeys("/ .@$+:\\\0", "_"))  # freqtrade's, and what no path holds
_TEXT_SUFFIXES = (".gz", ".zst", ".xz", ".bz2")

Write = Callable[[Block], None]


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: the file, its rows, and the columns that the format does not hold."""

    path: Path
    rows: int
    left_out: tuple[str, ...]


def export(
    blocks: Block | Iterable[Block],
    path: PathLike,
    *,
    format: str,  # noqa: A002  # the public name of the option
    symbol: str | None = None,
    timeframe: str | Timeframe | None = None,
) -> Exported:
    """Write candles to a file in one of EXPORT_FORMATS, a batch at a time.

    blocks: candles in the order in which they are to be written; the first block's columns are
    the file's, one that a later block lacks is NaN there. path: the file, or a folder that
    exists, in which the file is named after ``symbol`` and ``timeframe`` as freqtrade does it:
    ``BTC_USDT-1h.feather``, or ``futures/BTC_USDT_USDT-1h-futures.feather``. Text is compressed
    if the path ends in .gz, .zst, .xz or .bz2.

    Raises InvalidArgument for an unknown format, a path that cannot be written to, a column that
    only a later block has, or an infinity where the format is JSON; OhlcacheError where the disk
    is full. What was at the path before is kept in each case.
    """
    if format not in EXPORT_FORMATS:
        raise InvalidArgument(f"format is {format!r}: use one of {', '.join(EXPORT_FORMATS)}")
    target = _target(Path(path), format, symbol, timeframe)
    first, batches = _batches([blocks] if isinstance(blocks, Block) else blocks)
    names = OHLCV if format in ("freqtrade", "ccxt-json") else first
    rows = 0
    with atomic_write(target) as file, _writer(file, target, format, names) as write:
        for batch in batches:
            write(batch)
            rows += len(batch)
    return Exported(target, rows, tuple(name for name in first if name not in names))


# -- where and in what pieces -------------------------------------------------------------------


def _target(path: Path, kind: str, symbol: str | None, timeframe: str | Timeframe | None) -> Path:
    if not path.is_dir():
        return path
    if symbol is None or timeframe is None:
        raise InvalidArgument(f"path {path} is a folder: give a file, or symbol and timeframe")
    # freqtrade writes 1Mo for the month, since file names may not tell m from M.
    name = f"{symbol.translate(_UNSAFE)}-{str(Timeframe.parse(timeframe)).replace('M', 'Mo')}"
    if kind == "freqtrade" and ":" in symbol:
        path, name = path / "futures", f"{name}-futures"
        path.mkdir(exist_ok=True)
    suffix = {"freqtrade": "feather", "backtesting": "csv", "ccxt-json": "json"}.get(kind, kind)
    return path / f"{name}.{suffix}"


def _batches(blocks: Iterable[Block]) -> tuple[tuple[str, ...], Iterator[Block]]:
    """The columns of the first block, and all candles in batches of an even size."""
    remaining = (block for block in blocks if len(block))
    first = next(remaining, Block.empty())

    def batches() -> Iterator[Block]:
        waiting, rows = [first], len(first)
        for block in remaining:
            unexpected = [name for name in block.names if name not in first.names]
            if unexpected:
                raise InvalidArgument(
                    f"blocks: column {', '.join(unexpected)} is not in the first one: give every "
                    "block the same columns"
                )
            waiting.append(block.with_names(first.names))
            rows += len(block)
            if rows >= _ROWS:
                whole = Block.concatenate(waiting)
                yield from _slices(whole.slice(0, rows - rows % _ROWS))
                waiting, rows = [whole.slice(rows - rows % _ROWS, rows)], rows % _ROWS
        yield from _slices(Block.concatenate(waiting))

    return first.names, batches()


def _slices(block: Block) -> Iterator[Block]:
    return (block.slice(start, start + _ROWS) for start in range(0, len(block), _ROWS))


# -- formats ------------------------------------------------------------------------------------


@contextmanager
def _writer(file: IO[bytes], path: Path, kind: str, names: tuple[str, ...]) -> Iterator[Write]:
    """A function that appends a batch to the file in a format."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    time_name = "timestamp"
    if kind == "freqtrade":
        kind = next((form for form in ("json", "parquet") if f".{form}" in suffixes), "feather")
        time_name = "date"
    if kind in ("parquet", "feather"):
        if suffixes and suffixes[-1] in (*_TEXT_SUFFIXES, ".zip"):
            raise InvalidArgument(
                f"path {path}: {kind} is compressed by itself: leave {suffixes[-1]} out"
            )
        schema = pa.schema([(time_name, _TIME_TYPE), *((name, pa.float64()) for name in names)])
        with _open_arrow(file, kind, schema) as sink:
            yield lambda block: sink.write_batch(_record_batch(block, schema))
        return
    if suffixes and suffixes[-1] == ".zip":
        raise InvalidArgument(f"path {path}: no zip is written: end it in .gz, .zst or nothing")
    with compressed(file, path.name) as stream:
        if kind in ("csv", "backtesting"):
            yield _csv_writer(stream, names, for_backtesting=kind == "backtesting")
        else:
            with _json_writer(stream) as write:
                yield write


def _open_arrow(file: IO[bytes], kind: str, schema: Any) -> Any:
    if kind == "parquet":
        import pyarrow.parquet as pq

        return pq.ParquetWriter(file, schema, compression="zstd")
    # freqtrade itself asks for level 9, ten times slower for a fifth less on disk.
    return pa.ipc.new_file(file, schema, options=pa.ipc.IpcWriteOptions(compression="lz4"))


def _record_batch(block: Block, schema: Any) -> Any:
    times = pa.array(block.times).cast(_TIME_TYPE)
    columns = map(_array, block.with_names(schema.names[1:]).values)
    return pa.record_batch([times, *columns], schema)


def _array(column: Values) -> Any:
    """A column with null for NaN; a NaN with other bits than the usual one stays a value."""
    missing = np.ascontiguousarray(column).view(np.int64) == _CANONICAL_NAN
    return pa.array(column, mask=missing)


def _csv_writer(stream: IO[bytes], names: tuple[str, ...], *, for_backtesting: bool) -> Write:
    import pyarrow.csv as pacsv

    options = pacsv.WriteOptions(include_header=False, batch_size=_ROWS, quoting_style="none")
    heads: list[str] = ["timestamp", *names]
    if for_backtesting:
        heads[1:] = (name.capitalize() if name in OHLCV else name for name in names)
    stream.write((",".join(map(_quoted, heads)) + "\n").encode())

    def write(block: Block) -> None:
        times: Any = pa.array(block.times)
        if for_backtesting:
            times = times.cast(pa.timestamp("ms"))
        columns = [pa.array(column, mask=np.isnan(column)) for column in block.values]
        labels = [str(at) for at in range(len(columns) + 1)]
        pacsv.write_csv(pa.table([times, *columns], labels), stream, options)

    return write


def _quoted(head: str) -> str:
    if not set(head).isdisjoint(',;\t|"\r\n'):
        return '"' + head.replace('"', '""') + '"'
    return head


@contextmanager
def _json_writer(stream: IO[bytes]) -> Iterator[Write]:
    separator = b"["

    def write(block: Block) -> None:
        nonlocal separator
        candles = block.with_names(OHLCV)
        columns = [_json_column(candles, name) for name in OHLCV]
        rows = list(zip(candles.times.tolist(), *columns, strict=True))
        stream.write(separator + json.dumps(rows, allow_nan=False)[1:-1].encode())
        separator = b", "

    yield write
    stream.write(b"]" if separator != b"[" else b"[]")


def _json_column(block: Block, name: str) -> list[float | None]:
    column = block.column(name)
    infinite = np.isinf(column)
    if infinite.any():
        row = int(np.argmax(infinite))
        raise InvalidArgument(
            f"{name} at {to_iso(int(block.times[row]))} is {column[row]}, which JSON cannot hold: "
            "export as csv, parquet or feather"
        )
    # Only NaN differs from itself.
    return [value if value == value else None for value in column.tolist()]  # noqa: PLR0124
