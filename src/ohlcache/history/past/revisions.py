"""What was changed of a series, and when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from ohlcache.candles import Block
from ohlcache.candles.block import Times
from ohlcache.errors import StoreDamaged
from ohlcache.history.chunks import window_length
from ohlcache.history.engine import Session
from ohlcache.history.past.earlier import Earlier, span
from ohlcache.history.past.records import decoded_rows
from ohlcache.history.past.snapshots import utc
from ohlcache.history.reading import Series

_BEGINNING, _END = -(2**62), 2**62


@dataclass(frozen=True, slots=True)
class Revision:
    """A stored candle that was changed or removed.

    at: when (UTC). timestamp: its open time in ms. before, after: its columns; ``after`` is None
    where it was removed. Empty: they were damaged and are lost. Whether there was a candle, and
    whether it was another one, is then not known.
    """

    at: datetime
    timestamp: int
    before: dict[str, float]
    after: dict[str, float] | None


class _State:
    """The candles of a range, taken back write by write."""

    def __init__(self, present: Block, times: list[Times], names: tuple[str, ...]) -> None:
        self.names = names
        self.times = np.unique(np.concatenate([present.times, *times]))
        self.values = np.full((len(names), len(self.times)), np.nan)
        self.exists = np.zeros(len(self.times), np.bool_)
        self.is_lost = np.zeros(len(self.times), np.bool_)
        self.lay(present, 0, len(self.times))

    def lay(self, rows: Block, low: int, high: int) -> None:
        """Make exactly these rows stand between two places."""
        at = np.searchsorted(self.times, rows.times)
        self.exists[low:high] = self.is_lost[low:high] = False
        self.exists[at] = True
        self.values[:, at] = rows.values

    def lose(self, low: int, high: int) -> None:
        """Let it be unknown what stands between two places."""
        self.is_lost[low:high] = True

    def at(self, place: int) -> dict[str, float] | None:
        """The candle at a place: None where there is none, empty where it is lost."""
        if self.is_lost[place]:
            return {}
        if not self.exists[place]:
            return None
        return dict(zip(self.names, self.values[:, place].tolist(), strict=True))


def revisions(
    session: Session, series: Series, present: Block, start: int | None, end: int | None
) -> list[Revision]:
    """The changes of candles that open in [start, end), in order of time and open time.

    ``present`` are those candles as they are now, read before; None leaves an end open. What is
    lost is listed as that, at each open time. Raises StoreDamaged for what fails its checksum.
    """
    start = _BEGINNING if start is None else start
    end = _END if end is None else end
    rows = session.rows(
        'SELECT at, start, "end", rows, data FROM past_rows JOIN past_write '
        "ON past_write.revision = past_rows.revision AND past_write.series = past_rows.series "
        'WHERE past_rows.series = ? AND start < ? AND "end" > ? '
        "ORDER BY past_rows.revision DESC, start DESC",
        series.id,
        end,
        start,
    )
    names = series.names
    records = [(at, Earlier(*record)) for at, *record in rows]
    earlier = [
        _lost_times(record, series, start, end)
        if record.is_lost
        else _rows(record, series, at).between(start, end).with_names(names)
        for at, record in records
    ]
    times = [one.times if isinstance(one, Block) else one for one in earlier]
    state = _State(present.with_names(names), times, names)
    found: list[Revision] = []
    for (at, record), before in zip(records, earlier, strict=True):
        low, high = np.searchsorted(state.times, np.array(record[:2], np.int64)).tolist()
        if isinstance(before, Block):
            found += _changes(at, before, state)
            state.lay(before, low, high)
        else:
            found += _losses(at, range(low, high), state)
            state.lose(low, high)
    return sorted(found, key=lambda one: (one.at, one.timestamp))


def _rows(record: Earlier, series: Series, at: int) -> Block:
    if not record.number:
        return Block.empty(series.names)
    return decoded_rows(record, series.key, f"before {utc(at):%Y-%m-%dT%H:%M}")


def _lost_times(record: Earlier, series: Series, start: int, end: int) -> Times:
    """All open times at which a candle may be lost."""
    low, high = max(record.start, start), min(record.end, end)
    if high - low > window_length(series.key.timeframe):  # no write loses more at once
        raise StoreDamaged(
            f"series {series.key}: its record of lost values of {span(low, high)} is damaged: "
            "give a start and an end closer together"
        )
    return series.grid.points(low, high)


def _changes(at: int, before: Block, state: _State) -> list[Revision]:
    places = np.searchsorted(state.times, before.times)
    after = state.values[:, places]
    values = np.ascontiguousarray(before.values)
    differs = (after.view(np.int64) != values.view(np.int64)).any(axis=0)
    differs |= ~state.exists[places] | state.is_lost[places]
    return [
        Revision(
            utc(at),
            int(before.times[row]),
            dict(zip(state.names, values[:, row].tolist(), strict=True)),
            state.at(int(places[row])),
        )
        for row in np.flatnonzero(differs).tolist()
    ]


def _losses(at: int, places: range, state: _State) -> list[Revision]:
    return [Revision(utc(at), int(state.times[place]), {}, state.at(place)) for place in places]
