"""Forgetting earlier states after a while, a few writes at a time; never what a snapshot needs.

``known_since`` is the oldest state that can be read. It moves on at once; the records before it,
which nobody can ask for any more, go in steps.

Nothing is forgotten on the word of a clock alone: the age of a state counts to the newest write
that is a day old already. Where the clock was wrong for less than a day, all is still there.
"""

from __future__ import annotations

from ohlcache.history.engine import Session

_DAY_MS = 86_400_000
_WRITES_AT_ONCE = 32
_RECORDS = ("past_rows", "past_coverage", "past_series")


def forget_older(session: Session, now: int, days: float) -> None:
    """Let older states be forgotten; called with the store's clock locked."""
    confirmed = session.rows(
        "SELECT at FROM past_write WHERE at <= ? ORDER BY at DESC LIMIT 1", now - _DAY_MS
    )
    for (at,) in list(confirmed):
        _drop(session, at - int(days * _DAY_MS))


def _drop(session: Session, than: int) -> None:
    """Let states before a time (ms) be forgotten."""
    newest = session.rows(
        "SELECT revision, at FROM past_write WHERE at < ? "
        "AND revision <= (SELECT coalesce(min(revision), ?) FROM snapshot) "
        "ORDER BY revision DESC LIMIT 1",
        than,
        2**62,
    )
    for revision, at in list(newest):
        session.run(
            "UPDATE known_since SET revision = ?, at = ? WHERE revision < ?", revision, at, revision
        )
    writes = list(
        session.rows(
            "SELECT revision, series FROM past_write WHERE revision <= "
            "(SELECT revision FROM known_since) ORDER BY revision LIMIT ?",
            _WRITES_AT_ONCE,
        )
    )
    for table in (*_RECORDS, "past_write"):
        session.run_each(f"DELETE FROM {table} WHERE revision = ? AND series = ?", writes)
    session.run("DELETE FROM past_deleted WHERE revision <= (SELECT revision FROM known_since)")
