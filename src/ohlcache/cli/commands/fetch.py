"""``ohlcache fetch``: candles from an exchange."""

from __future__ import annotations

from dataclasses import asdict

import click

from ohlcache.candles import Timeframe
from ohlcache.cli.exchange import source_named
from ohlcache.cli.fetching import fetch
from ohlcache.cli.invocation import Invocation, subcommand
from ohlcache.cli.output import count, moment, stdout
from ohlcache.cli.parameters import moments, symbol, time_range, timeframe


@subcommand("fetch")
@symbol
@timeframe
@click.option(
    "--exchange",
    required=True,
    metavar="NAME",
    help="As ccxt calls it, such as binance; or synthetic, for made-up candles.",
)
@time_range
def command(
    invocation: Invocation,
    symbol: str,
    timeframe: str,
    exchange: str,
    start: str | None,
    end: str | None,
) -> int | None:
    """Fetch candles from an exchange; only those that are missing.

    Without --start it goes on where the stored history ends, without --end it goes up to the last
    closed candle.
    """
    low, high = moments(start, end)
    name = str(Timeframe.parse(timeframe))
    source = source_named(exchange)
    with invocation.open(source) as md:
        fetched = fetch(md, source, symbol, timeframe, low, high)
        known = [info for info in md.series() if info.symbol == symbol]
    info = next(
        (info for info in known if (info.venue, info.timeframe) == (source.venue, name)), None
    )
    if invocation.as_json:
        stored = None if info is None else asdict(info)
        invocation.print_json({**asdict(fetched), "venue": source.venue, "series": stored})
        return None
    console = stdout()
    retried = f", {count(fetched.retries)} of them again" if fetched.retries else ""
    console.print(
        f"{count(fetched.new)} new candles from {source.venue} in "
        f"{count(fetched.requests, 'request')}{retried}"
        + (f"; {count(fetched.rejected)} rejected" if fetched.rejected else "")
    )
    if info is not None:
        console.print(
            f"{info.venue} {info.symbol} {info.timeframe} now holds {count(info.rows, 'candle')}, "
            f"{moment(info.start)} to {moment(info.end)} UTC"
        )
    return None
