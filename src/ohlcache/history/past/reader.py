"""The way of a read as of a moment: what was stored then, and what followed from it.

It is the way of a read of the present (see ``walk``) without a source: what was not known then
cannot be fetched now. Whatever is read of a moment is the same whenever it is read, as long as the
records are read after the rows that they are laid over; so no transaction has to span the two.
"""

from __future__ import annotations

from collections.abc import Callable

from ohlcache.candles import Block, Grid, Interval, IntervalSet, Timeframe, to_iso
from ohlcache.candles.instant import Instant
from ohlcache.candles.interval import difference, union
from ohlcache.candles.resample import divides, resample
from ohlcache.errors import UnknownSymbol
from ohlcache.history.arguments import filled_range
from ohlcache.history.derive import bases, complete_buckets, derived_grid, in_order
from ohlcache.history.engine import Session
from ohlcache.history.holder import Holder
from ohlcache.history.past.moment import Moment, check_kept, find_moment
from ohlcache.history.past.records import (
    Gone,
    Known,
    coverage_then,
    rows_after,
    rows_then,
    series_then,
)
from ohlcache.history.reading import Reading, Series
from ohlcache.history.reports import SeriesKey
from ohlcache.history.store import Store


class PastReader:
    """Answers reads as of moments that were."""

    def __init__(self, store: Store, holder: Holder, clock: Callable[[], int]) -> None:
        self._store = store
        self._holder = holder
        self._clock = clock

    def candles(self, key: SeriesKey, start: int | None, end: int | None, as_of: Instant) -> Block:
        """The candles in [start, end) as they were known; None leaves an end open.

        Raises InvalidArgument, UnknownSnapshot, UnknownSymbol or a StoreError.
        """
        with self._store.session() as session:
            moment = find_moment(session, as_of, self._clock())
            known, gone = _known(session, key, moment)
            stored = known.get(key)
            candidates = bases(key, [one.series for one in known.values()])
            if stored is None and not candidates:
                raise _unknown(session, key, moment, gone)
        if Gone(key) in gone:
            raise _gone(key, moment)
        grid = stored.series.grid if stored else derived_grid(key.timeframe, candidates[0])
        made_from = [known[base.key] for base in candidates if divides(base.grid, grid)]
        covered: IntervalSet = ()
        for one in filter(None, [stored, *made_from]):
            covered = union(covered, one.coverage)
        low, high = filled_range(key, start, end, covered, moment.at)
        rows = self._rows(stored, low, high, moment) if stored else Block.empty()
        wanted = difference(
            [(grid.ceil(low), grid.ceil(min(high, max(moment.at, low))))],
            stored.coverage if stored else (),
        )
        parts = [rows]
        for base in made_from:
            for bucket in complete_buckets(grid, wanted, base.coverage):
                parts.append(self._made(base, grid, bucket, moment))
                wanted = difference(wanted, [bucket])
        lost = [one.key for one in gone if divides(Grid(one.key.timeframe), grid)]
        if wanted and lost:
            raise _gone(lost[0], moment)
        return (rows if len(parts) == 1 else in_order(parts)).frozen()

    def _made(self, base: Known, grid: Grid, bucket: Interval, moment: Moment) -> Block:
        finer = self._rows(base, *bucket, moment)
        return resample(finer, base.series.grid, grid, covered=(bucket,), incomplete="drop").block

    def _rows(self, known: Known, start: int, end: int, moment: Moment) -> Block:
        end = min(end, known.rows_end)
        key = known.series.key
        if start >= end:
            return Block.empty(known.series.names)
        loaded = self._holder.load(key, start, end)
        with self._store.session() as session:
            check_kept(session, moment)
            present = Reading(session).series(key)
            is_same = (
                loaded is not None
                and present is not None
                and loaded[0].series.id == present.id == known.series.id
                and series_then(session, present, moment.revision) is not None
            )
            if loaded is None or not is_same:
                raise _gone(key, moment)
            records = rows_after(session, known.series, moment.revision, start, end)
        return rows_then(loaded[1], records, Interval(start, end), known, moment)


def _known(
    session: Session, key: SeriesKey, moment: Moment
) -> tuple[dict[SeriesKey, Known], set[Gone]]:
    """What was stored of a symbol, and what of it has been deleted since a snapshot."""
    present = {one.id: one for one in Reading(session).series_of(key.venue, key.symbol)}
    if moment.snapshot is not None:
        return _in_snapshot(session, key, moment, present)
    known = {}
    for series in present.values():
        then = series_then(session, series, moment.revision)
        if then is not None:
            end = then.grid.floor(moment.at)
            coverage = coverage_then(session, then, moment.revision, end)
            known[then.key] = Known(then, coverage, end)
    return known, set()


def _in_snapshot(
    session: Session, key: SeriesKey, moment: Moment, present: dict[int, Series]
) -> tuple[dict[SeriesKey, Known], set[Gone]]:
    rows = session.rows(
        "SELECT timeframe, series, rows_end, coverage_end FROM snapshot_series "
        "WHERE snapshot = ? AND venue = ? AND symbol = ?",
        moment.snapshot,
        key.venue,
        key.symbol,
    )
    known, gone = {}, set()
    for timeframe, id_, rows_end, coverage_end in list(rows):
        if id_ is None:
            gone.add(Gone(key._replace(timeframe=Timeframe.parse(timeframe))))
            continue
        then = series_then(session, present[id_], moment.revision)
        assert then is not None
        coverage = coverage_then(session, then, moment.revision, coverage_end)
        known[then.key] = Known(then, coverage, rows_end)
    return known, gone


def _unknown(session: Session, key: SeriesKey, moment: Moment, gone: set[Gone]) -> UnknownSymbol:
    if gone:
        return _gone(next(iter(gone)).key, moment)
    first = session.rows(
        "SELECT series.timeframe, past_write.at FROM series "
        "JOIN past_series ON past_series.series = series.id AND past_series.extras IS NULL "
        "JOIN past_write ON past_write.series = series.id "
        "AND past_write.revision = past_series.revision "
        "WHERE series.venue = ? AND series.symbol = ? ORDER BY past_write.at",
        key.venue,
        key.symbol,
    )
    since = ", ".join(f"{timeframe} since {to_iso(at)}" for timeframe, at in first)
    return UnknownSymbol(
        f"nothing of {key} was known as of {moment} (stored: {since or 'nothing to this day'}): "
        "give a later moment"
    )


def _gone(key: SeriesKey, moment: Moment) -> UnknownSymbol:
    return UnknownSymbol(
        f"{key} was deleted as a whole after {moment}, with all its earlier values: import it "
        "and take another snapshot"
    )
