"""``ohlcache import``: store the candles of files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ohlcache.candles import Timeframe, to_iso
from ohlcache.cli.importing import File, Imported, Target, import_files, span_text
from ohlcache.cli.invocation import Invocation, subcommand
from ohlcache.cli.output import by_reason, count, moment, print_findings, stdout, table
from ohlcache.errors import OhlcacheError
from ohlcache.history import LOCAL_VENUE, SeriesInfo, WriteReport
from ohlcache.sources.files import FORMATS, detect_format, read_candles, read_trades
from ohlcache.sources.files.epoch import TIME_UNITS
from ohlcache.sources.files.options import LEAN_MARKETS


@subcommand("import")
@click.argument(
    "files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path)
)
@click.option("--symbol", required=True, help="Such as BTC/USDT.")
@click.option("--timeframe", required=True, help="Such as 1m, 4h, 1d, 1w, 1M.")
@click.option("--venue", help="Where the candles are from; default: local.")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["auto", *FORMATS]),
    default="auto",
    help="default: auto, told from the file itself.",
)
@click.option(
    "--columns",
    metavar="NAMES",
    help="All columns in order, such as timestamp,open,close,high,low,volume; _ skips one.",
)
@click.option("--tz", metavar="ZONE", help="Zone of times without an offset; default: UTC.")
@click.option(
    "--time-unit",
    type=click.Choice(TIME_UNITS),
    default="auto",
    help="Of epoch times; default: auto.",
)
@click.option(
    "--lean-market", type=click.Choice(LEAN_MARKETS), help="Of LEAN files whose path does not say."
)
@click.option(
    "--closed-until",
    metavar="TIME",
    help="Candles that end after it are still forming and left out; default: now.",
)
@click.option("--strict", is_flag=True, help="Store nothing of a file that has a bad row.")
def command(
    invocation: Invocation,
    files: tuple[Path, ...],
    symbol: str,
    timeframe: str,
    venue: str | None,
    closed_until: str | None,
    strict: bool,
    **options: Any,
) -> int | None:
    """Store the candles of files.

    Reads CSV, Parquet, Feather, JSON (freqtrade, ccxt), the archives of Binance and LEAN, and
    single trades, which are made into candles; plain or in gz, zip, zst, xz or bz2. Several files
    are imported in the order given. What is stored already is merged.
    """
    Timeframe.parse(timeframe)
    opened = [_open(file, **options) for file in files]
    target = Target(symbol, timeframe, venue, closed_until, strict)
    with invocation.open() as md:
        done = import_files(md, opened, target)
        total = sum((each.report for each in done), WriteReport())
        if not total.added + total.updated + total.unchanged:
            raise OhlcacheError(_why_nothing(done, total))
        info = md.info(symbol, timeframe, venue=venue or LOCAL_VENUE)
    if invocation.as_json:
        invocation.print_json(_document(done, total, info))
    else:
        _print(done, total, info)
    return None


def _open(
    path: Path,
    kind: str,
    columns: str | None,
    tz: str | None,
    time_unit: Any,
    lean_market: Any,
) -> File:
    """The file, checked as far as can be without reading it."""
    if kind == "auto":
        kind = detect_format(path)
    if kind == "trades":
        return read_trades(path, columns=columns, tz=tz, time_unit=time_unit)
    return read_candles(
        path, format=kind, columns=columns, tz=tz, time_unit=time_unit, lean_market=lean_market
    )


def _why_nothing(done: list[Imported], total: WriteReport) -> str:
    rows = sum(each.rows for each in done)
    if total.rejected:
        return (
            f"nothing could be stored: all of {count(rows, 'row')} were refused "
            f"({by_reason(total.reasons)}; first: {total.offenders[0]}): check --timeframe, "
            "--columns, --tz and --time-unit"
        )
    return (
        f"nothing could be stored: {count(rows, 'trade')} make no complete candle: use a shorter "
        "--timeframe, or say with --closed-until up to when the trades are complete"
    )


def _document(done: list[Imported], total: WriteReport, info: SeriesInfo) -> dict[str, Any]:
    return {
        "venue": info.venue,
        "symbol": info.symbol,
        "timeframe": info.timeframe,
        "stored": {"rows": info.rows, "start": info.start, "end": info.end},
        **_numbers(total),
        "files": [
            {
                "path": str(each.file.path),
                "format": each.file.format,
                "rows": each.rows,
                **_numbers(each.report),
                "incomplete": each.incomplete,
                "spacing": each.spacing,
            }
            for each in done
        ],
    }


def _numbers(report: WriteReport) -> dict[str, Any]:
    return {
        "added": report.added,
        "updated": report.updated,
        "unchanged": report.unchanged,
        "rejected": report.rejected,
        "reasons": report.reasons,
        "duplicates": report.duplicates,
        "flagged": report.flagged,
        "offenders": [
            {"timestamp": each.timestamp, "reason": each.reason, "detail": each.detail}
            for each in report.offenders
        ],
    }


def _print(done: list[Imported], total: WriteReport, info: SeriesInfo) -> None:
    console = stdout()
    shown = table(
        "file", "format", "rows", "added", "updated", "unchanged", "rejected",
        left=("file", "format"),
    )  # fmt: skip
    for each in done:
        report = each.report
        numbers = (each.rows, report.added, report.updated, report.unchanged, report.rejected)
        shown.add_row(each.file.path.name, each.file.format, *map(count, numbers))
    console.print(shown)
    for each in done:
        for opened in each.incomplete:
            console.print(
                f"{each.file.path.name}: the candle of {to_iso(opened)} is left out: the trades "
                "end before it does",
                style="yellow",
            )
        if each.spacing is not None:
            console.print(
                f"{each.file.path.name}: all rows are {span_text(each.spacing)} or a multiple of "
                f"it apart: if that is how long the candles are, delete {info.timeframe} and "
                "import with that --timeframe",
                style="yellow",
            )
    if total.duplicates:
        console.print(f"{count(total.duplicates, 'duplicate')}: the last of each was taken")
    print_findings("rejected", total.reasons, total.offenders)
    print_findings("flagged, but stored", total.flagged, total.offenders)
    console.print(
        f"{info.venue} {info.symbol} {info.timeframe} now holds {count(info.rows, 'candle')}, "
        f"{moment(info.start)} to {moment(info.end)} UTC"
    )
