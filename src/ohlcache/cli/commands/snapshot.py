"""``ohlcache snapshot``: name the present state, or forget one."""

from __future__ import annotations

import click

from ohlcache.cli.invocation import Invocation, subcommand
from ohlcache.cli.output import stdout


@subcommand("snapshot")
@click.argument("name")
@click.option("--delete", "is_unwanted", is_flag=True, help="Forget the snapshot instead.")
def command(invocation: Invocation, name: str, is_unwanted: bool) -> int | None:
    """Name the state of all series, to be read again with --as-of.

    Candles that are changed or removed later keep the values of now for it.
    """
    with invocation.open_existing() as md:
        if is_unwanted:
            md.delete_snapshot(name)
        else:
            taken = md.snapshot(name)
    if invocation.as_json:
        invocation.print_json({"snapshot": name, "exists": not is_unwanted})
    elif is_unwanted:
        stdout().print(f"snapshot {name} forgotten")
    else:
        stdout().print(f"snapshot {name} taken of {taken.series} series")
    return None
