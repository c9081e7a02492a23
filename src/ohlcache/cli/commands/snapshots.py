"""``ohlcache snapshots``: the snapshots there are."""

from __future__ import annotations

from ohlcache.candles import to_ms
from ohlcache.cli.invocation import Invocation, subcommand
from ohlcache.cli.output import count, moment, stdout, table


@subcommand("snapshots")
def command(invocation: Invocation) -> int | None:
    """List the snapshots.

    A series that was deleted as a whole can no longer be read as of a snapshot that holds it.
    """
    with invocation.open_existing() as md:
        found = md.snapshots()
    if invocation.as_json:
        invocation.print_json(
            [
                {
                    "name": one.name,
                    "at": one.at.isoformat(),
                    "series": one.series,
                    "deleted": one.deleted,
                }
                for one in found
            ]
        )
        return None
    if not found:
        stdout().print("there are no snapshots")
        return None
    shown = table("name", "taken (UTC)", "series", "deleted since", left=("name",))
    for one in found:
        taken = moment(to_ms(one.at, "at"))
        shown.add_row(one.name, taken, count(one.series), count(one.deleted))
    stdout().print(shown)
    return None
