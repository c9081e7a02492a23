"""Writing to a store: the steps of one transaction.

Rows that another process wrote to the same window are merged with, never overwritten blindly.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import groupby
from typing import NamedTuple

import numpy as np

from ohlcache.candles import OHLCV, Anchor, Block, Interval, IntervalSet
from ohlcache.candles.block import Times
from ohlcache.candles.codec import decode
from ohlcache.candles.merge import merge
from ohlcache.candles.quality import Offender
from ohlcache.errors import ChunkError, StoreDamaged
from ohlcache.history.chunks import (
    BODY,
    RECENT,
    Encoded,
    Piece,
    belongs_in_recent,
    encode_layers,
    split,
    window,
    window_length,
)
from ohlcache.history.covering import Covering
from ohlcache.history.engine import Session
from ohlcache.history.lineage import mark_revision
from ohlcache.history.past.earlier import Earlier, spanning, standing
from ohlcache.history.past.recording import FOR_EVER, Keeping, Recording
from ohlcache.history.proving import proven
from ohlcache.history.reading import Reading, Series, key_row
from ohlcache.history.reports import SeriesKey

_MOST_REFUSED = 10_000  # offenders remembered for each series
_BEGINNING, _END = -(2**62), 2**62


@dataclass(frozen=True, slots=True)
class Changed:
    """How many rows a write added, updated and found as they were."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0


class _Placed(NamedTuple):
    """Which layer of a window takes new rows, all rows of that layer, and what changed.

    changed: open times that were added or updated. old: all rows of the window before; None: none
    between the first and the last of the new ones.
    """

    layer: int
    block: Block
    added: int
    updated: int
    unchanged: int
    changed: Times
    old: Block | None


class Writing:
    """The steps of a write, inside its transaction.

    Locks are taken in one order, so that writers wait for each other but never in a circle: the
    properties of a symbol, series by their ids, the clock, then all that is only changed with the
    clock locked. Series are locked when they are looked up. The store's clock is locked when the
    revision of the write is first needed, after the work of merging and encoding: whoever gets a
    revision commits before the next one is given, so that readers who ask for what is newer miss
    nothing.
    """

    def __init__(self, session: Session, keeping: Keeping = FOR_EVER) -> None:
        self._session = session
        self._read = Reading(session)
        self._given: int | None = None
        self._has_advanced = False
        self._past = Recording(session, keeping)
        self._coverage = Covering(session, self._past)
        self.has_new_columns = False

    @property
    def _revision(self) -> int:
        if self._given is None:
            clock = f"SELECT revision FROM clock{self._session.ROW_LOCK}"
            ((revision,),) = self._session.rows(clock)
            self._given = revision + 1
        return self._given

    def _advance(self) -> None:
        """Put the clock on the revision of this write, once."""
        if not self._has_advanced:
            self._session.run("UPDATE clock SET revision = ?", self._revision)
            mark_revision(self._session, self._revision)
            self._has_advanced = True

    def known_series(self, key: SeriesKey) -> Series | None:
        """A series to be changed, or None."""
        return self._read.locked_series(key)

    def series(self, key: SeriesKey, anchor: Anchor, names: tuple[str, ...]) -> Series:
        """The series, created or given further columns where need be."""
        series = self.known_series(key)
        if series is None:
            series = self._created(key, anchor, names)
        if set(names) <= set(series.names):
            return series
        self.has_new_columns = True
        self._past.catalogued(series)
        extras = dict.fromkeys((*series.names, *names))
        self._session.run(
            "UPDATE series SET extras = ? WHERE id = ?",
            json.dumps(list(extras)[len(OHLCV) :]),
            series.id,
        )
        return replace(series, names=tuple(extras))

    def _created(self, key: SeriesKey, anchor: Anchor, names: tuple[str, ...]) -> Series:
        """A new series, unless another writer was quicker: then the one that it created.

        Here too the series is locked before the clock. In the other order two writers could each
        hold what the other one waits for.
        """
        self._session.run(
            "INSERT INTO series (venue, symbol, timeframe, zone, zone_offset, extras, revision, "
            "epoch) VALUES (?, ?, ?, ?, ?, ?, 0, 0) ON CONFLICT DO NOTHING",
            *key_row(key),
            anchor.zone,
            anchor.offset,
            json.dumps(names[len(OHLCV) :]),
        )
        found = self.known_series(key)
        assert found is not None
        if found.epoch:
            return found
        self._session.run(
            "UPDATE series SET revision = ?, epoch = ? WHERE id = ?",
            self._revision,
            self._revision,
            found.id,
        )
        self._advance()
        self._past.creation()
        return replace(found, revision=self._revision, epoch=self._revision)

    def move_anchor(self, series: Series, anchor: Anchor) -> None:
        """Give the series another anchor."""
        self._past.catalogued(series)
        self._session.run(
            "UPDATE series SET zone = ?, zone_offset = ? WHERE id = ?",
            anchor.zone,
            anchor.offset,
            series.id,
        )
        self.touch(series)

    def rows(self, series: Series, block: Block) -> Changed:
        """Merge rows into the windows they fall into."""
        live = self._live_rows_from(series, block)
        self._past.live_additions(block.times[np.searchsorted(block.times, live) :])
        return self._merge(series, block, live)

    def _merge(self, series: Series, block: Block, live: int) -> Changed:
        """The same, with a record of what stood at the open times before ``live``."""
        added = updated = unchanged = 0
        layers: list[tuple[int, int, Block]] = []
        for start, rows in split(block, series.key.timeframe):
            placed = self._place(series, start, rows)
            added += placed.added
            updated += placed.updated
            unchanged += placed.unchanged
            if placed.added or placed.updated:
                self._record(placed, live)
                layers.append((start, placed.layer, placed.block))
                if placed.layer == BODY:
                    self.forget(series, start, RECENT)
        if layers:
            self._store(series, encode_layers(layers))
        return Changed(added, updated, unchanged)

    def _record(self, placed: _Placed, live: int) -> None:
        late = placed.changed[: np.searchsorted(placed.changed, live)]
        if placed.old is None:
            self._past.additions(late)
        else:
            self._past.changes(placed.old, late)

    def _live_rows_from(self, series: Series, block: Block) -> int:
        """Rows from this open time on come as they close, behind all others: no earlier state."""
        edge = self._past.live_edge(series.grid)
        if not len(block) or block.times[-1] < edge:
            return _END
        ((last,),) = self._session.rows(
            "SELECT max(last) FROM chunk WHERE series = ? AND start >= ?",
            series.id,
            window(series.key.timeframe, edge),
        )
        return edge if last is None else max(edge, last + 1)

    def _place(self, series: Series, start: int, new: Block) -> _Placed:
        """Merge new rows into a window, and choose the layer that takes them."""
        pieces = {piece.layer: piece for piece in self._read.pieces(series, start, start + 1)}
        body, recent = pieces.get(BODY), pieces.get(RECENT)
        recent_rows = recent.rows if recent else 0
        stays_recent = belongs_in_recent(recent_rows + len(new), body.rows if body else 0)
        is_append = all(piece.last < new.times[0] for piece in pieces.values())
        if not (is_append and stays_recent):
            old = self._read.rows(series, start, start + 1)
            whole = merge(old, new)
            counts = (whole.added, whole.updated, whole.unchanged)
            changed = whole.changes.times
            if not stays_recent:
                return _Placed(BODY, whole.block, *counts, changed, old)
            at = np.searchsorted(whole.block.times, whole.changes.times)
            changes = whole.block.take(at)
            layer = merge(self._recent(series, recent), changes)
            return _Placed(RECENT, layer.block, *counts, changed, old)
        layer = merge(self._recent(series, recent), new)
        return _Placed(RECENT, layer.block, len(new), 0, 0, new.times, None)

    def _recent(self, series: Series, piece: Piece | None) -> Block:
        if piece is None:
            return Block.empty(series.names)
        ((data,),) = self._session.rows(
            "SELECT data FROM chunk WHERE series = ? AND start = ? AND layer = ?",
            series.id,
            piece.start,
            piece.layer,
        )
        return decode(data)

    def _store(self, series: Series, layers: list[Encoded]) -> None:
        self._session.put_chunks(
            [(series.id, *layer.piece, self._revision, layer.data) for layer in layers]
        )

    def forget(self, series: Series, start: int, layer: int) -> None:
        """Remove a layer of a window, if it is there."""
        self._session.run(
            "DELETE FROM chunk WHERE series = ? AND start = ? AND layer = ?",
            series.id,
            start,
            layer,
        )

    def cover(self, series: Series, covered: IntervalSet) -> bool:
        """Add ranges to the coverage; whether that made it wider."""
        return self._coverage.add(series, covered)

    def uncover(self, series: Series, removed: Interval) -> None:
        """Take a range out of the coverage."""
        self._coverage.remove(series, removed)

    def note_refused(self, series: Series, block: Block, refused: Iterable[Offender]) -> None:
        """Remember rows that were turned away, and forget those that now came right."""
        ((known,),) = self._session.rows("SELECT count(*) FROM refused WHERE series = ?", series.id)
        rows = [(series.id, one.timestamp, one.reason, one.detail) for one in refused]
        self._session.run_each(
            "INSERT INTO refused VALUES (?, ?, ?, ?) "
            "ON CONFLICT (series, time, reason) DO UPDATE SET detail = excluded.detail",
            rows[: max(0, _MOST_REFUSED - known)],
        )
        if not known and not rows:
            return
        times = list(
            self._session.rows("SELECT DISTINCT time FROM refused WHERE series = ?", series.id)
        )
        stored = set(block.times.tolist())
        self._session.run_each(
            "DELETE FROM refused WHERE series = ? AND time = ?",
            [(series.id, time) for (time,) in times if time in stored],
        )

    def touch(self, series: Series, *, removed: bool = False) -> None:
        """Give the series the new revision, which tells every reader that it changed."""
        self._advance()
        self._session.run("UPDATE series SET revision = ? WHERE id = ?", self._revision, series.id)
        if removed:
            self._session.run("UPDATE series SET epoch = ? WHERE id = ?", self._revision, series.id)
        self._past.store(series, self._revision)

    def remove(self, series: Series) -> int:
        """Remove a series with all that belongs to it; the number of its rows."""
        rows = self._read.info(series).rows
        # The clock first: with the series go its records, which others forget under the clock.
        self._advance()
        self._session.run("UPDATE clock SET deletions = deletions + 1")
        self._past.deletion(series, self._revision)
        self._session.run("DELETE FROM series WHERE id = ?", series.id)
        return rows

    def remove_range(self, series: Series, start: int | None, end: int | None) -> int:
        """Remove rows and coverage in [start, end); the number of rows. None leaves an end open."""
        low = _BEGINNING if start is None else start
        high = _END if end is None else end
        removed = 0
        records: list[tuple[Interval, Earlier]] = []
        pieces = self._read.pieces(series, window(series.key.timeframe, low), high)
        for window_start, layers in groupby(pieces, key=lambda piece: piece.start):
            here = list(layers)
            span = Interval(window_start, window_start + window_length(series.key.timeframe))
            if all(low <= piece.first and piece.last < high for piece in here):
                removed += sum(piece.rows for piece in here)
                records.append((span, self._standing(series, here)))
                for piece in here:
                    self.forget(series, window_start, piece.layer)
                continue
            rows = self._read.rows(series, window_start, window_start + 1)
            keep = (rows.times < low) | (rows.times >= high)
            removed += len(rows) - int(keep.sum())
            if keep.all():
                continue
            gone = rows.between(low, high)
            records.append((span, standing(int(gone.times[0]), int(gone.times[-1]) + 1, gone)))
            for layer in (BODY, RECENT):
                self.forget(series, window_start, layer)
            if keep.any():
                self._store(series, encode_layers([(window_start, BODY, rows.take(keep))]))
        self._past.removal(spanning(records, low, high))
        self.uncover(series, Interval(low, high))
        self._session.run(
            "DELETE FROM refused WHERE series = ? AND time >= ? AND time < ?",
            series.id,
            low,
            high,
        )
        self.touch(series, removed=True)
        return removed

    def _standing(self, series: Series, layers: list[Piece]) -> Earlier:
        """All rows of a window; as lost where they are damaged, since those can be removed too."""
        start = layers[0].start
        first, end = min(one.first for one in layers), max(one.last for one in layers) + 1
        try:
            if len(layers) == 1:
                (data,) = self._read.chunks(series, start, start + 1)
                return Earlier(first, end, len(decode(data)), data)
            return standing(first, end, self._read.rows(series, start, start + 1))
        except (ChunkError, StoreDamaged):
            return Earlier(first, end, sum(one.rows for one in layers), None)

    def holds_unchanged(self, series: Series, layers: list[Piece], revision: int) -> bool:
        """Whether these layers of a window are there and were not written after a revision."""
        start = layers[0].start
        written = self._read.pieces(series, start, start + 1, after=revision)
        return {*self._read.pieces(series, start, start + 1)} - {*written} >= {*layers}

    def replace(self, series: Series, layers: list[Piece], block: Block) -> IntervalSet:
        """Put rows in the place of damaged layers of a window; its coverage stays as it is.

        A layer that the rows prove to have held is put back as it was: nothing has changed. Of the
        others it is recorded that what stood there is lost; their range is returned.
        """
        others = self._not_put_back(series, layers, block)
        lost = self._replace_lost(series, others, block) if others else ()
        self.touch(series, removed=True)
        return lost

    def _not_put_back(self, series: Series, layers: list[Piece], block: Block) -> list[Piece]:
        window_of = (series, layers[0].start, layers[0].start + 1)
        pieces, chunks = self._read.pieces(*window_of), self._read.chunks(*window_of)
        stored = dict(zip(pieces, chunks, strict=True))
        found = {layer: proven(layer, stored[layer], block, series.names) for layer in layers}
        self._store(series, [encoded for encoded in found.values() if encoded is not None])
        return [layer for layer, encoded in found.items() if encoded is None]

    def _replace_lost(self, series: Series, layers: list[Piece], block: Block) -> IntervalSet:
        for layer in layers:
            self.forget(series, layer.start, layer.layer)
        last = max(layer.last for layer in layers)
        range_ = Interval(min(layer.first for layer in layers), series.grid.next(last))
        self._past.removal([Earlier(*range_, sum(one.rows for one in layers), None)])
        rows = block.between(*range_)
        # Of what is merged here no record is needed: all of it lies in that one.
        self._merge(self.series(series.key, series.anchor, block.names), rows, _BEGINNING)
        return (range_,)
