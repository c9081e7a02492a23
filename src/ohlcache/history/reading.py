"""Reading a store: the catalogue, coverage and candles, all of one moment."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from ohlcache.candles import OHLCV, Anchor, Block, Grid, Interval, IntervalSet, Timeframe
from ohlcache.candles.quality import Findings, Offender
from ohlcache.errors import ChunkError, InvalidArgument, StoreDamaged
from ohlcache.history.barred import Barred
from ohlcache.history.chunks import BODY, RECENT, Piece, assemble
from ohlcache.history.engine import Engine, Row, Session, Token
from ohlcache.history.lineage import NEVER, Clock, read_clock
from ohlcache.history.reports import SeriesInfo, SeriesKey
from ohlcache.history.shared import ChunkTier, Lookup, Place

_SERIES = (
    "SELECT id, venue, symbol, timeframe, zone, zone_offset, extras, revision, epoch FROM series"
)
_NO_EXTRAS = "[]"
_BY_KEY = "WHERE venue = ? AND symbol = ? AND timeframe = ?"
_ROWS_WORTH_A_HELPER = 300_000  # fewer are decoded sooner than a thread and a connection start


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


class Reading:
    """What can be read, all of one moment."""

    def __init__(
        self,
        session: Session,
        engine: Engine | None = None,
        tier: ChunkTier | None = None,
        barred: Barred | None = None,
    ) -> None:
        """With an ``engine``, large reads take further sessions of it.

        tier: where chunks are looked for before they are read from the database. barred: is told
        of series that the catalogue leaves out.
        """
        self._session = session
        self._engine = engine
        self._tier = tier
        self._barred = Barred() if barred is None else barred

    def clock(self, known: Clock = NEVER) -> tuple[Clock, bool]:
        """The store's clock; whether the store stands on what it was at a ``known`` one."""
        has_lineage = self._engine is not None and not self._engine.is_incomplete
        return read_clock(self._session, known, has_lineage=has_lineage)

    def token(self, before: Token) -> Token:
        """That of what is read here; ``before`` was taken before this reading began."""
        return before if self._engine is None else self._engine.token_of(self._session, before)

    def all_series(self, after: int = -1) -> list[Series]:
        """The catalogue, or what of it changed after a revision; without damaged rows."""
        # Not ordered by the database: SQLite would go through all series to save itself a sort.
        rows = self._session.rows(f"{_SERIES} WHERE revision > ?", after)
        if after < 0:
            self._barred.clear()
        return sorted(self._sound(rows), key=lambda series: key_row(series.key))

    def _sound(self, rows: Iterable[Row]) -> Iterator[Series]:
        """Without the series whose row is damaged: it bars them alone, not the whole store."""
        for row in rows:
            try:
                yield _series(row)
            except StoreDamaged as error:
                self._barred.add(row[1:4], error)

    def damaged_series(self) -> list[tuple[str, str]]:
        """The series that the catalogue leaves out, each with what is wrong with its row."""
        found = []
        for row in self._session.rows(_SERIES):
            try:
                _series(row)
            except StoreDamaged as error:
                name = " ".join(row[1:4])
                found.append((name, str(error).removeprefix(f"series {name}: ")))
        return sorted(found)

    def series(self, key: SeriesKey) -> Series | None:
        """One series, or None. Raises StoreDamaged for a damaged row."""
        rows = self._session.rows(f"{_SERIES} {_BY_KEY}", *key_row(key))
        return next(map(_series, rows), None)

    def series_now(self, key: SeriesKey, known: Clock) -> tuple[Series | None, Clock, bool]:
        """One series, or None, and :meth:`clock`, asked for together."""
        rows = self._session.rows(f"{_SERIES} {_BY_KEY}", *key_row(key))
        clock, is_known = self.clock(known)
        return next(map(_series, rows), None), clock, is_known

    def series_of(self, venue: str, symbol: str) -> list[Series]:
        """All series of a symbol; without damaged rows."""
        rows = self._session.rows(f"{_SERIES} WHERE venue = ? AND symbol = ?", venue, symbol)
        return list(self._sound(rows))

    def locked_series(self, key: SeriesKey) -> Series | None:
        """One series, which no other writer changes until the transaction ends."""
        lock = self._session.ROW_LOCK
        rows = self._session.rows(f"{_SERIES} {_BY_KEY}{lock}", *key_row(key))
        return next(map(_series, rows), None)

    def coverage(self, series: Series) -> IntervalSet:
        """The ranges that were fetched."""
        rows = self._session.rows(
            'SELECT start, "end" FROM coverage WHERE series = ? ORDER BY start', series.id
        )
        return tuple(Interval(*row) for row in rows)

    def pieces(self, series: Series, start: int, end: int, after: int = -1) -> list[Piece]:
        """The layers of the windows that start in [start, end), changed after a revision."""
        rows = self._session.rows(
            "SELECT start, layer, first, last, rows FROM chunk WHERE series = ? AND start >= ? "
            "AND start < ? AND revision > ? ORDER BY start, layer",
            series.id,
            start,
            end,
            after,
        )
        return [Piece(*row) for row in rows]

    def chunks(
        self, series: Series, start: int, end: int, after: int = -1, least_layer: int = BODY
    ) -> Iterator[bytes]:
        """The bytes of the same layers, in the same order; only those from ``least_layer``."""
        rows = self._session.rows(
            "SELECT data FROM chunk WHERE series = ? AND start >= ? AND start < ? "
            "AND revision > ? AND layer >= ? ORDER BY start, layer",
            series.id,
            start,
            end,
            after,
            least_layer,
        )
        return (row[0] for row in rows)

    def places(self, series: Series, start: int, end: int, after: int = -1) -> list[Place]:
        """The same layers, in the same order, with what tells their content."""
        rows = self._session.rows(
            "SELECT start, layer, first, last, rows, revision, length(data), "
            "substr(data, length(data) - 3) FROM chunk WHERE series = ? AND start >= ? "
            "AND start < ? AND revision > ? ORDER BY start, layer",
            series.id,
            start,
            end,
            after,
        )
        return [Place(*row) for row in rows]

    def rows(self, series: Series, start: int, end: int, after: int = -1) -> Block:
        """The candles of the windows that start in [start, end).

        Raises StoreDamaged, which names series and range, where a chunk fails its checksum.
        """
        try:
            if self._tier is None:
                pieces = self.pieces(series, start, end, after)
                with self._readers(series, pieces, after) as readers:
                    return assemble(pieces, readers, series.names)
            places = self.places(series, start, end, after)
            with self._readers(series, places, after) as readers:
                return Lookup(self._tier, series.id, places).assemble(readers, series.names)
        except ChunkError as error:
            raise StoreDamaged(
                f"series {series.key}: {error} (verify says where; repair it from its source, or "
                "delete the range and import it)"
            ) from error

    @contextmanager
    def _readers(
        self, series: Series, layers: Sequence[Piece | Place], after: int
    ) -> Iterator[list[partial[Iterator[bytes]]]]:
        """As many as it is worth having for so many rows; the first is this one."""
        rows = sum(layer.rows for layer in layers)
        with self._helpers(rows // _ROWS_WORTH_A_HELPER) as helpers:
            yield [partial(one.chunks, series, after=after) for one in (self, *helpers)]

    @contextmanager
    def _helpers(self, wanted: int) -> Iterator[list[Reading]]:
        """Further readings of the same moment, so that all cores can read and decode at once."""
        wanted = min(wanted, (os.cpu_count() or 1) - 1)
        if self._engine is None or not wanted:
            yield []
            return
        with self._engine.helping(self._session, wanted) as sessions:
            yield [Reading(session) for session in sessions if self._is_of_this_moment(session)]

    def _is_of_this_moment(self, session: Session) -> bool:
        if session is self._session:
            return True
        return Reading(session, self._engine).clock() == self.clock()

    def info(self, series: Series) -> SeriesInfo:
        """Rows, range and size of a series."""
        pieces = self.pieces(series, -(2**62), 2**62)
        ((size,),) = self._session.rows(
            "SELECT sum(length(data)) FROM chunk WHERE series = ?", series.id
        )
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

    def refused_times(self, series: Series) -> list[int]:
        """Open times of rows that were turned away and that no later write brought right."""
        rows = self._session.rows(
            "SELECT DISTINCT time FROM refused WHERE series = ? ORDER BY time", series.id
        )
        return [row[0] for row in rows]

    def refused(self, series: Series) -> Findings:
        """The rows that writes to a series turned away and that no later write brought right."""
        rows = list(
            self._session.rows(
                "SELECT time, reason, detail FROM refused WHERE series = ? ORDER BY time", series.id
            )
        )
        counts: dict[str, int] = {}
        for _, reason, _ in rows:
            counts[reason] = counts.get(reason, 0) + 1
        return Findings(counts, tuple(Offender(*row) for row in rows[:10]))


def _series(row: Row) -> Series:
    id_, venue, symbol, timeframe, zone, offset, extras, revision, epoch = row
    try:
        key = SeriesKey(venue, symbol, Timeframe.parse(timeframe))
        names = OHLCV if extras == _NO_EXTRAS else _names(extras)
        return Series(id_, key, Anchor(zone, offset), names, revision, epoch)
    except InvalidArgument as error:
        raise _damaged_row(f"series {venue} {symbol} {timeframe}", error) from error


def described(what: str, extras: str, zone: str, offset: int) -> tuple[tuple[str, ...], Anchor]:
    """The columns and the anchor of a series, as they are stored. Raises StoreDamaged."""
    try:
        return _names(extras), Anchor(zone, offset)
    except InvalidArgument as error:
        raise _damaged_row(what, error) from error


def _names(extras: str) -> tuple[str, ...]:
    try:
        names = json.loads(extras)
    except json.JSONDecodeError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidArgument(f"extras is {extras!r}, not a JSON list of names")
    return (*OHLCV, *names)


def _damaged_row(what: str, fault: InvalidArgument) -> StoreDamaged:
    return StoreDamaged(
        f"{what}: its row in the store is damaged ({fault}): restore the store from a copy"
    )


def key_row(key: SeriesKey) -> tuple[str, str, str]:
    """The columns that name a series."""
    return key.venue, key.symbol, str(key.timeframe)
