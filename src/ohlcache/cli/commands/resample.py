"""``ohlcache resample``: longer candles of stored ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import click
import numpy as np

from ohlcache.candles import Block, Grid, Interval, IntervalSet, Timeframe
from ohlcache.candles.block import Mask
from ohlcache.candles.grid import detect_anchor
from ohlcache.candles.interval import normalise
from ohlcache.candles.resample import Resampled, resample
from ohlcache.cli.commands.export import export_to, file_format, format_of, output
from ohlcache.cli.invocation import Invocation, subcommand
from ohlcache.cli.output import count, moment, stdout
from ohlcache.cli.parameters import series
from ohlcache.cli.reading import PIECE, READ_ONCE_MB, read_pieces
from ohlcache.errors import OhlcacheError
from ohlcache.history import MarketData, WriteReport

Incomplete = Literal["drop", "mark", "keep"]

_ANCHOR_SAMPLE = 2_000  # candles
_MARK = "complete"
_WITHOUT_MARK = ("freqtrade", "ccxt-json")


@subcommand("resample")
@series
@click.option("--to", "target", required=True, metavar="TIMEFRAME", help="Such as 4h, 1d, 1w.")
@click.option(
    "--incomplete",
    type=click.Choice(["drop", "mark", "keep"]),
    default="drop",
    show_default=True,
    help="Candles of which a part is not covered: leave them out; list them (in a file: a column "
    "'complete' of 1 and 0); or write them to the file like all others. They are never stored.",
)
@output
@file_format
def command(
    invocation: Invocation,
    symbol: str,
    timeframe: str,
    venue: str | None,
    target: str,
    incomplete: Incomplete,
    output: Path | None,
    kind: str | None,
) -> int | None:
    """Make longer candles of stored ones.

    The complete ones are stored beside those they are made of, or written to a file with -o.
    Reading needs no resampling: what is not stored is made on the way (show, export).
    """
    if output is None:
        _check_without_file(incomplete, kind)
    else:
        kind = _kind_of_file(output, incomplete, kind)
    with invocation.open_existing(memory_mb=READ_ONCE_MB) as md:
        info = md.info(symbol, timeframe, venue=venue)
        coverage = tuple(md.coverage(symbol, timeframe, venue=venue))
        base, longer = _grids(md, symbol, timeframe, target, info.venue, coverage)
        parts = list(_resampled(md, symbol, base, longer, info.venue, coverage))
        rows = Block.concatenate([part.block for part in parts])
        complete = np.concatenate([np.empty(0, np.bool_), *(part.complete for part in parts)])
        if output is not None and kind is not None:
            rows = _for_file(rows, complete, incomplete)
            export_to(output, kind, invocation, [rows], symbol, str(longer.timeframe))
            return None
        written = _store(md, symbol, longer, info.venue, rows.take(complete), coverage)
    left_out = rows.take(~complete)
    if invocation.as_json:
        invocation.print_json(_document(longer, written, left_out))
    else:
        _print(symbol, longer, info.rows, str(base.timeframe), written, left_out, incomplete)
    return None


def _check_without_file(incomplete: Incomplete, kind: str | None) -> None:
    if incomplete == "keep":
        raise click.UsageError(
            "incomplete candles are never stored: list them with --incomplete mark, or write them "
            "to a file with -o FILE"
        )
    if kind is not None:
        raise click.UsageError("--format is of a file: give -o FILE too")


def _kind_of_file(path: Path, incomplete: Incomplete, kind: str | None) -> str:
    kind = kind or format_of(path)
    if incomplete == "mark" and kind in _WITHOUT_MARK:
        raise click.UsageError(
            f"{kind} has no place for a mark: use --format csv, parquet, feather or backtesting"
        )
    return kind


def _grids(
    md: MarketData, symbol: str, timeframe: str, target: str, venue: str, coverage: IntervalSet
) -> tuple[Grid, Grid]:
    """The grid of the base, and of the target under the same session."""
    base, longer = Timeframe.parse(timeframe), Timeframe.parse(target)
    if not coverage or not base.is_daily_or_longer:
        return Grid(base), Grid(longer)
    end = coverage[-1].end
    sample = max(coverage[0].start, end - _ANCHOR_SAMPLE * base.milliseconds)
    columns = md.candles(symbol, timeframe, sample, end, venue=venue, as_="numpy")
    anchor = detect_anchor(base, columns["timestamp"])
    return Grid(base, anchor), Grid(longer, anchor)


def _resampled(
    md: MarketData, symbol: str, base: Grid, longer: Grid, venue: str, coverage: IntervalSet
) -> Iterator[Resampled]:
    """All candles of the target, incomplete ones too; pieces meet where its candles do."""
    if not coverage:
        return
    pieces: list[Interval] = []
    start, end = longer.floor(coverage[0].start), coverage[-1].end
    step = PIECE * base.timeframe.milliseconds
    while start < end:
        stop = max(longer.floor(start + step), longer.next(start))
        pieces.append(Interval(start, min(stop, end)))
        start = stop
    for block in read_pieces(md, symbol, str(base.timeframe), pieces, venue):
        yield resample(block, base, longer, covered=coverage, incomplete="mark")


def _store(
    md: MarketData, symbol: str, longer: Grid, venue: str, rows: Block, coverage: IntervalSet
) -> WriteReport:
    """Write complete candles; what of the base is not covered stays uncovered in the target."""
    whole = normalise((longer.ceil(start), longer.floor(end)) for start, end in coverage)
    total = WriteReport()
    for start, end in whole:
        block = rows.between(start, end)
        total += md.write(symbol, str(longer.timeframe), block, venue=venue)
    if not total.added + total.updated + total.unchanged:
        raise OhlcacheError(
            f"no complete {longer.timeframe} candle follows from what is stored of {symbol}: "
            "nothing was stored"
        )
    return total


def _for_file(rows: Block, complete: Mask, incomplete: Incomplete) -> Block:
    if incomplete == "drop":
        return rows.take(complete)
    if incomplete == "mark":
        return Block(rows.times, np.vstack([rows.values, complete]), (*rows.names, _MARK))
    return rows


def _document(longer: Grid, written: WriteReport, left_out: Block) -> dict[str, Any]:
    return {
        "timeframe": str(longer.timeframe),
        "added": written.added,
        "updated": written.updated,
        "unchanged": written.unchanged,
        "rejected": written.rejected,
        "incomplete": left_out.times.tolist(),
    }


def _print(
    symbol: str,
    longer: Grid,
    base_rows: int,
    base: str,
    written: WriteReport,
    left_out: Block,
    incomplete: Incomplete,
) -> None:
    console = stdout()
    console.print(
        f"{symbol} {longer.timeframe} of {count(base_rows)} {base} candles: "
        f"{count(written.added)} added, {count(written.updated)} updated, "
        f"{count(written.unchanged)} unchanged"
        + (f", {count(written.rejected)} rejected" if written.rejected else "")
    )
    if written.rejected:
        console.print(f"  first: {written.offenders[0]}", style="yellow")
    if len(left_out):
        console.print(f"{count(len(left_out), 'incomplete candle')} left out", style="yellow")
    if incomplete == "mark":
        for time in left_out.times.tolist():
            console.print(f"  {moment(time)} is incomplete")
