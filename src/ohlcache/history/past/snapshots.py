"""Snapshots: names for the state of all series at a moment.

A snapshot holds no candles. It keeps the revision, so that what is changed later can be taken back,
and where each series ended, so that candles which come as they close can be cut off.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ohlcache.candles import to_iso
from ohlcache.errors import InvalidArgument
from ohlcache.history.arguments import checked_name
from ohlcache.history.engine import Session
from ohlcache.history.past.moment import is_time, unknown_snapshot
from ohlcache.history.past.recording import LATEST_MOMENT

_BEGINNING = -(2**62)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_HOLD_ALL = """
INSERT INTO snapshot_series
SELECT CAST(? AS TEXT), venue, symbol, timeframe, id,
    coalesce((SELECT max(last) + 1 FROM chunk WHERE chunk.series = series.id
        AND chunk.start = (SELECT max(start) FROM chunk WHERE chunk.series = series.id)), ?),
    coalesce((SELECT max("end") FROM coverage WHERE coverage.series = series.id), ?)
FROM series
"""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A named state: its name, when it was taken (UTC), and of how many series.

    ``deleted`` of them have been deleted as a whole since, and can no longer be read.
    """

    name: str
    at: datetime
    series: int
    deleted: int = 0


def utc(ms: int) -> datetime:
    """A time in ms as a datetime."""
    return _EPOCH + timedelta(milliseconds=ms)


def take_snapshot(session: Session, name: str, now: int) -> Snapshot:
    """Name the state of all series. Raises InvalidArgument for a name that is taken or a time."""
    if is_time(checked_name("snapshot", name)):
        raise InvalidArgument(f"snapshot is {name!r}, which means a time: give another name")
    # Whoever is writing commits before the clock can be locked, or is not part of the snapshot.
    ((revision,),) = session.rows(f"SELECT revision FROM clock{session.ROW_LOCK}")
    for (at,) in list(session.rows("SELECT at FROM snapshot WHERE name = ?", name)):
        raise InvalidArgument(
            f"snapshot {name!r} exists already, of {to_iso(at)}: give another name or delete it"
        )
    ((latest,),) = session.rows(LATEST_MOMENT)
    at = max(now, latest)
    session.run("INSERT INTO snapshot VALUES (?, ?, ?)", name, revision, at)
    session.run(_HOLD_ALL, name, _BEGINNING, _BEGINNING)
    ((series,),) = session.rows("SELECT count(*) FROM snapshot_series WHERE snapshot = ?", name)
    return Snapshot(name, utc(at), series)


def snapshots(session: Session) -> list[Snapshot]:
    """All snapshots, the oldest first."""
    rows = session.rows(
        "SELECT name, at, count(timeframe), count(series) FROM snapshot "
        "LEFT JOIN snapshot_series ON snapshot_series.snapshot = snapshot.name "
        "GROUP BY name, at ORDER BY at, name"
    )
    return [Snapshot(name, utc(at), held, held - left) for name, at, held, left in rows]


def delete_snapshot(session: Session, name: str) -> None:
    """Forget a snapshot. Raises UnknownSnapshot."""
    if not list(session.rows("SELECT name FROM snapshot WHERE name = ?", name)):
        raise unknown_snapshot(session, name)
    session.run("DELETE FROM snapshot WHERE name = ?", name)
