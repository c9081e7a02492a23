"""Marking damaged earlier values as lost: nobody can give them again.

Reading them says so from then on. Values of a newer format are no damage and stay.
"""

from __future__ import annotations

from typing import NamedTuple, cast

from ohlcache.candles import Interval
from ohlcache.candles.codec import decode
from ohlcache.errors import ChunkDamaged, ChunkVersionUnsupported
from ohlcache.history.engine import Session
from ohlcache.history.past.checking import faulty_records
from ohlcache.history.past.earlier import Earlier
from ohlcache.history.reading import Series


class Damaged(NamedTuple):
    """A record that cannot be trusted, and the range whose earlier values go with it."""

    revision: int
    start: int
    range: Interval
    rows: int


def damaged_records(session: Session, series: Series) -> list[Damaged]:
    """The records of earlier values of a series that are to be marked."""
    found = []
    for revision, record, _ in faulty_records(session, series):
        range_ = _range_of(record)
        if range_ is not None:
            found.append(Damaged(revision, record.start, range_, max(record.number, 1)))
    return found


def _range_of(record: Earlier) -> Interval | None:
    """What is recorded and what the rows say: either may be wrong. None: of a newer format."""
    try:
        times = decode(cast("bytes", record.rows)).times
    except ChunkVersionUnsupported:
        return None
    except ChunkDamaged:
        return Interval(record.start, record.end)
    return Interval(
        min([record.start, *times[:1].tolist()]),
        max([record.end, *(times[-1:] + 1).tolist()]),
    )


def mark_lost(session: Session, series: Series, damaged: list[Damaged]) -> None:
    """Mark the records that are still there; called with the store's clock locked."""
    for record in damaged:
        there = session.rows(
            "SELECT 1 FROM past_rows WHERE series = ? AND revision = ? AND start = ?",
            series.id,
            record.revision,
            record.start,
        )
        if list(there):
            _mark(session, series, record)


def _mark(session: Session, series: Series, record: Damaged) -> None:
    session.run(
        "DELETE FROM past_rows WHERE series = ? AND revision = ? AND start = ?",
        series.id,
        record.revision,
        record.start,
    )
    # Another record that starts there is of candles which are claimed by two: lost as well.
    session.run(
        'INSERT INTO past_rows (series, revision, start, "end", rows, data) '
        "VALUES (?, ?, ?, ?, ?, NULL) ON CONFLICT (series, revision, start) DO UPDATE "
        'SET rows = excluded.rows, data = NULL, "end" = '
        'CASE WHEN excluded."end" > past_rows."end" THEN excluded."end" ELSE past_rows."end" END',
        series.id,
        record.revision,
        *record.range,
        record.rows,
    )
