"""Where the processes that share something leave word for each other."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Posted(NamedTuple):
    """A report on a board, and for how long it has been there by the board's own clock."""

    report: bytes
    age_seconds: float


class Board(Protocol):
    """One report of each process, for as long as it was posted for.

    All methods block, for a bounded time, and raise whatever their library raises.
    """

    def post(self, process: str, report: bytes, seconds: float) -> bool:
        """Put a report in the place of the process's last one; False: there is no room."""

    def withdraw(self, process: str) -> None:
        """Take the report of a process away."""

    def reports(self) -> dict[str, Posted]:
        """The reports by process, without those whose time has passed."""
