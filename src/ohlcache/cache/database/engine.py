"""What the tier asks of a database: statements, transactions, and word of what others changed.

The tier's SQL is the common part of SQLite's and PostgreSQL's, with ``?`` for parameters. What
differs is behind these protocols.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol, TypeVar

Result = TypeVar("Result")
Row = tuple[Any, ...]


class Session(Protocol):
    """A connection, inside a transaction or for one statement."""

    ROW_LOCK: str
    """What follows a SELECT to keep others from changing its rows until the transaction ends."""

    NOW: str
    """An expression: microseconds since the epoch by the clock of the database."""

    BYTES: str
    """The type of columns that hold bytes."""

    def rows(self, sql: str, *parameters: Any) -> list[Row]:
        """The rows that a statement gives."""

    def rows_of(self, sql: str, keys: Collection[bytes], *parameters: Any) -> list[Row]:
        """The rows of some keys; the statement ends in the column to compare."""

    def run(self, sql: str, *parameters: Any) -> None:
        """Carry out a statement, at the latest when the transaction ends."""

    def run_of(self, sql: str, keys: Collection[bytes], *parameters: Any) -> None:
        """Change the rows of some keys; the statement ends in the column to compare."""

    def run_each(self, sql: str, rows: Sequence[Row]) -> None:
        """Carry out a statement with each of the rows."""

    def has_table(self, name: str) -> bool:
        """Whether there is a table of this name."""

    def create(self, sql: str) -> None:
        """Create a table in a transaction, with a statement that does nothing if it exists."""

    def announce(self, notices: Sequence[str]) -> None:
        """Have every process hear of the notices if and when the transaction is committed."""


class Watch(Protocol):
    """What others announce, from the moment it was opened."""

    def wait(self, ended: threading.Event) -> Sequence[str]:
        """Notices, or none after a while. Raises when some may have been missed."""

    def close(self) -> None:
        """End it."""


class Engine(Protocol):
    """A database, its connections and their limits."""

    @property
    def refusals(self) -> tuple[type[BaseException], ...]:
        """Errors after which a transaction has certainly changed nothing."""

    def read(self, work: Callable[[Session], Result]) -> Result:
        """Read something."""

    def change(self, work: Callable[[Session], Result]) -> Result:
        """Do ``work`` in a transaction: all of it, or nothing when it raises."""

    def watch(self) -> Watch:
        """Hear of all that is announced from now on."""

    def give_space_back(self) -> None:
        """Return some of the space that removed rows left, if there is much of it."""

    def numbers(self) -> dict[str, int]:
        """Plain numbers for ``stats``, without asking the database."""

    def renew_after_fork(self) -> None:
        """Leave the parent's connections alone."""

    def close(self) -> None:
        """Close every connection."""
