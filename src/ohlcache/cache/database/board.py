"""The board of a namespace in the tier's database: a table of reports, by the database's clock.

The table came later than the others: it is created when a process posts for the first time, so
that databases of before keep working, and where that is not allowed only posting fails.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from ohlcache.cache.database import tables
from ohlcache.cache.database.changing import Changing
from ohlcache.cache.database.engine import Engine, Session
from ohlcache.telemetry.board import Posted

MOST_REPORTS = 512

_TABLE = "ohlcache1_reports"
_SWEEP = "DELETE FROM ohlcache1_reports WHERE namespace = ? AND ends <= {now}"
_OTHERS = "SELECT count(*) FROM ohlcache1_reports WHERE namespace = ? AND process <> ?"
_POST = (
    "INSERT INTO ohlcache1_reports (namespace, process, posted, ends, report) "
    "VALUES (?, ?, {now}, {now} + ?, ?) ON CONFLICT (namespace, process) DO UPDATE SET "
    "posted = excluded.posted, ends = excluded.ends, report = excluded.report"
)
_WITHDRAW = "DELETE FROM ohlcache1_reports WHERE namespace = ? AND process = ?"
_REPORTS = (
    "SELECT process, {now} - posted, report FROM ohlcache1_reports "
    "WHERE namespace = ? AND ends > {now}"
)

Result = TypeVar("Result")


class Change(Protocol):
    """Carries out a transaction in the tier's namespace."""

    def __call__(self, work: Callable[[Changing], Result], /) -> Result:
        """What ``work`` gives."""


class DatabaseBoard:
    """A :class:`ohlcache.telemetry.board.Board`. Raises what the database raises."""

    def __init__(self, engine: Engine, change: Change, namespace: str) -> None:
        self._engine, self._change, self._namespace = engine, change, namespace

    def post(self, process: str, report: bytes, seconds: float) -> bool:
        """See Board."""
        lasts = round(seconds * 1e6)
        return self._change(lambda changing: self._post(changing.session, process, report, lasts))

    def withdraw(self, process: str) -> None:
        """See Board."""

        def work(changing: Changing) -> None:
            if changing.session.has_table(_TABLE):
                changing.session.run(_WITHDRAW, self._namespace, process)

        self._change(work)

    def reports(self) -> dict[str, Posted]:
        """See Board."""
        return self._engine.read(self._reports)

    def _post(self, session: Session, process: str, report: bytes, lasts: int) -> bool:
        if not session.has_table(_TABLE):
            session.create(tables.REPORTS.substitute(bytes=session.BYTES))
        session.run(_SWEEP.format(now=session.NOW), self._namespace)
        [(others,)] = session.rows(_OTHERS, self._namespace, process)
        if others >= MOST_REPORTS:
            return False
        session.run(_POST.format(now=session.NOW), self._namespace, process, lasts, report)
        return True

    def _reports(self, session: Session) -> dict[str, Posted]:
        if not session.has_table(_TABLE):
            return {}
        return {
            process: Posted(report, max(0.0, age / 1e6))
            for process, age, report in session.rows(
                _REPORTS.format(now=session.NOW), self._namespace
            )
        }
