"""The candle store on SQLite: series, chunks, coverage and metadata in one database.

A write is one transaction: rows, coverage and the series' revision change together or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ohlcache.candles import Anchor, Block, Interval, IntervalSet
from ohlcache.candles.quality import Offender
from ohlcache.history.chunks import Piece
from ohlcache.history.database import Database, Token
from ohlcache.history.reading import Reading, Series, key_row
from ohlcache.history.reports import SeriesKey
from ohlcache.history.writing import Changed, Writing


class AnchorMoved(Exception):
    """Another writer gave the series another anchor since it was looked up."""


class Store:
    """Candles in one SQLite file, shared by any number of threads and processes."""

    def __init__(self, path: Path, *, busy_seconds: float = 30.0) -> None:
        """Open or create the store. Raises the StoreErrors that Database does."""
        self.path = path
        self._database = Database(path, busy_seconds)

    def token(self) -> Token:
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
            writing = Writing(connection)
            series = writing.series(key, anchor, block.names)
            if series.anchor != anchor:
                raise AnchorMoved
            changed = writing.rows(series, block)
            is_wider = writing.cover(series, covered)
            writing.note_refused(series, block, refused)
            if changed.added or changed.updated or is_wider or writing.has_new_columns:
                writing.touch(series)
            return changed

    def move_anchor(self, key: SeriesKey, old: Anchor, new: Anchor) -> None:
        """Give a series another anchor, unless someone else was quicker."""
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE series SET zone = ?, zone_offset = ? WHERE venue = ? AND symbol = ? "
                "AND timeframe = ? AND zone = ? AND zone_offset = ?",
                (new.zone, new.offset, *key_row(key), old.zone, old.offset),
            )
            writing = Writing(connection)
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
            writing = Writing(connection)
            if start is None and end is None:
                return writing.remove(series)
            return writing.remove_range(series, start, end)

    def drop(self, series: Series, piece: Piece) -> None:
        """Forget a damaged layer and the coverage of its rows."""
        with self._database.writing() as connection:
            writing = Writing(connection)
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
