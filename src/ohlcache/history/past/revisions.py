"""What was changed of a series, and when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from ohlcache.candles import Block
from ohlcache.history.engine import Session
from ohlcache.history.past.earlier import Earlier
from ohlcache.history.past.records import decoded_rows
from ohlcache.history.past.snapshots import utc
from ohlcache.history.reading import Series

_BEGINNING, _END = -(2**62), 2**62


@dataclass(frozen=True, slots=True)
class Revision:
    """A stored candle that was changed or removed.

    at: when (UTC). timestamp: its open time in ms. before, after: its columns; ``after`` is None
    where it was removed.
    """

    at: datetime
    timestamp: int
    before: dict[str, float]
    after: dict[str, float] | None


class _State:
    """The candles of a range, taken back write by write."""

    def __init__(self, present: Block, blocks: list[Block], names: tuple[str, ...]) -> None:
        self.times = np.unique(np.concatenate([present.times, *(one.times for one in blocks)]))
        self.values = np.full((len(names), len(self.times)), np.nan)
        self.exists = np.zeros(len(self.times), np.bool_)
        self.lay(present, 0, len(self.times))

    def lay(self, rows: Block, low: int, high: int) -> None:
        """Make exactly these rows stand between two places."""
        at = np.searchsorted(self.times, rows.times)
        self.exists[low:high] = False
        self.exists[at] = True
        self.values[:, at] = rows.values


def revisions(
    session: Session, series: Series, present: Block, start: int | None, end: int | None
) -> list[Revision]:
    """The changes of candles that open in [start, end), in order of time and open time.

    ``present`` are those candles as they are now, read before; None leaves an end open. Raises
    StoreDamaged.
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
    blocks = [
        decoded_rows(record, series.key, f"before {utc(at):%Y-%m-%dT%H:%M}")
        .between(start, end)
        .with_names(names)
        if record.number
        else Block.empty(names)
        for at, record in records
    ]
    state = _State(present.with_names(names), blocks, names)
    found: list[Revision] = []
    for (at, record), before in zip(records, blocks, strict=True):
        low, high = np.searchsorted(state.times, np.array(record[:2], np.int64))
        found += _changes(at, before, state, names)
        state.lay(before, int(low), int(high))
    return sorted(found, key=lambda one: (one.at, one.timestamp))


def _changes(at: int, before: Block, state: _State, names: tuple[str, ...]) -> list[Revision]:
    places = np.searchsorted(state.times, before.times)
    after = state.values[:, places]
    exists = state.exists[places]
    values = np.ascontiguousarray(before.values)
    differs = ~exists | (after.view(np.int64) != values.view(np.int64)).any(axis=0)
    return [
        Revision(
            utc(at),
            int(before.times[row]),
            dict(zip(names, values[:, row].tolist(), strict=True)),
            dict(zip(names, after[:, row].tolist(), strict=True)) if exists[row] else None,
        )
        for row in np.flatnonzero(differs).tolist()
    ]
