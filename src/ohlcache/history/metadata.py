"""The properties of a symbol in the store, and the coverage that rests on its listing.

Before its listing and after its delisting a symbol has no candles, which is recorded as coverage
like any other empty range when somebody asks for it. It rests on what the properties say at that
moment: a listing that turns out to be longer takes such coverage back. The row of the properties is
locked first by both, so that neither misses the other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from ohlcache.candles import OHLCV, Anchor, Interval, IntervalSet
from ohlcache.candles.interval import difference, intersection, normalise
from ohlcache.errors import StoreDamaged
from ohlcache.history.engine import Session
from ohlcache.history.listing import Listing
from ohlcache.history.reading import Reading, Series
from ohlcache.history.reports import SeriesKey
from ohlcache.history.writing import Writing

_ALWAYS = (Interval(-(2**62), 2**62),)


def stored_properties(
    session: Session, venue: str, symbol: str, *, lock: bool = False
) -> dict[str, Any]:
    """The properties of a symbol; empty where none were set. Raises StoreDamaged."""
    rows = session.rows(
        "SELECT data FROM metadata WHERE venue = ? AND symbol = ?"
        f"{session.ROW_LOCK if lock else ''}",
        venue,
        symbol,
    )
    return next((_parsed(venue, symbol, data) for (data,) in rows), {})


def faults_of_properties(session: Session) -> Iterator[tuple[str, str]]:
    """The symbols whose properties are damaged, each with what is wrong."""
    for venue, symbol, data in session.rows("SELECT venue, symbol, data FROM metadata"):
        try:
            _parsed(venue, symbol, data)
        except StoreDamaged as error:
            yield f"{venue} {symbol}", str(error)


def _parsed(venue: str, symbol: str, data: str) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except json.JSONDecodeError as error:
        raise _damaged(venue, symbol, error) from error
    if not isinstance(found, dict):
        raise _damaged(venue, symbol, f"it is {data[:20]!r}")
    return found


def _damaged(venue: str, symbol: str, fault: object) -> StoreDamaged:
    return StoreDamaged(
        f"metadata of {venue} {symbol} is damaged ({fault}): set it again with set_metadata"
    )


def replace_properties(session: Session, venue: str, symbol: str, data: dict[str, Any]) -> None:
    """Store the properties, and take back the coverage that rested on a shorter listing."""
    try:
        before = Listing.of(stored_properties(session, venue, symbol, lock=True))
    except StoreDamaged:
        before = None
    after = Listing.of(data)
    session.run(
        "INSERT INTO metadata VALUES (?, ?, ?) "
        "ON CONFLICT (venue, symbol) DO UPDATE SET data = excluded.data",
        venue,
        symbol,
        json.dumps(data),
    )
    if before == after:
        return
    writing = Writing(session)
    known = sorted(Reading(session).series_of(venue, symbol), key=lambda series: series.id)
    # All are locked before the first is changed, which locks the clock.
    for series in filter(None, [writing.known_series(one.key) for one in known]):
        _uncover(session, writing, series, before, after)


def _uncover(
    session: Session, writing: Writing, series: Series, before: Listing | None, after: Listing
) -> None:
    grid = series.grid
    # A listing that cannot be read any more may have been any: all may have rested on it.
    untraded = _ALWAYS if before is None else before.never_traded(grid, _ALWAYS)
    retaken = difference(untraded, after.never_traded(grid, _ALWAYS))
    # Candles were written by somebody: what they cover does not rest on the listing.
    retaken = difference(retaken, _with_candles(session, series, retaken))
    for range_ in retaken:
        writing.uncover(series, range_)
    if retaken:
        writing.touch(series)


def _with_candles(session: Session, series: Series, ranges: IntervalSet) -> IntervalSet:
    """The open times of the candles in windows that the ranges touch, as few ranges."""
    reading, grid = Reading(session), series.grid
    windows = {
        piece.start
        for piece in reading.pieces(series, *_ALWAYS[0])
        if intersection([(piece.first, grid.next(piece.last))], ranges)
    }
    found: list[Interval] = []
    for start in sorted(windows):
        times = reading.rows(series, start, start + 1).times
        ends = grid.nexts(times)
        breaks = np.flatnonzero(ends[:-1] != times[1:])
        firsts, lasts = np.append(0, breaks + 1), np.append(breaks, len(times) - 1)
        found += map(Interval, times[firsts].tolist(), ends[lasts].tolist())
    return normalise(found)


def cover_never_traded(
    session: Session, key: SeriesKey, anchor: Anchor, ranges: IntervalSet
) -> None:
    """Record what of the ranges lies outside the listing as covered, without candles.

    The series is created, with the anchor, if need be.
    """
    listing = Listing.of(stored_properties(session, key.venue, key.symbol, lock=True))
    writing = Writing(session)
    series = writing.series(key, anchor, OHLCV)
    if writing.cover(series, listing.never_traded(series.grid, ranges)):
        writing.touch(series)
