"""Recording, in the transaction of a write, what stood there before it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ohlcache.candles import OHLCV, Block, Grid, Interval, IntervalSet
from ohlcache.candles.block import Times
from ohlcache.candles.interval import difference, intersection
from ohlcache.history.engine import Session
from ohlcache.history.past.earlier import Earlier, absent, before, encoded
from ohlcache.history.past.retention import drop_older
from ohlcache.history.reading import Series

_DAY_MS = 86_400_000
_BEGINNING = -(2**62)


def system_clock() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long earlier states are kept, and whose time they bear.

    clock: gives ms since the epoch. revisions_days: None for ever.
    """

    clock: Callable[[], int] = system_clock
    revisions_days: float | None = None


FOR_EVER = Keeping()


class Recording:
    """What one write changes of one series or several, until it is stored with its revision."""

    def __init__(self, session: Session, keeping: Keeping) -> None:
        self._session = session
        self._keeping = keeping
        self._now = keeping.clock()
        self._rows: list[Earlier] = []
        self._coverage: list[tuple[Interval, bool]] = []
        self._catalogue: tuple[str, str, int] | tuple[None, None, None] | None = None

    def live_edge(self, grid: Grid) -> int:
        """The first open time whose candle, if it is new, comes as it closed."""
        fresh = int(grid.timeframe.freshness * 1000)
        return grid.floor(self._now - fresh - 1)

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

    def removal(self, records: Iterable[Earlier]) -> None:
        """These rows are removed."""
        self._rows += records

    def covering(self, new: IntervalSet) -> None:
        """Ranges that were not covered are now."""
        self._coverage += [(range_, False) for range_ in new]

    def uncovering(self, range_: Interval, covered: IntervalSet) -> None:
        """A range of which ``covered`` was covered is no longer."""
        self._coverage += [(part, True) for part in intersection(covered, [range_])]
        self._coverage += [(part, False) for part in difference([range_], covered)]

    def store(self, series: Series, revision: int) -> None:
        """Store what was recorded of the series; called with the store's clock locked."""
        if not (self._rows or self._coverage or self._catalogue):
            return
        run_each = self._session.run_each
        at = self._moment()
        run_each("INSERT INTO past_write VALUES (?, ?, ?)", [(revision, series.id, at)])
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
        if self._keeping.revisions_days is not None:
            drop_older(self._session, at - int(self._keeping.revisions_days * _DAY_MS))

    def _moment(self) -> int:
        """The time of the write; never before that of an earlier one, whosever clock it was by."""
        latest: int
        ((latest,),) = self._session.rows(LATEST_MOMENT)
        return max(self._keeping.clock(), latest)


# The time of the newest write that is recorded, or snapshot.
LATEST_MOMENT = f"""
SELECT max(at) FROM (
    SELECT max(at) AS at FROM past_write UNION ALL SELECT max(at) FROM snapshot
    UNION ALL SELECT {_BEGINNING}
) AS moments
"""
