"""Snapshots: names for the state of all series at a moment.

A snapshot holds no candles. It keeps the revision, so that what is changed later can be taken back,
and where each series ended, so that candles which come as they close can be cut off.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import NamedTuple

from ohlcache.candles import to_iso
from ohlcache.errors import InvalidArgument, StoreDamaged
from ohlcache.history.arguments import checked_name
from ohlcache.history.engine import Session
from ohlcache.history.past.moment import is_time, unknown_snapshot
from ohlcache.history.past.stamping import lock_clock, stamp

_BEGINNING = -(2**62)
_REMEDY = "read as of another one, or restore the store from a copy"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Of the numbers that choose what a snapshot reads. By the database, which holds thousands of series
# at once; a prime, since no damaged bit changes a number by a multiple of it.
_CHECKSUM = " + ".join(
    f"{number} % 2147483647 * {weight}"
    for weight, number in enumerate(
        ("snapshot.revision", "snapshot.at", "held.rows_end", "held.coverage_end"), start=1
    )
)

_HOLD_ALL = f"""
INSERT INTO snapshot_series
SELECT name, venue, symbol, timeframe, id, rows_end, coverage_end, {_CHECKSUM}
FROM snapshot, (
    SELECT venue, symbol, timeframe, id,
        coalesce((SELECT max(last) + 1 FROM chunk WHERE chunk.series = series.id
            AND chunk.start = (SELECT max(start) FROM chunk WHERE chunk.series = series.id)), ?)
            AS rows_end,
        coalesce((SELECT max("end") FROM coverage WHERE coverage.series = series.id), ?)
            AS coverage_end
    FROM series
) AS held
WHERE name = ?
"""

_HELD = f"""
SELECT held.timeframe, held.series, rows_end, coverage_end, held.checksum = {_CHECKSUM}
FROM snapshot_series AS held JOIN snapshot ON name = held.snapshot
WHERE name = ? AND venue = ? AND symbol = ?
"""

# Each finds series of snapshots; what is wrong with them is said beside it.
_FAULTS = {
    "their numbers fail the checksum": f"""
SELECT held.snapshot, held.venue, held.symbol, held.timeframe
FROM snapshot_series AS held JOIN snapshot ON name = held.snapshot
WHERE held.checksum <> {_CHECKSUM}
""",
    "there is no such snapshot": """
SELECT snapshot, venue, symbol, timeframe FROM snapshot_series
WHERE NOT EXISTS (SELECT 1 FROM snapshot WHERE name = snapshot_series.snapshot)
""",
    "they are not the stored ones": """
SELECT held.snapshot, held.venue, held.symbol, held.timeframe
FROM snapshot_series AS held LEFT JOIN series ON series.id = held.series
WHERE held.series IS NOT NULL AND (series.id IS NULL OR series.venue <> held.venue
    OR series.symbol <> held.symbol OR series.timeframe <> held.timeframe)
""",
    "they were created after it, by what is recorded": """
SELECT held.snapshot, held.venue, held.symbol, held.timeframe
FROM snapshot_series AS held JOIN snapshot ON name = held.snapshot
WHERE EXISTS (SELECT 1 FROM past_series WHERE past_series.series = held.series
    AND past_series.extras IS NULL AND past_series.revision > snapshot.revision)
""",
}


class Held(NamedTuple):
    """A series in a snapshot: its timeframe and id (None: deleted since), and where it ended."""

    timeframe: str
    id: int | None
    rows_end: int
    coverage_end: int


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
    revision = lock_clock(session)
    for (at,) in list(session.rows("SELECT at FROM snapshot WHERE name = ?", name)):
        raise InvalidArgument(
            f"snapshot {name!r} exists already, of {to_iso(at)}: give another name or delete it"
        )
    at = stamp(session, now)
    session.run("INSERT INTO snapshot VALUES (?, ?, ?)", name, revision, at)
    session.run(_HOLD_ALL, _BEGINNING, _BEGINNING, name)
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


def held_of(session: Session, name: str, venue: str, symbol: str) -> list[Held]:
    """The series of a symbol that a snapshot holds. Raises StoreDamaged."""
    found = []
    for *held, is_sound in session.rows(_HELD, name, venue, symbol):
        if not is_sound:
            raise damaged_snapshot(name, f"{venue} {symbol} {held[0]}: fails its checksum")
        found.append(Held(*held))
    return found


def damaged_snapshot(name: str, fault: str) -> StoreDamaged:
    """The error for a snapshot that does not say for certain what was known."""
    return StoreDamaged(f"snapshot {name!r} is damaged: {fault}: {_REMEDY}")


def faults_of_snapshots(session: Session) -> Iterator[str]:
    """What is wrong with snapshots: one line for each kind of fault of each."""
    for fault, query in _FAULTS.items():
        rows = sorted(session.rows(query))
        for name, group in groupby(rows, key=lambda row: str(row[0])):
            held = [" ".join(row[1:]) for row in group]
            yield (
                f"snapshot {name!r} is damaged: {len(held)} of its series, first {held[0]}: "
                f"{fault}: {_REMEDY}"
            )


def delete_snapshot(session: Session, name: str) -> None:
    """Forget a snapshot. Raises UnknownSnapshot."""
    if not list(session.rows("SELECT name FROM snapshot WHERE name = ?", name)):
        raise unknown_snapshot(session, name)
    session.run("DELETE FROM snapshot WHERE name = ?", name)
