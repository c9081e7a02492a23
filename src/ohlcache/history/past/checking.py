"""Checking the records of earlier states: checksum, order, range."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ohlcache.candles import Interval
from ohlcache.candles.codec import decode
from ohlcache.errors import ChunkError
from ohlcache.history.engine import Session
from ohlcache.history.past.earlier import span
from ohlcache.history.reading import Series


def faults_of_the_past(session: Session, series: Series) -> Iterator[tuple[Interval, str]]:
    """What is wrong with each record of a series, with the range that it is of.

    What was damaged already when it was removed is no fault: there is no record of it.
    """
    revisions = session.rows(
        "SELECT DISTINCT revision FROM past_rows WHERE series = ? ORDER BY revision", series.id
    )
    for (revision,) in list(revisions):
        yield from _faults(session, series, revision)


def _faults(session: Session, series: Series, revision: int) -> Iterator[tuple[Interval, str]]:
    rows = session.rows(
        'SELECT start, "end", rows, data FROM past_rows WHERE series = ? AND revision = ? '
        "AND data IS NOT NULL ORDER BY start",
        series.id,
        revision,
    )
    for start, end, count, data in list(rows):
        where = f"earlier values of {span(start, end)}"
        try:
            times = decode(data).times
        except ChunkError as error:
            yield Interval(start, end), f"{where}: {error}"
            continue
        if len(times) != count or not (np.diff(times) > 0).all():
            yield Interval(start, end), f"{where}: rows are missing or out of order"
        elif len(times) and not start <= times[0] <= times[-1] < end:
            yield Interval(start, end), f"{where}: rows lie outside of it"
