"""How things are printed: the terminal, tables, numbers and times."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from rich import box
from rich.console import Console
from rich.table import Table

from ohlcache.candles import to_iso
from ohlcache.candles.quality import Offender

_UNWRAPPED = 1_000  # columns, where there is no terminal that has a width


class _Output(Console):
    """A terminal that leaves it to the command line to end when nobody reads any more."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def stdout() -> Console:
    """Where results go. Text is printed as it is: symbols may hold brackets and colons."""
    return _console(to_stderr=False)


def stderr() -> Console:
    """Where progress goes."""
    return _console(to_stderr=True)


def _console(*, to_stderr: bool) -> Console:
    console = _Output(stderr=to_stderr, highlight=False, markup=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _UNWRAPPED
    return console


def table(*headers: str, left: Iterable[str] = ()) -> Table:
    """An empty table; columns are numbers, aligned right, unless named in ``left``."""
    made = Table(box=box.SIMPLE_HEAD, header_style="bold", show_edge=False, pad_edge=False)
    for header in headers:
        made.add_column(header, justify="left" if header in left else "right", no_wrap=True)
    return made


def facts(pairs: Iterable[tuple[str, str]]) -> Table:
    """Names and values, one pair a line."""
    made = Table.grid(padding=(0, 2))
    made.add_column(style="dim")
    made.add_column()
    for name, value in pairs:
        made.add_row(name, value)
    return made


def count(number: int, noun: str = "") -> str:
    """``1,234``, or with a noun ``1,234 candles``, ``1 candle``."""
    if not noun:
        return f"{number:,}"
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def moment(ms: int | None) -> str:
    """``2024-01-31 12:00``, UTC."""
    if ms is None:
        return "-"
    return to_iso(ms).replace("T", " ").removesuffix("Z")


def by_reason(counts: Mapping[str, int]) -> str:
    """``3 off_grid, 1 high_below_low``."""
    return ", ".join(f"{count(number)} {reason}" for reason, number in counts.items())


def print_findings(label: str, counts: Mapping[str, int], offenders: Iterable[Offender]) -> None:
    """How many rows of each reason, with the first one."""
    console = stdout()
    first = {each.reason: each for each in reversed(tuple(offenders))}
    for reason, number in counts.items():
        console.print(f"{label}: {count(number)} {reason}", style="yellow")
        if reason in first:
            found = first[reason]
            console.print(f"  first {moment(found.timestamp)}: {found.detail}", style="dim")


def size(of_bytes: float) -> str:
    """``4.2 MB``."""
    for unit in ("B", "kB", "MB"):
        if of_bytes < 1000:
            return f"{of_bytes:.0f} {unit}" if unit == "B" else f"{of_bytes:.1f} {unit}"
        of_bytes /= 1000
    return f"{of_bytes:,.1f} GB"


def duration(seconds: float) -> str:
    """``8.3 s``, ``12.1 ms`` or ``95 µs``."""
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1e3:.1f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f} µs"
