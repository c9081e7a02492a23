"""The candle store: series, chunks, coverage and metadata in one database.

A write is one transaction: rows, coverage and the series' revision change together or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from ohlcache.candles import Anchor, Block, Interval, IntervalSet
from ohlcache.candles.quality import Offender
from ohlcache.history.chunks import Piece
from ohlcache.history.engine import Engine, Token
from ohlcache.history.reading import Reading, Series
from ohlcache.history.reports import SeriesKey
from ohlcache.history.writing import Changed, Writing


class AnchorMoved(Exception):
    """Another writer gave the series another anchor since it was looked up."""


class Store:
    """Candles in one database, shared by any number of threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return self._engine.name

    def token(self) -> Token:
        """Changes with every commit, by whichever process; costs a few microseconds."""
        return self._engine.token()

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """Everything read through it is of one moment."""
        with self._engine.reading() as session:
            yield Reading(session, self._engine)

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
        with self._engine.writing() as session:
            writing = Writing(session)
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
        with self._engine.writing() as session:
            writing = Writing(session)
            series = writing.known_series(key)
            if series is not None and series.anchor == old:
                session.run(
                    "UPDATE series SET zone = ?, zone_offset = ? WHERE id = ?",
                    new.zone,
                    new.offset,
                    series.id,
                )
                writing.touch(series)

    def delete(self, key: SeriesKey, start: int | None = None, end: int | None = None) -> int:
        """Remove rows and coverage in [start, end); without both the series itself.

        Returns the number of rows removed.
        """
        with self._engine.writing() as session:
            writing = Writing(session)
            series = writing.known_series(key)
            if series is None:
                return 0
            if start is None and end is None:
                return writing.remove(series)
            return writing.remove_range(series, start, end)

    def drop(self, series: Series, piece: Piece) -> None:
        """Forget a damaged layer and the coverage of its rows."""
        with self._engine.writing() as session:
            writing = Writing(session)
            writing.forget(series, piece.start, piece.layer)
            writing.uncover(series, Interval(piece.first, series.grid.next(piece.last)))
            writing.touch(series, removed=True)

    def metadata(self, venue: str, symbol: str) -> dict[str, Any]:
        """The properties of a symbol; empty where none were set."""
        with self._engine.reading() as session:
            rows = session.rows(
                "SELECT data FROM metadata WHERE venue = ? AND symbol = ?", venue, symbol
            )
            found: dict[str, Any] = next((json.loads(data) for (data,) in rows), {})
        return found

    def set_metadata(self, venue: str, symbol: str, data: dict[str, Any]) -> None:
        """Replace the properties of a symbol (values that JSON can hold)."""
        text = json.dumps(data)
        with self._engine.writing() as session:
            session.run(
                "INSERT INTO metadata VALUES (?, ?, ?) "
                "ON CONFLICT (venue, symbol) DO UPDATE SET data = excluded.data",
                venue,
                symbol,
                text,
            )

    def check_database(self) -> list[str]:
        """What the database itself finds wrong."""
        return self._engine.check()

    def size(self) -> int:
        """Bytes on disk."""
        return self._engine.size()

    def close(self) -> None:
        """Close all connections."""
        self._engine.close()
