"""``ohlcache ls``: what is stored."""

from __future__ import annotations

from dataclasses import asdict

import click

from ohlcache.cli.invocation import Invocation, subcommand
from ohlcache.cli.output import count, moment, size, stdout, table
from ohlcache.cli.symbols import label, text_of
from ohlcache.history.properties import DOCUMENTED


@subcommand("ls")
@click.option("--long", "is_long", is_flag=True, help="Also what is known of the symbols.")
def command(invocation: Invocation, is_long: bool) -> int | None:
    """List what is stored."""
    if invocation.exists():
        with invocation.open() as md:
            known = md.series()
            of_store = md.stats()["store"]["bytes"]
            symbols = [
                md.metadata(info.symbol, venue=info.venue) if is_long else {} for info in known
            ]
    else:
        known, of_store, symbols = [], 0, []
    if invocation.as_json:
        more = [{"metadata": metadata} if is_long else {} for metadata in symbols]
        rows = [{**asdict(info), **also} for info, also in zip(known, more, strict=True)]
        invocation.print_json(rows)
        return None
    console = stdout()
    if not known:
        console.print(f"nothing is stored in {invocation.place} yet: see  ohlcache import --help")
        return None
    text = ("venue", "symbol", "timeframe")
    columns = [name for name in DOCUMENTED if is_long and any(name in one for one in symbols)]
    figures = ("candles", "from (UTC)", "to (UTC)", "size")
    shown = table(*text, *figures, *map(label, columns), left=text)
    for info, metadata in zip(known, symbols, strict=True):
        shown.add_row(
            info.venue,
            info.symbol,
            info.timeframe,
            count(info.rows),
            moment(info.start),
            moment(info.end),
            size(info.bytes),
            *(text_of(metadata.get(name)) for name in columns),
        )
    console.print(shown)
    console.print(
        f"{count(sum(info.rows for info in known))} candles of {len(known)} series in "
        f"{size(of_store)}, {invocation.place}",
        style="dim",
    )
    return None
