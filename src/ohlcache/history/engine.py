"""What the candle store asks of a database.

The store's SQL is the common part of SQLite's and PostgreSQL's, with ``?`` for parameters. What
differs is behind these protocols.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

Row = tuple[Any, ...]
Token = Hashable


class Session(Protocol):
    """A connection inside a transaction."""

    ROW_LOCK: str
    """What follows a SELECT to keep other writers from its rows until the transaction ends."""

    NOW: str
    """An expression of SQL: milliseconds since the epoch, by the database's clock."""

    def rows(self, sql: str, *parameters: Any) -> Iterator[Row]:
        """The rows that a statement gives, to be taken before the transaction ends."""

    def run(self, sql: str, *parameters: Any) -> None:
        """Carry out a statement."""

    def run_each(self, sql: str, rows: Iterable[Row]) -> None:
        """Carry out a statement with each of the rows."""

    def lock(self, name: str) -> None:
        """Wait for writing sessions that locked the same name; held until the transaction ends."""

    def put_chunks(self, rows: Sequence[Row]) -> None:
        """Insert rows of the table ``chunk``, in place of those with the same key.

        All are of one series, which this session has locked.
        """


class Engine(Protocol):
    """A database of ours and its connections, shared by threads and processes.

    All methods raise StoreErrors. name: what it is called in messages, without a password.
    """

    name: str

    is_incomplete: bool
    """Whether it is an older store that cannot be written, and so lacks tables added since."""

    def token(self) -> Token:
        """Differs from an earlier one whenever anyone, in any process, committed a change."""

    def token_at_hand(self) -> Token | None:
        """The same without waiting for anything; None where the database has to be asked."""

    def token_of(self, session: Session, before: Token) -> Token:
        """The token of what a session reads; ``before`` was taken before the session began.

        They differ where connections do not all lead to the same server.
        """

    def reading(self) -> AbstractContextManager[Session]:
        """A session in which all that is read is of one moment."""

    def helping(self, session: Session, wanted: int) -> AbstractContextManager[Sequence[Session]]:
        """Sessions for as many threads, at most, to read with beside a session that is reading.

        It is the same session where that serves several threads; others may be of another moment.
        """

    def writing(self) -> AbstractContextManager[Session]:
        """A session in which all is committed at its end, or on error nothing."""

    def check(self) -> list[str]:
        """What the database itself finds wrong; empty when it is sound."""

    def size(self) -> int:
        """Bytes on disk."""

    def numbers(self) -> dict[str, int]:
        """Plain numbers for ``stats``, without asking the database."""

    def close(self) -> None:
        """Close every connection."""
