"""``ohlcache revisions``: candles that were changed, and when."""

from __future__ import annotations

import math
from typing import Any

import click

from ohlcache.candles import to_ms
from ohlcache.cli.invocation import Invocation, subcommand
from ohlcache.cli.output import count, moment, stdout, table
from ohlcache.cli.parameters import moments, series, time_range
from ohlcache.history.past.revisions import Revision


@subcommand("revisions")
@series
@time_range
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="List so many at most, the last ones; all are counted. JSON lists all.",
)
def command(
    invocation: Invocation,
    symbol: str,
    timeframe: str,
    venue: str | None,
    start: str | None,
    end: str | None,
    limit: int,
) -> int | None:
    """List candles that were changed or removed, and when."""
    low, high = moments(start, end)
    with invocation.open_existing() as md:
        found = md.revisions(symbol, timeframe, low, high, venue=venue)
    if invocation.as_json:
        invocation.print_json([_document(one) for one in found])
        return None
    console = stdout()
    if not found:
        console.print("nothing was changed")
        return None
    shown = table("changed (UTC)", "candle (UTC)", "what", left=("what",))
    for one in found[len(found) - min(limit, len(found)) :]:
        shown.add_row(moment(to_ms(one.at, "at")), moment(one.timestamp), _change(one))
    console.print(shown)
    console.print(count(len(found), "change"))
    return None


def _change(one: Revision) -> str:
    if not one.before:
        return "was damaged, and what it was is lost"
    if one.after is not None and not one.after:
        return "to values that were damaged and are lost"
    if one.after is None:
        return "removed"
    return ", ".join(
        f"{name} {before:.10g} to {one.after[name]:.10g}"
        for name, before in one.before.items()
        if before != one.after[name] and not (math.isnan(before) and math.isnan(one.after[name]))
    )


def _document(one: Revision) -> dict[str, Any]:
    return {
        "at": one.at.isoformat(),
        "timestamp": one.timestamp,
        "before": _finite(one.before),
        "after": None if one.after is None else _finite(one.after),
    }


def _finite(columns: dict[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in columns.items()}
