"""``ohlcache gaps``: absent candles, and why they are absent."""

from __future__ import annotations

import click

from ohlcache.cli.invocation import Invocation, subcommand
from ohlcache.cli.output import count, moment, stdout, table
from ohlcache.cli.parameters import moments, series, time_range

_STYLES = {"never_fetched": "yellow", "refused": "yellow", "closed": "dim"}


@subcommand("gaps")
@series
@time_range
@click.option(
    "--session",
    metavar="NAME",
    help="When the venue trades: 24/7, fx, us_equities, us_equities_extended, "
    "'Mon-Fri 09:00-17:30 Europe/Berlin', or a name of exchange_calendars.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="List so many at most; all are counted. JSON lists all.",
)
def command(
    invocation: Invocation,
    symbol: str,
    timeframe: str,
    venue: str | None,
    start: str | None,
    end: str | None,
    session: str | None,
    limit: int,
) -> int | None:
    """List absent candles, and why they are absent.

    never fetched: nobody has asked for them; empty: asked for, and the venue has none; refused:
    what the venue has is no candle; closed: outside of the trading session.
    """
    low, high = moments(start, end)
    with invocation.open_existing() as md:
        found = md.gaps(symbol, timeframe, low, high, venue=venue, session=session)
    if invocation.as_json:
        invocation.print_json([gap._asdict() for gap in found])
        return None
    console = stdout()
    if found and limit:
        shown = table("from (UTC)", "to (UTC)", "candles", "why", left=("why",))
        for gap in found[:limit]:
            why = gap.kind.replace("_", " ")
            row = (moment(gap.start), moment(gap.end), count(gap.candles), why)
            shown.add_row(*row, style=_STYLES.get(gap.kind))
        console.print(shown)
    if len(found) > limit:
        console.print(f"and {count(len(found) - limit)} more: see --limit", style="dim")
    for kind in dict.fromkeys(gap.kind for gap in found):
        of_kind = [gap.candles for gap in found if gap.kind == kind]
        console.print(
            f"{kind.replace('_', ' ')}: {count(sum(of_kind), 'candle')} in "
            f"{count(len(of_kind), 'gap')}"
        )
    if not found:
        console.print("no candle is absent")
    return None
