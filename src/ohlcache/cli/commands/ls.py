"""``ohlcache ls``: what is stored."""

from __future__ import annotations

from dataclasses import asdict

from ohlcache.cli.invocation import Invocation, subcommand
from ohlcache.cli.output import count, moment, size, stdout, table


@subcommand("ls")
def command(invocation: Invocation) -> int | None:
    """List what is stored."""
    path = invocation.database()
    if path.exists():
        with invocation.open() as md:
            known = md.series()
            of_store = md.stats()["store"]["bytes"]
    else:
        known, of_store = [], 0
    if invocation.as_json:
        invocation.print_json([asdict(info) for info in known])
        return None
    console = stdout()
    if not known:
        console.print(f"nothing is stored in {path} yet: see  ohlcache import --help")
        return None
    text = ("venue", "symbol", "timeframe")
    shown = table(*text, "candles", "from (UTC)", "to (UTC)", "size", left=text)
    for info in known:
        shown.add_row(
            info.venue,
            info.symbol,
            info.timeframe,
            count(info.rows),
            moment(info.start),
            moment(info.end),
            size(info.bytes),
        )
    console.print(shown)
    console.print(
        f"{count(sum(info.rows for info in known))} candles of {len(known)} series in "
        f"{size(of_store)}, {path}",
        style="dim",
    )
    return None
