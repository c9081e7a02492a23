"""``ohlcache delete``: remove a series, or a range of it."""

from __future__ import annotations

import sys

import click

from ohlcache.cli.invocation import Invocation, subcommand
from ohlcache.cli.output import count, moment, stdout
from ohlcache.cli.parameters import moments, series, time_range


@subcommand("delete")
@series
@time_range
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(
    invocation: Invocation,
    symbol: str,
    timeframe: str,
    venue: str | None,
    start: str | None,
    end: str | None,
    yes: bool,
) -> int | None:
    """Remove a series, or a range of it.

    What is removed also counts as never fetched again. A whole series that is removed can no longer
    be read as of a snapshot.
    """
    low, high = moments(start, end)
    with invocation.open_existing() as md:
        info = md.info(symbol, timeframe, venue=venue)
        name = f"{info.venue} {info.symbol} {info.timeframe}"
        is_whole = low is None and high is None
        named = ", ".join(one.name for one in md.snapshots()) if is_whole else ""
        if named:
            click.echo(f"{name} can then no longer be read as of snapshots: {named}", err=True)
        if not yes:
            if not sys.stdin.isatty():
                raise click.UsageError(f"nobody can be asked whether to delete {name}: give --yes")
            within = "all" if is_whole else _within(low, high)
            question = f"Delete {within} of {name} ({count(info.rows)} candles in all)?"
            click.confirm(question, abort=True, err=True)
        removed = md.delete(symbol, timeframe, low, high, venue=venue)
    if invocation.as_json:
        invocation.print_json({"deleted": removed})
    else:
        stdout().print(f"{count(removed, 'candle')} of {name} deleted")
    return None


def _within(low: int | None, high: int | None) -> str:
    start = "the beginning" if low is None else moment(low)
    end = "the end" if high is None else moment(high)
    return f"{start} to {end}"
