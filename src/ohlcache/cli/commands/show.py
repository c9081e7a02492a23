"""``ohlcache show``: candles as a table and a chart."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console

from ohlcache.candles import Block, Timeframe, to_frame
from ohlcache.cli.chart import DOWN, UP, chart
from ohlcache.cli.invocation import Invocation, subcommand
from ohlcache.cli.output import moment, stdout
from ohlcache.cli.parameters import as_of, moments, series, time_range
from ohlcache.cli.prices import price_texts
from ohlcache.web.page import read_page

_CHART_HEIGHT = 12


@subcommand("show")
@series
@time_range
@as_of
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="The first so many from --start on, or the last ones.",
)
def command(
    invocation: Invocation,
    symbol: str,
    timeframe: str,
    venue: str | None,
    start: str | None,
    end: str | None,
    as_of: str | None,
    limit: int,
) -> int | None:
    """Show candles as a table and a chart.

    A timeframe that is not stored is made from a stored one that divides it.
    """
    low, high = moments(start, end)
    with invocation.open_existing() as md:
        page = read_page(md, symbol, timeframe, low, high, limit=limit, venue=venue, as_of=as_of)
    rows = page.rows
    if invocation.as_json:
        invocation.print_json(_document(symbol, timeframe, rows, page.next_start))
        return None
    console = stdout()
    if not len(rows):
        console.print(f"no candles of {symbol} {timeframe} in this range")
        return None
    _print_candles(console, rows)
    print_chart(console, rows)
    if page.next_start is not None:
        console.print(
            f"more follow from {moment(page.next_start)} on: see --limit, --start and --end",
            style="dim",
        )
    return None


def print_chart(console: Console, rows: Block) -> None:
    """The chart, as wide as the terminal; nothing where its characters cannot be shown."""
    if not console.encoding.startswith("utf"):
        return
    width = console.width if console.is_terminal else 100
    for line in chart(rows, min(width, 160), _CHART_HEIGHT):
        console.print(line)


def _print_candles(console: Console, rows: Block) -> None:
    """A table line by line: a rich Table of many thousand rows takes seconds."""
    columns = [["time (UTC)", *map(moment, rows.times.tolist())]]
    columns += [
        [name, *price_texts(column)] for name, column in zip(rows.names, rows.values, strict=True)
    ]
    widths = [max(map(len, column)) for column in columns]
    lines = (
        "   ".join(f"{text:>{width}}" for text, width in zip(line, widths, strict=True))
        for line in zip(*columns, strict=True)
    )
    console.out(next(lines), style="bold")
    is_up = rows.column("close") >= rows.column("open")
    for line, up in zip(lines, is_up.tolist(), strict=True):
        console.out(line, style=UP if up else DOWN)


def _document(symbol: str, timeframe: str, rows: Block, next_start: int | None) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "timeframe": str(Timeframe.parse(timeframe)),
        "candles": to_frame(rows, "ccxt"),
        "next_start": next_start,
    }
