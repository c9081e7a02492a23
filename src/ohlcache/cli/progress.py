"""A progress bar with rate and ETA on stderr; silent where stderr is no terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    Progress,
    Task,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from ohlcache.cli.output import stderr


class Bar:
    """How far one piece of work is."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def update(self, fraction: float, done: int) -> None:
        """The part that is done, 0 to 1, and the number of things that it holds."""
        self._progress.update(self._task, completed=fraction, done=done)


class _Rate(TextColumn):
    """How many things are done, and how many a second."""

    def render(self, task: Task) -> Text:
        done, unit = task.fields["done"], task.fields["unit"]
        rate = done / task.elapsed if task.elapsed else 0
        return Text(f"{done:,} {unit}, {rate:,.0f}/s")


@contextmanager
def progress(description: str, unit: str) -> Iterator[Bar]:
    """A bar that is shown while the block runs and gone after it."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        _Rate(""),
        TimeRemainingColumn(),
    )
    console = stderr()
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as shown:
        yield Bar(shown, shown.add_task(description, total=1.0, done=0, unit=unit))
