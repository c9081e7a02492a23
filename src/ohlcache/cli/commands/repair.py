"""``ohlcache repair``: fetch what is damaged or missing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from ohlcache.candles import Interval
from ohlcache.cli.commands.verify import problem_document
from ohlcache.cli.exchange import source_named
from ohlcache.cli.invocation import Invocation, subcommand
from ohlcache.cli.output import count, moment, stdout
from ohlcache.cli.progress import progress


@subcommand("repair")
@click.option("--exchange", metavar="NAME", help="Where it is fetched from.")
def command(invocation: Invocation, exchange: str | None) -> int | None:
    """Fetch what is damaged, or missing in between, from an exchange.

    Only series of that exchange are mended; without one the problems are listed. Earlier values
    that were damaged nobody can give again: they are marked as lost in any case. The exit code is
    1 when problems remain.
    """
    source = None if exchange is None else source_named(exchange)
    with invocation.open_existing(source) as md, progress("repairing", "steps") as bar:
        report = md.repair(lambda done, total: bar.update(done / max(total, 1), done))
    if invocation.as_json:
        document = {
            "ok": report.ok,
            "refetched": _documents(report.refetched),
            "filled": _documents(report.filled),
            "lost": _documents(report.lost),
            "remaining": [problem_document(problem) for problem in report.remaining],
        }
        invocation.print_json(document)
        return None if report.ok else 1
    console = stdout()
    for name, (start, end) in report.refetched:
        console.print(f"{name}: {moment(start)} to {moment(end)} fetched again", style="green")
    for name, (start, end) in report.filled:
        console.print(f"{name}: {moment(start)} to {moment(end)} fetched", style="green")
    for name, (start, end) in report.lost:
        console.print(
            f"{name}: what {moment(start)} to {moment(end)} was before was damaged and is lost",
            style="yellow",
        )
    for problem in report.remaining:
        console.print(str(problem), style="red")
    if report.ok:
        is_mended = report.refetched or report.filled or report.lost
        console.print("all is well again" if is_mended else "all is well")
    else:
        remedy = (
            "name the exchange with --exchange"
            if exchange is None
            else "what came from files has to be deleted and imported again"
        )
        console.print(f"{count(len(report.remaining), 'problem')} left: {remedy}", style="red")
    return None if report.ok else 1


def _documents(ranges: Iterable[tuple[str, Interval]]) -> list[dict[str, Any]]:
    return [{"series": name, "range": list(range_)} for name, range_ in ranges]
