"""When a write was, and which times no later write can bear: by the database's clock.

Stamps grow with revisions. What a read as of a time saw stays true because that time is *closed*
before it is answered: whatever is written afterwards is stamped later, as with the closed
timestamps of CockroachDB (Taft et al., SIGMOD 2020). Both happen with the store's clock row
locked, so that no write is between its stamp and its commit while a time is closed.

A clock that is set back a little is waited for. Set back by more it was wrong before or is wrong
now, and the writes decide: stamps to come are taken back to the present once as many writes have
contradicted them as there are. So w writes by a wrong clock misplace at most w others in time, and
never delay what the right clock says for longer than that.
"""

from __future__ import annotations

from ohlcache.history.engine import Session

SET_BACK = 60_000  # ms by which a clock may be set back with no effect on what reads give

_BEGINNING = -(2**62)

STAMPS = "(SELECT revision, at FROM past_write UNION ALL SELECT revision, at FROM past_deleted)"
_NEWEST = f"""
SELECT max(at) FROM (
    SELECT max(at) AS at FROM past_write UNION ALL SELECT max(at) FROM past_deleted
    UNION ALL SELECT {_BEGINNING}
) AS newest
"""
_AHEAD = """
SELECT count(DISTINCT revision), count(DISTINCT CASE WHEN at = ? THEN revision END)
FROM past_write WHERE at > ?
"""


def lock_clock(session: Session) -> int:
    """Keep others from committing until the transaction ends; the present revision."""
    ((revision,),) = session.rows(f"SELECT revision FROM clock{session.ROW_LOCK}")
    return int(revision)


def stamp(session: Session, now: int) -> int:
    """The time of a write that is being stored; called with the store's clock locked."""
    latest: int
    ((latest,),) = session.rows(_NEWEST)
    closed = closed_until(session)
    known = max(latest, closed + 1)
    if known <= now + SET_BACK or not _is_outvoted(session, now, latest):
        return max(now, known)
    closed = closed if closed <= now + SET_BACK else now
    at = max(now, closed + 1)
    for table in ("past_write", "past_deleted"):
        session.run(f"UPDATE {table} SET at = ? WHERE at > ?", at, at)
    session.run("UPDATE past_closed SET at = ?", closed)
    return at


def _is_outvoted(session: Session, now: int, latest: int) -> bool:
    """Whether the writes that are stamped ahead of now are no more than those against it.

    Of those that bear the latest time all but one were given it because their own was earlier.
    """
    ((ahead, alike),) = session.rows(_AHEAD, latest, now)
    return not ahead or bool(ahead < 2 * alike)


def closed_until(session: Session) -> int:
    """The last time that is closed: no write to come is stamped with it or an earlier one."""
    ((closed,),) = session.rows("SELECT at FROM past_closed")
    return int(closed)


def is_closed(session: Session, at: int, now: int, unstamped: int) -> bool:
    """Whether all that can ever belong to a time or one before it is there to be read.

    unstamped: ms for which candles may come without a stamp. A later stamp says nothing of those.
    """
    if at <= closed_until(session):
        return True
    ((latest,),) = session.rows(_NEWEST)
    return at <= now - unstamped and at < latest <= now + SET_BACK


def close(session: Session, at: int) -> None:
    """Close all times up to this one; waits for whoever has stamped a write to commit it."""
    lock_clock(session)
    session.run("UPDATE past_closed SET at = ? WHERE at < ?", at, at)
