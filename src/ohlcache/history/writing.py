"""Writing to a store: the steps of one transaction.

Rows that another process wrote to the same window are merged with, never overwritten blindly.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from typing import NamedTuple

import numpy as np

from ohlcache.candles import OHLCV, Anchor, Block, Interval, IntervalSet
from ohlcache.candles.codec import decode
from ohlcache.candles.interval import difference, normalise
from ohlcache.candles.merge import merge
from ohlcache.candles.quality import Offender
from ohlcache.history.chunks import (
    BODY,
    RECENT,
    Encoded,
    Piece,
    belongs_in_recent,
    encode_layers,
    split,
    window,
)
from ohlcache.history.engine import Session
from ohlcache.history.reading import Reading, Series, key_row
from ohlcache.history.reports import SeriesKey

_MOST_REFUSED = 10_000  # offenders remembered for each series


@dataclass(frozen=True, slots=True)
class Changed:
    """How many rows a write added, updated and found as they were."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0


class _Placed(NamedTuple):
    """Which layer of a window takes new rows, all rows of that layer, and what changed."""

    layer: int
    block: Block
    added: int
    updated: int
    unchanged: int


class Writing:
    """The steps of a write, inside its transaction.

    Series are locked when they are looked up. The store's clock is locked when the revision of the
    write is first needed, after the work of merging and encoding: whoever gets a revision commits
    before the next one is given, so that readers who ask for what is newer miss nothing.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._read = Reading(session)
        self.has_new_columns = False

    @cached_property
    def _revision(self) -> int:
        revision: int
        ((revision,),) = self._session.rows(f"SELECT revision FROM clock{self._session.ROW_LOCK}")
        return revision + 1

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
        extras = dict.fromkeys((*series.names, *names))
        self._session.run(
            "UPDATE series SET extras = ? WHERE id = ?",
            json.dumps(list(extras)[len(OHLCV) :]),
            series.id,
        )
        return replace(series, names=tuple(extras))

    def _created(self, key: SeriesKey, anchor: Anchor, names: tuple[str, ...]) -> Series:
        """A new series, unless another writer was quicker: then the one that it created."""
        self._session.run(
            "INSERT INTO series (venue, symbol, timeframe, zone, zone_offset, extras, revision, "
            "epoch) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            *key_row(key),
            anchor.zone,
            anchor.offset,
            json.dumps(names[len(OHLCV) :]),
            self._revision,
            self._revision,
        )
        self._session.run("UPDATE clock SET revision = ?", self._revision)
        found = self.known_series(key)
        assert found is not None
        return found

    def rows(self, series: Series, block: Block) -> Changed:
        """Merge rows into the windows they fall into."""
        added = updated = unchanged = 0
        layers: list[tuple[int, int, Block]] = []
        for start, rows in split(block, series.key.timeframe):
            placed = self._place(series, start, rows)
            added += placed.added
            updated += placed.updated
            unchanged += placed.unchanged
            if placed.added or placed.updated:
                layers.append((start, placed.layer, placed.block))
                if placed.layer == BODY:
                    self.forget(series, start, RECENT)
        if layers:
            self._store(series, encode_layers(layers))
        return Changed(added, updated, unchanged)

    def _place(self, series: Series, start: int, new: Block) -> _Placed:
        """Merge new rows into a window, and choose the layer that takes them."""
        pieces = {piece.layer: piece for piece in self._read.pieces(series, start, start + 1)}
        body, recent = pieces.get(BODY), pieces.get(RECENT)
        recent_rows = recent.rows if recent else 0
        stays_recent = belongs_in_recent(recent_rows + len(new), body.rows if body else 0)
        is_append = all(piece.last < new.times[0] for piece in pieces.values())
        if not (is_append and stays_recent):
            whole = merge(self._read.rows(series, start, start + 1), new)
            if not stays_recent:
                return _Placed(BODY, whole.block, whole.added, whole.updated, whole.unchanged)
            at = np.searchsorted(whole.block.times, whole.changes.times)
            changes = whole.block.take(at)
            layer = merge(self._recent(series, recent), changes)
            return _Placed(RECENT, layer.block, whole.added, whole.updated, whole.unchanged)
        layer = merge(self._recent(series, recent), new)
        return _Placed(RECENT, layer.block, added=len(new), updated=0, unchanged=0)

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
        is_wider = False
        for start, end in covered:
            touching = self._touching(series, start, end)
            if any(low <= start and end <= high for low, high in touching):
                continue
            is_wider = True
            self._replace_coverage(series, touching, normalise([*touching, (start, end)]))
        return is_wider

    def uncover(self, series: Series, removed: Interval) -> None:
        """Take a range out of the coverage."""
        touching = self._touching(series, *removed)
        self._replace_coverage(series, touching, difference(touching, (removed,)))

    def _touching(self, series: Series, start: int, end: int) -> list[tuple[int, int]]:
        rows = self._session.rows(
            'SELECT start, "end" FROM coverage WHERE series = ? AND start <= ? AND "end" >= ?',
            series.id,
            end,
            start,
        )
        return [(low, high) for low, high in rows]

    def _replace_coverage(
        self, series: Series, old: Iterable[tuple[int, int]], new: IntervalSet
    ) -> None:
        self._session.run_each(
            "DELETE FROM coverage WHERE series = ? AND start = ?",
            [(series.id, start) for start, _ in old],
        )
        self._session.run_each(
            "INSERT INTO coverage VALUES (?, ?, ?)", [(series.id, *interval) for interval in new]
        )

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
        self._session.run("UPDATE clock SET revision = ?", self._revision)
        self._session.run("UPDATE series SET revision = ? WHERE id = ?", self._revision, series.id)
        if removed:
            self._session.run("UPDATE series SET epoch = ? WHERE id = ?", self._revision, series.id)

    def remove(self, series: Series) -> int:
        """Remove a series with all that belongs to it; the number of its rows."""
        rows = self._read.info(series).rows
        self._session.run("DELETE FROM series WHERE id = ?", series.id)
        self._session.run(
            "UPDATE clock SET revision = ?, deletions = deletions + 1", self._revision
        )
        return rows

    def remove_range(self, series: Series, start: int | None, end: int | None) -> int:
        """Remove rows and coverage in [start, end); the number of rows. None leaves an end open."""
        low = -(2**62) if start is None else start
        high = 2**62 if end is None else end
        removed = 0
        pieces = self._read.pieces(series, window(series.key.timeframe, low), high)
        for window_start, layers in groupby(pieces, key=lambda piece: piece.start):
            here = list(layers)
            if all(low <= piece.first and piece.last < high for piece in here):
                # Goes as a whole, so it need not be read: damaged chunks can be removed too.
                removed += sum(piece.rows for piece in here)
                for piece in here:
                    self.forget(series, window_start, piece.layer)
                continue
            rows = self._read.rows(series, window_start, window_start + 1)
            keep = (rows.times < low) | (rows.times >= high)
            removed += len(rows) - int(keep.sum())
            if keep.all():
                continue
            for layer in (BODY, RECENT):
                self.forget(series, window_start, layer)
            if keep.any():
                self._store(series, encode_layers([(window_start, BODY, rows.take(keep))]))
        self.uncover(series, Interval(low, high))
        self._session.run(
            "DELETE FROM refused WHERE series = ? AND time >= ? AND time < ?",
            series.id,
            low,
            high,
        )
        self.touch(series, removed=True)
        return removed
