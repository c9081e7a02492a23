"""Recording, in the transaction of a write, what stood there before it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from ohlcache.candles import OHLCV, Block, Grid, Interval, IntervalSet
from ohlcache.candles.block import Times
from ohlcache.candles.interval import difference, intersection
from ohlcache.history.engine import Session
from ohlcache.history.past.earlier import Earlier, absent, before, encoded
from ohlcache.history.past.retention import forget_older
from ohlcache.history.past.stamping import closed_until, stamp
from ohlcache.history.reading import Series, key_row

_BEGINNING = -(2**62)


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long earlier states are kept, and whose time they bear.

    clock: gives ms since the epoch in the stead of the database's clock, which all machines share;
    None: it does. revisions_days: None for ever.
    """

    clock: Callable[[], int] | None = None
    revisions_days: float | None = None

    def now(self, session: Session) -> int:
        """Milliseconds since the epoch."""
        if self.clock is not None:
            return self.clock()
        ((now,),) = session.rows(f"SELECT {session.NOW}")
        return int(now)


FOR_EVER = Keeping()


def _late(grid: Grid, now: int) -> int:
    """The last time (ms) whose candles, if they come now, no longer come as they closed."""
    return now - int(grid.timeframe.freshness * 1000) - 1


class Recording:
    """What one write changes of one series or several, until it is stored with its revision."""

    def __init__(self, session: Session, keeping: Keeping) -> None:
        self._session = session
        self._keeping = keeping
        self._began: int | None = None
        self._rows: list[Earlier] = []
        self._coverage: list[tuple[Interval, bool]] = []
        self._live_rows: list[Times] = []
        self._live_coverage: list[Interval] = []
        self._catalogue: tuple[str, str, int] | tuple[None, None, None] | None = None

    def live_edge(self, grid: Grid) -> int:
        """The first open time whose candle, if it is new, comes as it closed."""
        if self._began is None:
            self._began = self._keeping.now(self._session)
        return grid.floor(_late(grid, self._began))

    def creation(self) -> None:
        """The series was not there."""
        self._catalogue = (None, None, None)

    def catalogued(self, series: Series) -> None:
        """The catalogue said this of the series."""
        if self._catalogue is None:
            extras = json.dumps(series.names[len(OHLCV) :])
            self._catalogue = (extras, series.anchor.zone, series.anchor.offset)

    def changes(self, old: Block, changed: Times) -> None:
        """Rows are added or changed at these times; ``old`` are all that stood around them."""
        self._rows += before(old, changed)

    def additions(self, added: Times) -> None:
        """Rows are added at these times, where none stood from the first to the last of them."""
        if len(added):
            self._rows.append(absent(int(added[0]), int(added[-1]) + 1))

    def live_additions(self, added: Times) -> None:
        """Rows are added as they close, behind all others.

        They are recorded only where a read as of a time after their close was answered before.
        """
        if len(added):
            self._live_rows.append(added)

    def removal(self, records: Iterable[Earlier]) -> None:
        """These rows are removed."""
        self._rows += records

    def covering(self, new: IntervalSet) -> None:
        """Ranges that were not covered are now."""
        self._coverage += [(range_, False) for range_ in new]

    def live_covering(self, new: IntervalSet) -> None:
        """The coverage grows with time, behind all other; recorded as live rows are."""
        self._live_coverage += new

    def uncovering(self, range_: Interval, covered: IntervalSet) -> None:
        """A range of which ``covered`` was covered is no longer."""
        self._coverage += [(part, True) for part in intersection(covered, [range_])]
        self._coverage += [(part, False) for part in difference([range_], covered)]

    def store(self, series: Series, revision: int) -> None:
        """Store what was recorded of the series; called with the store's clock locked."""
        self._record_missed(series.grid)
        if not (self._rows or self._coverage or self._catalogue):
            return
        run_each = self._session.run_each
        if self._catalogue is not None:
            row = (series.id, revision, *self._catalogue)
            run_each("INSERT INTO past_series VALUES (?, ?, ?, ?, ?)", [row])
        run_each(
            "INSERT INTO past_coverage VALUES (?, ?, ?, ?, ?)",
            [(series.id, revision, *range_, int(was)) for range_, was in self._coverage],
        )
        run_each(
            "INSERT INTO past_rows VALUES (?, ?, ?, ?, ?, ?)",
            [(series.id, revision, *record) for record in encoded(self._rows)],
        )
        self._rows, self._coverage, self._catalogue = [], [], None
        # Last, so that the stamp is close to the commit.
        now = self._keeping.now(self._session)
        at = stamp(self._session, now)
        run_each("INSERT INTO past_write VALUES (?, ?, ?)", [(revision, series.id, at)])
        if self._keeping.revisions_days is not None:
            forget_older(self._session, now, self._keeping.revisions_days)

    def _record_missed(self, grid: Grid) -> None:
        """Record what came as it closed, but after the state of a later time could be read.

        That is one that was closed, or one so long ago that the write has taken too long.
        """
        rows, coverage = self._live_rows, self._live_coverage
        self._live_rows, self._live_coverage = [], []
        if not (rows or coverage):
            return
        now = self._keeping.now(self._session)
        readable = max(closed_until(self._session), _late(grid, now))
        times = np.concatenate([np.empty(0, np.int64), *rows])
        if readable < min([*times[:1].tolist(), *(range_.start for range_ in coverage)]):
            return
        edge = grid.floor(readable)
        self.additions(times[times < edge])
        self.covering(intersection(coverage, [(_BEGINNING, edge)]))

    def deletion(self, series: Series, revision: int) -> None:
        """The series is about to be removed as a whole, and all that was recorded of it."""
        created = self._session.rows(
            "SELECT past_write.at FROM past_series JOIN past_write "
            "ON past_write.series = past_series.series "
            "AND past_write.revision = past_series.revision "
            "WHERE past_series.series = ? AND past_series.extras IS NULL",
            series.id,
        )
        since = next((at for (at,) in list(created)), _BEGINNING)
        at = stamp(self._session, self._keeping.now(self._session))
        self._session.run_each(
            "INSERT INTO past_deleted VALUES (?, ?, ?, ?, ?, ?)",
            [(*key_row(series.key), revision, since, at)],
        )
