"""The properties of a symbol in the store, and the coverage that rests on its listing.

Before its listing and after its delisting a symbol has no candles, which is recorded as coverage
like any other empty range when somebody asks for it. It rests on what the properties say at that
moment: a listing that turns out to be longer takes such coverage back. The row of the properties is
locked first by both, so that neither misses the other.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from ohlcache.candles import OHLCV, Anchor, Interval, IntervalSet
from ohlcache.candles.interval import difference, intersection, normalise
from ohlcache.history.engine import Session
from ohlcache.history.listing import Listing
from ohlcache.history.reading import Reading, Series
from ohlcache.history.reports import SeriesKey
from ohlcache.history.writing import Writing

_ALWAYS = (Interval(-(2**62), 2**62),)


def stored_properties(
    session: Session, venue: str, symbol: str, *, lock: bool = False
) -> dict[str, Any]:
    """The properties of a symbol; empty where none were set."""
    rows = session.rows(
        "SELECT data FROM metadata WHERE venue = ? AND symbol = ?"
        f"{session.ROW_LOCK if lock else ''}",
        venue,
        symbol,
    )
    found: dict[str, Any] = next((json.loads(data) for (data,) in rows), {})
    return found


def replace_properties(session: Session, venue: str, symbol: str, data: dict[str, Any]) -> None:
    """Store the properties, and take back the coverage that rested on a shorter listing."""
    before = Listing.of(stored_properties(session, venue, symbol, lock=True))
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
    session: Session, writing: Writing, series: Series, before: Listing, after: Listing
) -> None:
    grid = series.grid
    retaken = difference(before.never_traded(grid, _ALWAYS), after.never_traded(grid, _ALWAYS))
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
