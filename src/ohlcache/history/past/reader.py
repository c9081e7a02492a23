"""The way of a read as of a moment: what was stored then, and what followed from it.

It is the way of a read of the present (see ``walk``) without a source: what was not known then
cannot be fetched now. Whatever is read of a settled moment is the same whenever it is read, as long
as the records are read after the rows that they are laid over; so no transaction has to span the
two.
"""

from __future__ import annotations

from ohlcache.candles import Block, Grid, Interval, IntervalSet, Timeframe, to_iso
from ohlcache.candles.instant import Instant
from ohlcache.candles.interval import difference, union
from ohlcache.candles.resample import divides, resample
from ohlcache.errors import InvalidArgument, StoreReadOnly, UnknownSymbol
from ohlcache.history.arguments import filled_range
from ohlcache.history.barred import Barred
from ohlcache.history.derive import bases, complete_buckets, derived_grid, in_order
from ohlcache.history.engine import Session
from ohlcache.history.holder import Holder
from ohlcache.history.past.moment import (
    Moment,
    check_kept,
    find_moment,
    is_settled,
    time_meant,
    unsettled_for,
)
from ohlcache.history.past.records import (
    Gone,
    Known,
    coverage_then,
    rows_after,
    rows_then,
    series_then,
)
from ohlcache.history.past.snapshots import damaged_snapshot, held_of
from ohlcache.history.reading import Reading, Series
from ohlcache.history.reports import SeriesKey
from ohlcache.history.store import Store


class PastReader:
    """Answers reads as of moments that were."""

    def __init__(self, store: Store, holder: Holder) -> None:
        self._store = store
        self._holder = holder

    def candles(self, key: SeriesKey, start: int | None, end: int | None, as_of: Instant) -> Block:
        """The candles in [start, end) as they were known; None leaves an end open.

        Raises InvalidArgument, UnknownSnapshot, UnknownSymbol or a StoreError.
        """
        at = time_meant(as_of)
        if at is not None:
            self._settle(at, key.timeframe)
        with self._store.session() as session:
            moment = find_moment(session, as_of)
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

    def _settle(self, at: int, timeframe: Timeframe) -> None:
        """See to it that a timeframe reads the same as of a time from now on.

        Raises InvalidArgument for one to come, or too recent for a store that cannot be written.
        """
        with self._store.session() as session:
            now = self._store.now(session)
            if is_settled(session, at, now, timeframe):
                return
        try:
            self._store.close_past(at)
        except StoreReadOnly as error:
            unsettled = unsettled_for(timeframe)
            if at > now - unsettled:
                raise InvalidArgument(
                    f"as_of is {to_iso(at)}, and until {unsettled // 1000} s after it only "
                    f"who may write to the store can read it ({error}): give an earlier time"
                ) from error

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
    barred = Barred()
    reading = Reading(session, barred=barred)
    present = {one.id: one for one in reading.series_of(key.venue, key.symbol)}
    barred.check(key)
    if moment.snapshot is not None:
        return _in_snapshot(session, key, moment, present, barred)
    known = {}
    for series in present.values():
        then = series_then(session, series, moment.revision)
        if then is not None:
            end = then.grid.floor(moment.at)
            coverage = coverage_then(session, then, moment.revision, end)
            known[then.key] = Known(then, coverage, end)
    return known, _deleted_since(session, key, moment)


def _deleted_since(session: Session, key: SeriesKey, moment: Moment) -> set[Gone]:
    rows = session.rows(
        "SELECT timeframe FROM past_deleted WHERE venue = ? AND symbol = ? "
        "AND since <= ? AND at > ?",
        key.venue,
        key.symbol,
        moment.at,
        moment.at,
    )
    return {Gone(key._replace(timeframe=Timeframe.parse(timeframe))) for (timeframe,) in rows}


def _in_snapshot(
    session: Session,
    key: SeriesKey,
    moment: Moment,
    present: dict[int, Series],
    barred: Barred,
) -> tuple[dict[SeriesKey, Known], set[Gone]]:
    assert moment.snapshot is not None
    known, gone = {}, set()
    for held in held_of(session, moment.snapshot, key.venue, key.symbol):
        name = f"{key.venue} {key.symbol} {held.timeframe}"
        if held.id is None:
            gone.add(Gone(key._replace(timeframe=Timeframe.parse(held.timeframe))))
            continue
        series = present.get(held.id)
        if series is None or str(series.key.timeframe) != held.timeframe:
            barred.check_symbol(key)
            raise damaged_snapshot(moment.snapshot, f"{name} is not the stored one")
        then = series_then(session, series, moment.revision)
        if then is None:
            raise damaged_snapshot(moment.snapshot, f"{name} is recorded as created after it")
        coverage = coverage_then(session, then, moment.revision, held.coverage_end)
        known[then.key] = Known(then, coverage, held.rows_end)
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
    remedy = "give a later time" if moment.snapshot is None else "take another snapshot"
    return UnknownSymbol(
        f"{key} was deleted as a whole after {moment}, with all its earlier values: import it "
        f"and {remedy}"
    )
