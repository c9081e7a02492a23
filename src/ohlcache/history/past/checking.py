"""Checking the records of earlier states: whose they are, checksum, order, range."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np

from ohlcache.candles import Interval
from ohlcache.candles.codec import decode
from ohlcache.errors import ChunkDamaged, ChunkVersionUnsupported, StoreDamaged
from ohlcache.history.engine import Session
from ohlcache.history.past.earlier import Earlier, span
from ohlcache.history.reading import Series, described

_TABLES = ("past_rows", "past_coverage", "past_series")
_REMEDY = "what it was before cannot be trusted: restore the store from a copy"
_MARKED = "repair marks them as lost, since nobody can give them again"


def faults_of_the_past(session: Session, series: Series) -> Iterator[tuple[Interval | None, str]]:
    """What is wrong with each record of a series, with the range that it is of.

    What was damaged already when it was removed is no fault: there is no record of it.
    """
    for _, record, fault in faulty_records(session, series):
        range_ = Interval(record.start, record.end)
        yield range_, f"earlier values of {span(*range_)}: {fault}"
    for table in _TABLES:
        yield from ((None, fault) for fault in _of_no_write(session, series, table))
    yield from ((None, fault) for fault in _undescribed(session, series))


def _of_no_write(session: Session, series: Series, table: str) -> Iterator[str]:
    """Records of a revision in which, by the list of writes, nothing was written to the series."""
    revisions = session.rows(
        f"SELECT DISTINCT revision FROM {table} WHERE series = ? AND NOT EXISTS (SELECT 1 "
        f"FROM past_write WHERE past_write.series = {table}.series "
        f"AND past_write.revision = {table}.revision) ORDER BY revision",
        series.id,
    )
    for (revision,) in revisions:
        yield f"records in {table} of revision {revision}, in which nothing was written: {_REMEDY}"


def _undescribed(session: Session, series: Series) -> Iterator[str]:
    rows = session.rows(
        "SELECT extras, zone, zone_offset FROM past_series WHERE series = ? "
        "AND extras IS NOT NULL ORDER BY revision",
        series.id,
    )
    for row in rows:
        try:
            described("an earlier state", *row)
        except StoreDamaged as error:
            yield str(error)


def faulty_records(session: Session, series: Series) -> Iterator[tuple[int, Earlier, str]]:
    """Each record of rows that cannot be trusted, with its revision and what is wrong with it."""
    revisions = session.rows(
        "SELECT DISTINCT revision FROM past_rows WHERE series = ? ORDER BY revision", series.id
    )
    for (revision,) in list(revisions):
        rows = session.rows(
            'SELECT start, "end", rows, data FROM past_rows WHERE series = ? AND revision = ? '
            "AND data IS NOT NULL ORDER BY start",
            series.id,
            revision,
        )
        for record in map(Earlier._make, list(rows)):
            fault = _fault(record)
            if fault is not None:
                yield revision, record, fault


def _fault(record: Earlier) -> str | None:
    try:
        times = decode(cast("bytes", record.rows)).times
    except ChunkVersionUnsupported as error:
        return str(error)
    except ChunkDamaged as error:
        fault = str(error).rpartition(": ")[0]  # whose remedy is that for a chunk of the present
        return f"{fault}: {_MARKED}"
    if len(times) != record.number or not (np.diff(times) > 0).all():
        return f"rows are missing or out of order: {_MARKED}"
    if len(times) and not record.start <= times[0] <= times[-1] < record.end:
        return f"rows lie outside of it: {_MARKED}"
    return None
