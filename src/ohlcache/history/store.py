"""The candle store on SQLite: series, chunks, coverage and metadata in one database.

A write is one transaction: rows, coverage and the series' revision change together or not at all,
and rows that another process wrote to the same window are merged with, never overwritten blindly.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ohlcache.candles import OHLCV, Anchor, Block, Grid, Interval, IntervalSet, Timeframe
from ohlcache.candles.codec import decode
from ohlcache.candles.interval import difference, normalise
from ohlcache.candles.merge import merge
from ohlcache.candles.quality import Findings, Offender
from ohlcache.errors import ChunkError, StoreDamaged
from ohlcache.history.chunks import (
    BODY,
    RECENT,
    Encoded,
    Piece,
    assemble,
    belongs_in_recent,
    encode_layers,
    split,
    window,
)
from ohlcache.history.database import Database
from ohlcache.history.reports import SeriesInfo, SeriesKey

_MOST_REFUSED = 10_000  # offenders remembered for each series
_ROWS_WORTH_A_HELPER = 100_000  # fewer are decoded sooner than a thread starts


@dataclass(frozen=True, slots=True)
class Series:
    """A row of the catalogue."""

    id: int
    key: SeriesKey
    anchor: Anchor
    names: tuple[str, ...]
    revision: int
    epoch: int

    @property
    def grid(self) -> Grid:
        """The open times that its candles can have."""
        return Grid(self.key.timeframe, self.anchor)


@dataclass(frozen=True, slots=True)
class Changed:
    """How many rows a write added, updated and found as they were."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0


class AnchorMoved(Exception):
    """Another writer gave the series another anchor since it was looked up."""


class Store:
    """Candles in one SQLite file, shared by any number of threads and processes."""

    def __init__(self, path: Path, *, busy_seconds: float = 30.0) -> None:
        """Open or create the store. Raises the StoreErrors that Database does."""
        self.path = path
        self._database = Database(path, busy_seconds)

    def token(self) -> int:
        """Changes with every commit, by whichever process; costs a few microseconds."""
        return self._database.token()

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """Everything read through it is of one moment."""
        with self._database.reading() as connection:
            yield Reading(connection, self._database)

    def write(
        self,
        key: SeriesKey,
        anchor: Anchor,
        block: Block,
        covered: IntervalSet,
        refused: Iterable[Offender] = (),
    ) -> Changed:
        """Store inspected rows (sorted, unique) and what they cover, in one transaction.

        The series is created if need be. Raises AnchorMoved when it has another anchor.
        """
        with self._database.writing() as connection:
            writing = _Writing(connection)
            series = writing.series(key, anchor, block.names)
            if series.anchor != anchor:
                raise AnchorMoved
            changed = writing.rows(series, block)
            is_wider = writing.cover(series, covered)
            writing.note_refused(series, block, refused)
            if changed.added or changed.updated or is_wider:
                writing.touch(series)
            return changed

    def move_anchor(self, key: SeriesKey, old: Anchor, new: Anchor) -> None:
        """Give a series another anchor, unless someone else was quicker."""
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE series SET zone = ?, zone_offset = ? WHERE venue = ? AND symbol = ? "
                "AND timeframe = ? AND zone = ? AND zone_offset = ?",
                (new.zone, new.offset, *_key_row(key), old.zone, old.offset),
            )
            writing = _Writing(connection)
            series = Reading(connection).series(key)
            if series is not None:
                writing.touch(series)

    def delete(self, key: SeriesKey, start: int | None = None, end: int | None = None) -> int:
        """Remove rows and coverage in [start, end); without both the series itself.

        Returns the number of rows removed.
        """
        with self._database.writing() as connection:
            series = Reading(connection).series(key)
            if series is None:
                return 0
            writing = _Writing(connection)
            if start is None and end is None:
                return writing.remove(series)
            return writing.remove_range(series, start, end)

    def drop(self, series: Series, piece: Piece) -> None:
        """Forget a damaged layer and the coverage of its rows."""
        with self._database.writing() as connection:
            writing = _Writing(connection)
            writing.forget(series, piece.start, piece.layer)
            writing.uncover(series, Interval(piece.first, series.grid.next(piece.last)))
            writing.touch(series, removed=True)

    def metadata(self, venue: str, symbol: str) -> dict[str, Any]:
        """The properties of a symbol; empty where none were set."""
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT data FROM metadata WHERE venue = ? AND symbol = ?", (venue, symbol)
            ).fetchone()
        found: dict[str, Any] = json.loads(row[0]) if row else {}
        return found

    def set_metadata(self, venue: str, symbol: str, data: dict[str, Any]) -> None:
        """Replace the properties of a symbol (values that JSON can hold)."""
        text = json.dumps(data)
        with self._database.writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO metadata VALUES (?, ?, ?)", (venue, symbol, text)
            )

    def check_file(self) -> list[str]:
        """What SQLite finds wrong in its file."""
        return self._database.check()

    def size(self) -> int:
        """Bytes on disk, the log included."""
        files = (self.path, *(self.path.with_name(self.path.name + end) for end in ("-wal",)))
        return sum(file.stat().st_size for file in files if file.exists())

    def close(self) -> None:
        """Close all connections."""
        self._database.close()


class Reading:
    """What can be read, all of one moment."""

    def __init__(self, connection: sqlite3.Connection, database: Database | None = None) -> None:
        """With a ``database``, large reads take further connections to it."""
        self._connection = connection
        self._database = database

    def clock(self) -> tuple[int, int]:
        """The store's revision and its number of deletions."""
        row: tuple[int, int] = self._connection.execute("SELECT * FROM clock").fetchone()
        return row

    def all_series(self, after: int = -1) -> list[Series]:
        """The catalogue, or what of it changed after a revision."""
        rows = self._connection.execute(
            "SELECT id, venue, symbol, timeframe, zone, zone_offset, extras, revision, epoch "
            "FROM series WHERE revision > ? ORDER BY venue, symbol, timeframe",
            (after,),
        )
        return [_series(row) for row in rows]

    def series(self, key: SeriesKey) -> Series | None:
        """One series, or None."""
        row = self._connection.execute(
            "SELECT id, venue, symbol, timeframe, zone, zone_offset, extras, revision, epoch "
            "FROM series WHERE venue = ? AND symbol = ? AND timeframe = ?",
            _key_row(key),
        ).fetchone()
        return _series(row) if row else None

    def coverage(self, series: Series) -> IntervalSet:
        """The ranges that were fetched."""
        rows = self._connection.execute(
            "SELECT start, end FROM coverage WHERE series = ? ORDER BY start", (series.id,)
        )
        return tuple(Interval(*row) for row in rows)

    def pieces(self, series: Series, start: int, end: int, after: int = -1) -> list[Piece]:
        """The layers of the windows that start in [start, end), changed after a revision."""
        rows = self._connection.execute(
            "SELECT start, layer, first, last, rows FROM chunk WHERE series = ? AND start >= ? "
            "AND start < ? AND revision > ? ORDER BY start, layer",
            (series.id, start, end, after),
        )
        return [Piece(*row) for row in rows]

    def chunks(self, series: Series, start: int, end: int, after: int = -1) -> Iterator[bytes]:
        """The bytes of the same layers, in the same order."""
        rows = self._connection.execute(
            "SELECT data FROM chunk WHERE series = ? AND start >= ? AND start < ? "
            "AND revision > ? ORDER BY start, layer",
            (series.id, start, end, after),
        )
        return (row[0] for row in rows)

    def rows(self, series: Series, start: int, end: int, after: int = -1) -> Block:
        """The candles of the windows that start in [start, end).

        Raises StoreDamaged, which names series and range, where a chunk fails its checksum.
        """
        pieces = self.pieces(series, start, end, after)
        try:
            rows = sum(piece.rows for piece in pieces)
            with self._helpers(rows // _ROWS_WORTH_A_HELPER) as helpers:
                readers = [partial(one.chunks, series, after=after) for one in (self, *helpers)]
                return assemble(pieces, readers, series.names)
        except ChunkError as error:
            raise StoreDamaged(
                f"series {series.key}: {error} (verify says where, repair fetches it again)"
            ) from error

    @contextmanager
    def _helpers(self, wanted: int) -> Iterator[list[Reading]]:
        """Further readings of the same moment, so that all cores can read and decode at once."""
        helpers: list[Reading] = []
        with ExitStack() as stack:
            if self._database is not None:
                for _ in range(min(wanted, (os.cpu_count() or 1) - 1)):
                    helper = Reading(stack.enter_context(self._database.reading()))
                    if helper.clock() == self.clock():
                        helpers.append(helper)
            yield helpers

    def info(self, series: Series) -> SeriesInfo:
        """Rows, range and size of a series."""
        pieces = self.pieces(series, -(2**62), 2**62)
        size = self._connection.execute(
            "SELECT sum(length(data)) FROM chunk WHERE series = ?", (series.id,)
        ).fetchone()[0]
        key = series.key
        return SeriesInfo(
            key.venue,
            key.symbol,
            str(key.timeframe),
            rows=self._count_rows(series, pieces),
            start=min((piece.first for piece in pieces), default=None),
            end=series.grid.next(max(piece.last for piece in pieces)) if pieces else None,
            columns=series.names,
            anchor=str(series.anchor),
            bytes=size or 0,
        )

    def _count_rows(self, series: Series, pieces: list[Piece]) -> int:
        total = 0
        bodies = {piece.start: piece for piece in pieces if piece.layer == BODY}
        for piece in pieces:
            body = bodies.get(piece.start)
            if piece.layer == RECENT and body is not None and piece.first <= body.last:
                rows = self.rows(series, piece.start, piece.start + 1)
                total += len(rows) - body.rows
            else:
                total += piece.rows
        return total

    def refused(self, series: Series) -> Findings:
        """The rows that writes to a series turned away and that no later write brought right."""
        rows = self._connection.execute(
            "SELECT time, reason, detail FROM refused WHERE series = ? ORDER BY time", (series.id,)
        ).fetchall()
        counts: dict[str, int] = {}
        for _, reason, _ in rows:
            counts[reason] = counts.get(reason, 0) + 1
        return Findings(counts, tuple(Offender(*row) for row in rows[:10]))


class _Placed(NamedTuple):
    """Which layer of a window takes new rows, all rows of that layer, and what changed."""

    layer: int
    block: Block
    added: int
    updated: int
    unchanged: int


class _Writing:
    """The steps of a write, inside its transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._read = Reading(connection)
        revision = self._read.clock()[0]
        self._revision = revision + 1

    def series(self, key: SeriesKey, anchor: Anchor, names: tuple[str, ...]) -> Series:
        series = self._read.series(key)
        if series is None:
            self._connection.execute(
                "INSERT INTO series (venue, symbol, timeframe, zone, zone_offset, extras, "
                "revision, epoch) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *_key_row(key),
                    anchor.zone,
                    anchor.offset,
                    json.dumps(names[len(OHLCV) :]),
                    self._revision,
                    self._revision,
                ),
            )
            self._connection.execute("UPDATE clock SET revision = ?", (self._revision,))
        elif not set(names) <= set(series.names):
            extras = dict.fromkeys((*series.names, *names))
            self._connection.execute(
                "UPDATE series SET extras = ? WHERE id = ?",
                (json.dumps(list(extras)[len(OHLCV) :]), series.id),
            )
        else:
            return series
        found = self._read.series(key)
        assert found is not None
        return found

    def rows(self, series: Series, block: Block) -> Changed:
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
        data = self._connection.execute(
            "SELECT data FROM chunk WHERE series = ? AND start = ? AND layer = ?",
            (series.id, piece.start, piece.layer),
        ).fetchone()[0]
        return decode(data)

    def _store(self, series: Series, layers: list[Encoded]) -> None:
        self._connection.executemany(
            "INSERT OR REPLACE INTO chunk VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [(series.id, *layer.piece, self._revision, layer.data) for layer in layers],
        )

    def forget(self, series: Series, start: int, layer: int) -> None:
        self._connection.execute(
            "DELETE FROM chunk WHERE series = ? AND start = ? AND layer = ?",
            (series.id, start, layer),
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
        touching = self._touching(series, *removed)
        self._replace_coverage(series, touching, difference(touching, (removed,)))

    def _touching(self, series: Series, start: int, end: int) -> list[tuple[int, int]]:
        rows: list[tuple[int, int]] = self._connection.execute(
            "SELECT start, end FROM coverage WHERE series = ? AND start <= ? AND end >= ?",
            (series.id, end, start),
        ).fetchall()
        return rows

    def _replace_coverage(
        self, series: Series, old: Iterable[tuple[int, int]], new: IntervalSet
    ) -> None:
        self._connection.executemany(
            "DELETE FROM coverage WHERE series = ? AND start = ?",
            [(series.id, start) for start, _ in old],
        )
        self._connection.executemany(
            "INSERT INTO coverage VALUES (?, ?, ?)", [(series.id, *interval) for interval in new]
        )

    def note_refused(self, series: Series, block: Block, refused: Iterable[Offender]) -> None:
        """Remember rows that were turned away, and forget those that now came right."""
        known = self._connection.execute(
            "SELECT DISTINCT time FROM refused WHERE series = ?", (series.id,)
        ).fetchall()
        if known:
            stored = set(block.times.tolist())
            self._connection.executemany(
                "DELETE FROM refused WHERE series = ? AND time = ?",
                [(series.id, time) for (time,) in known if time in stored],
            )
        room = _MOST_REFUSED - len(known)
        rows = [(series.id, one.timestamp, one.reason, one.detail) for one in refused]
        self._connection.executemany(
            "INSERT OR REPLACE INTO refused VALUES (?, ?, ?, ?)", rows[: max(0, room)]
        )

    def touch(self, series: Series, *, removed: bool = False) -> None:
        """Give the series the new revision, which tells every reader that it changed."""
        self._connection.execute("UPDATE clock SET revision = ?", (self._revision,))
        self._connection.execute(
            "UPDATE series SET revision = ? WHERE id = ?", (self._revision, series.id)
        )
        if removed:
            self._connection.execute(
                "UPDATE series SET epoch = ? WHERE id = ?", (self._revision, series.id)
            )

    def remove(self, series: Series) -> int:
        rows = self._read.info(series).rows
        self._connection.execute("DELETE FROM series WHERE id = ?", (series.id,))
        self._connection.execute(
            "UPDATE clock SET revision = ?, deletions = deletions + 1", (self._revision,)
        )
        return rows

    def remove_range(self, series: Series, start: int | None, end: int | None) -> int:
        low = -(2**62) if start is None else start
        high = 2**62 if end is None else end
        removed = 0
        pieces = self._read.pieces(series, window(series.key.timeframe, low), high)
        for window_start in sorted({piece.start for piece in pieces}):
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
        self._connection.execute(
            "DELETE FROM refused WHERE series = ? AND time >= ? AND time < ?",
            (series.id, low, high),
        )
        self.touch(series, removed=True)
        return removed


def _series(row: tuple[Any, ...]) -> Series:
    id_, venue, symbol, timeframe, zone, offset, extras, revision, epoch = row
    key = SeriesKey(venue, symbol, Timeframe.parse(timeframe))
    names = (*OHLCV, *json.loads(extras))
    return Series(id_, key, Anchor(zone, offset), names, revision, epoch)


def _key_row(key: SeriesKey) -> tuple[str, str, str]:
    return key.venue, key.symbol, str(key.timeframe)
