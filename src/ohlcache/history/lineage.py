"""Whether a store still stands on what was read of it, or was set back to an earlier state.

Restoring a copy, or a failover to a server that lacks the last commits, sets a store back. It then
gives numbers of revisions a second time. So each revision has a mark that was drawn at random: who
knows a revision by number and mark finds it again only where nothing has been taken back since.
"""

from __future__ import annotations

import os
from typing import Final, NamedTuple

from ohlcache.history.engine import Session

TABLE: Final = """
CREATE TABLE IF NOT EXISTS lineage (
    revision BIGINT PRIMARY KEY,
    mark     BIGINT NOT NULL
);
"""

_KEPT = 65_536  # revisions; who knows only older ones reads everything anew
_FORGOTTEN_AT_ONCE = 1_024

_CLOCK = """
SELECT clock.revision, deletions, now.mark, known.mark FROM clock
LEFT JOIN lineage AS now ON now.revision = clock.revision
LEFT JOIN lineage AS known ON known.revision = ?
"""
_CLOCK_ALONE = "SELECT revision, deletions, NULL, NULL FROM clock"  # of an older store


_MARK_PRESENT = """
INSERT INTO lineage SELECT revision, CAST(? AS BIGINT) FROM clock
WHERE revision NOT IN (SELECT revision FROM lineage)
"""


class Clock(NamedTuple):
    """The store's revision, its number of deletions, and the mark of that revision, if any."""

    revision: int = -1
    deletions: int = -1
    mark: int | None = None


NEVER: Final = Clock()  # what is known before anything was read


def read_clock(session: Session, known: Clock, *, has_lineage: bool) -> tuple[Clock, bool]:
    """The clock, and whether ``known`` is an earlier state of this store, or the present one."""
    sql, parameters = (_CLOCK, (known.revision,)) if has_lineage else (_CLOCK_ALONE, ())
    ((revision, deletions, mark, known_mark),) = session.rows(sql, *parameters)
    return Clock(revision, deletions, mark), known_mark is not None and known_mark == known.mark


def mark_present(session: Session) -> None:
    """Give the present revision of a store that had no marks one."""
    session.run(_MARK_PRESENT, drawn_mark())


def mark_revision(session: Session, revision: int) -> None:
    """Draw the mark of a revision that is given for the first time."""
    session.run("INSERT INTO lineage (revision, mark) VALUES (?, ?)", revision, drawn_mark())
    if revision % _FORGOTTEN_AT_ONCE == 0:
        session.run("DELETE FROM lineage WHERE revision < ?", revision - _KEPT)


def drawn_mark() -> int:
    """A number of 63 bits that nobody else draws, forked processes neither."""
    return int.from_bytes(os.urandom(8)) >> 1
