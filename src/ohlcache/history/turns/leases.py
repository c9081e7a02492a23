"""Who is fetching what: leases in the store's own database, seen by all processes and machines.

A lease is a range of a series that one owner has taken upon itself to fetch, until a moment of the
database's clock (Gray and Cheriton, Leases, SOSP 1989). An owner that died holds others up for no
longer than that, and where the clock is set back, for no longer than twice its time: what would end
later than that was taken by a clock that was ahead, and has ended. A lease keeps work from being
done twice. Who lost one stores only what nobody has stored meanwhile: a page that was asked for
long ago overwrites nothing newer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ohlcache.candles import Interval, IntervalSet, Timeframe
from ohlcache.candles.interval import difference, intersection, normalise
from ohlcache.history.engine import Engine, Session
from ohlcache.history.reading import Reading, key_row
from ohlcache.history.reports import SeriesKey

_OF_SERIES = "venue = ? AND symbol = ? AND timeframe = ?"

# A clock that is only adjusted ends no lease: twice, not once.
_HAS_ENDED = "(until <= {now} OR until > {now} + 2 * lasts)"


class Claim(NamedTuple):
    """What became of ranges that were asked for; what is in neither is stored by now.

    granted: the caller has to fetch them.
    busy: others are fetching them.
    """

    granted: IntervalSet
    busy: IntervalSet


Held = tuple[SeriesKey, Interval]


class Leases:
    """The leases of one store. All methods raise StoreErrors."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def claim(self, key: SeriesKey, wanted: IntervalSet, owner: str, seconds: float) -> Claim:
        """Take what of ``wanted`` is neither stored nor being fetched, for ``seconds``."""
        with self._engine.writing() as session:
            session.lock(f"fetching {key}")
            session.run(
                f"DELETE FROM fetching WHERE {_OF_SERIES} AND {_ended(session)}", *key_row(key)
            )
            # Leases first: who gave one up has committed its candles before.
            taken = normalise(
                session.rows(f'SELECT start, "end" FROM fetching WHERE {_OF_SERIES}', *key_row(key))
            )
            reading = Reading(session)
            series = reading.series(key)
            lacking = difference(wanted, reading.coverage(series) if series else ())
            granted = difference(lacking, taken)
            session.run_each(
                f"INSERT INTO fetching VALUES (?, ?, ?, ?, ?, ?, {session.NOW} + ?, ?)",
                [(*key_row(key), *range_, owner, _ms(seconds), _ms(seconds)) for range_ in granted],
            )
        return Claim(granted, intersection(lacking, taken))

    def is_held(self, session: Session, key: SeriesKey, range_: Interval, owner: str) -> bool:
        """Whether the owner still holds what was granted, for as long as the session lasts."""
        found = session.rows(
            f"SELECT 1 FROM fetching WHERE {_OF_SERIES} AND start = ? AND owner = ? "
            f"AND until > {session.NOW}",
            *key_row(key),
            range_.start,
            owner,
        )
        return any(True for _ in found)

    def release(self, key: SeriesKey, ranges: IntervalSet, owner: str) -> None:
        """Give up what was granted, if it is still held."""
        with self._engine.writing() as session:
            session.run_each(
                f"DELETE FROM fetching WHERE {_OF_SERIES} AND start = ? AND owner = ?",
                [(*key_row(key), range_.start, owner) for range_ in ranges],
            )

    def renew(self, held: set[Held], owner: str, seconds: float) -> set[Held]:
        """Hold what of ``held`` the owner still holds for ``seconds`` from now; what that is.

        Nothing else of the owner's: what it could not give up has to end.
        """
        ms = _ms(seconds)
        # In order, so that no two transactions wait for each other's rows.
        rows = sorted((*key_row(key), range_.start) for key, range_ in held)
        with self._engine.writing() as session:
            session.run_each(
                f"UPDATE fetching SET until = {session.NOW} + ?, lasts = ? "
                f"WHERE {_OF_SERIES} AND start = ? AND owner = ? AND until > {session.NOW}",
                [(ms, ms, *row, owner) for row in rows],
            )
            return held & {
                (SeriesKey(venue, symbol, Timeframe.parse(timeframe)), Interval(start, end))
                for venue, symbol, timeframe, start, end in session.rows(
                    'SELECT venue, symbol, timeframe, start, "end" FROM fetching '
                    f"WHERE owner = ? AND until > {session.NOW}",
                    owner,
                )
            }

    def busy(self, keys: Iterable[SeriesKey]) -> dict[SeriesKey, IntervalSet]:
        """The ranges of each series that anyone is fetching."""
        with self._engine.reading() as session:
            return {key: _leased(session, key) for key in set(keys)}


def _leased(session: Session, key: SeriesKey) -> IntervalSet:
    rows = session.rows(
        f'SELECT start, "end" FROM fetching WHERE {_OF_SERIES} AND NOT {_ended(session)}',
        *key_row(key),
    )
    return normalise(rows)


def _ended(session: Session) -> str:
    return _HAS_ENDED.format(now=session.NOW)


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))
