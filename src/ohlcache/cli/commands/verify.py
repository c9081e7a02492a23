"""``ohlcache verify``: check every stored byte."""

from __future__ import annotations

from typing import Any

from ohlcache.cli.invocation import Invocation, subcommand
from ohlcache.cli.output import count, print_findings, stdout
from ohlcache.cli.progress import progress
from ohlcache.history import Problem


@subcommand("verify")
def command(invocation: Invocation) -> int | None:
    """Check every stored byte.

    Checksums, order, grid and coverage. Rows that look suspicious, and rows that imports refused,
    are listed too, but are no failure. The exit code is 1 when anything is damaged.
    """
    with invocation.open_existing() as md, progress("verifying", "series") as bar:
        report = md.verify(lambda done, total: bar.update(done / max(total, 1), done))
    if invocation.as_json:
        document = {
            "ok": report.ok,
            "series": report.series,
            "chunks": report.chunks,
            "rows": report.rows,
            "problems": [problem_document(problem) for problem in report.problems],
            "flagged": {name: found.counts for name, found in report.flagged.items()},
            "refused": {name: found.counts for name, found in report.refused.items()},
        }
        invocation.print_json(document)
        return None if report.ok else 1
    console = stdout()
    for name, found in report.flagged.items():
        print_findings(f"{name} flagged, but stored", found.counts, found.offenders)
    for name, found in report.refused.items():
        print_findings(f"{name} refused when written", found.counts, found.offenders)
    for problem in report.problems:
        console.print(str(problem), style="red")
    console.print(
        f"{count(report.rows, 'candle')} in {count(report.chunks, 'chunk')} of "
        f"{report.series} series: "
        + ("all is well" if report.ok else f"{count(len(report.problems), 'problem')} found"),
        style="green" if report.ok else "red",
    )
    if not report.ok:
        console.print("fetch what is damaged again with  ohlcache repair --exchange NAME")
    return None if report.ok else 1


def problem_document(problem: Problem) -> dict[str, Any]:
    """A problem as JSON."""
    return {
        "series": problem.series,
        "range": None if problem.range is None else list(problem.range),
        "message": problem.message,
    }
