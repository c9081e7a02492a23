"""``ohlcache export``: candles to a file for other tools."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from ohlcache.candles import Block, to_block
from ohlcache.cli.invocation import Invocation, subcommand
from ohlcache.cli.output import count, size, stdout
from ohlcache.cli.parameters import as_of, moments, series, time_range
from ohlcache.cli.reading import READ_ONCE_MB, pieces_of, read_pieces, stored_range
from ohlcache.errors import OhlcacheError
from ohlcache.sources.files import EXPORT_FORMATS, export

_BY_SUFFIX = {".csv": "csv", ".parquet": "parquet", ".feather": "feather", ".json": "ccxt-json"}
_COMPRESSED = {".gz", ".zst", ".xz", ".bz2"}

output = click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The file, or a folder, in which it is named as freqtrade does.",
)
file_format = click.option(
    "--format",
    "kind",
    type=click.Choice(EXPORT_FORMATS),
    help="default: told from the name of the file.",
)


@subcommand("export")
@series
@file_format
@output
@time_range
@as_of
def command(
    invocation: Invocation,
    symbol: str,
    timeframe: str,
    venue: str | None,
    kind: str | None,
    output: Path | None,
    start: str | None,
    end: str | None,
    as_of: str | None,
) -> int | None:
    """Write candles to a file for other tools.

    What is imported again is bit for bit what was exported. A timeframe that is not stored is made
    from a stored one that divides it.
    """
    if output is None:
        raise click.UsageError("no file to write to: give -o FILE")
    kind = kind or format_of(output)
    low, high = moments(start, end)
    with invocation.open_existing(memory_mb=READ_ONCE_MB) as md:
        blocks: Iterable[Block]
        if as_of is None:
            range_ = stored_range(md, symbol, low, high, venue)
            pieces = pieces_of(md, symbol, timeframe, range_, venue)
            blocks = read_pieces(md, symbol, timeframe, pieces, venue)
        else:  # what is stored now does not tell into which pieces to cut what was stored then
            rows = md.candles(symbol, timeframe, low, high, venue=venue, as_="numpy", as_of=as_of)
            blocks = [to_block(rows)]
        export_to(output, kind, invocation, blocks, symbol, timeframe)
    return None


def format_of(path: Path) -> str:
    """The format that the name of a file stands for. Raises UsageError where it does not say."""
    suffixes = [suffix for suffix in path.suffixes if suffix not in _COMPRESSED]
    kind = _BY_SUFFIX.get(suffixes[-1]) if suffixes else None
    if kind is None:
        raise click.UsageError(f"{path} does not tell the format: give --format")
    return kind


def export_to(
    path: Path,
    kind: str,
    invocation: Invocation,
    blocks: Iterable[Block],
    symbol: str,
    timeframe: str,
) -> None:
    """Write the file and say so. Raises OhlcacheError, and writes nothing, for no candles."""
    exported = export(_some(blocks), path, format=kind, symbol=symbol, timeframe=timeframe)
    of_bytes = exported.path.stat().st_size
    if invocation.as_json:
        invocation.print_json(
            {
                "path": str(exported.path),
                "format": kind,
                "rows": exported.rows,
                "bytes": of_bytes,
                "left_out": exported.left_out,
            }
        )
        return
    stdout().print(f"{exported.path}: {count(exported.rows, 'candle')}, {kind}, {size(of_bytes)}")
    if exported.left_out:
        stdout().print(f"{kind} has no place for: {', '.join(exported.left_out)}", style="yellow")


def _some(blocks: Iterable[Block]) -> Iterator[Block]:
    rows = 0
    for block in blocks:
        rows += len(block)
        yield block
    if not rows:
        raise OhlcacheError("there are no candles in this range: nothing was written")
