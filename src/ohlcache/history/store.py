"""The candle store: series, chunks, coverage and metadata in one database.

A write is one transaction: rows, coverage and the series' revision change together or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from ohlcache.candles import Anchor, Block, IntervalSet
from ohlcache.candles.interval import difference
from ohlcache.candles.quality import Offender
from ohlcache.errors import StoreLocked
from ohlcache.history.barred import Barred
from ohlcache.history.chunks import Piece
from ohlcache.history.engine import Engine, Session, Token
from ohlcache.history.metadata import cover_never_traded, replace_properties, stored_properties
from ohlcache.history.past.lost import Damaged, mark_lost
from ohlcache.history.past.recording import FOR_EVER, Keeping
from ohlcache.history.past.snapshots import Snapshot, delete_snapshot, take_snapshot
from ohlcache.history.past.stamping import close, lock_clock
from ohlcache.history.reading import Reading, Series
from ohlcache.history.reports import SeriesKey
from ohlcache.history.shared import ChunkTier
from ohlcache.history.turns import Leases
from ohlcache.history.writing import Changed, Writing


class AnchorMoved(Exception):
    """Another writer gave the series another anchor since it was looked up."""


Given = ParamSpec("Given")
Result = TypeVar("Result")

_DEADLOCK = "40P01"  # PostgreSQL's code
_ATTEMPTS = 3

_Write = Callable[Concatenate["Store", Given], Result]


def _again_after_deadlock(write: _Write[Given, Result]) -> _Write[Given, Result]:
    """Repeat a transaction that the database ended, with nothing changed, to let another go on."""

    @wraps(write)
    def repeated(store: Store, /, *args: Given.args, **options: Given.kwargs) -> Result:
        for _ in range(_ATTEMPTS - 1):
            try:
                return write(store, *args, **options)
            except StoreLocked as error:
                if getattr(error.__cause__, "sqlstate", None) != _DEADLOCK:
                    raise
                store.deadlocks += 1
        return write(store, *args, **options)

    return repeated


class Store:
    """Candles in one database, shared by any number of threads and processes."""

    def __init__(
        self, engine: Engine, chunks: ChunkTier | None = None, keeping: Keeping = FOR_EVER
    ) -> None:
        """``chunks``: where encoded chunks lie besides the database, nearer to their readers.

        keeping: for how long earlier states can be read.
        """
        self._engine = engine
        self._keeping = keeping
        self.chunks = chunks
        self.leases = Leases(engine)
        self.barred = Barred()
        self.deadlocks = 0  # after which a write was repeated

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return self._engine.name

    @property
    def remembers(self) -> bool:
        """Whether it keeps earlier states: not an older store that cannot be written."""
        return not self._engine.is_incomplete

    def token(self) -> Token:
        """Changes with every commit, by whichever process; costs a few microseconds."""
        return self._engine.token()

    def token_at_hand(self) -> Token | None:
        """The same without waiting for anything; None where the database has to be asked."""
        return self._engine.token_at_hand()

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """Everything read through it is of one moment."""
        with self._engine.reading() as session:
            yield Reading(session, self._engine, self.chunks, self.barred)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """The database itself, to read of one moment."""
        with self._engine.reading() as session:
            yield session

    def now(self, session: Session) -> int:
        """Milliseconds since the epoch, by the clock that writes are stamped with."""
        return self._keeping.now(session)

    def close_past(self, at: int) -> None:
        """Let no write to come bear a time up to this one (ms)."""
        with self._engine.writing() as session:
            close(session, at)

    @_again_after_deadlock
    def snapshot(self, name: str) -> Snapshot:
        """Name the present state of all series. Raises InvalidArgument for a name in use."""
        with self._engine.writing() as session:
            return take_snapshot(session, name, self._keeping.now(session))

    def delete_snapshot(self, name: str) -> None:
        """Forget a snapshot. Raises UnknownSnapshot."""
        with self._engine.writing() as session:
            delete_snapshot(session, name)

    @_again_after_deadlock
    def write(
        self,
        key: SeriesKey,
        anchor: Anchor,
        block: Block,
        covered: IntervalSet,
        refused: Iterable[Offender] = (),
        may_overwrite: Callable[[Session], bool] | None = None,
    ) -> Changed:
        """Store inspected rows (sorted, unique) and what they cover, in one transaction.

        The series is created if need be. Raises AnchorMoved when it has another anchor.
        may_overwrite: asked inside the transaction; if not, only what is uncovered is stored.
        """
        with self._engine.writing() as session:
            writing = Writing(session, self._keeping)
            series = writing.series(key, anchor, block.names)
            if series.anchor != anchor:
                raise AnchorMoved
            if may_overwrite is not None and not may_overwrite(session):
                covered = difference(covered, Reading(session).coverage(series))
                block = _inside(block, covered)
            changed = writing.rows(series, block)
            is_wider = writing.cover(series, covered)
            writing.note_refused(series, block, refused)
            if changed.added or changed.updated or is_wider or writing.has_new_columns:
                writing.touch(series)
            return changed

    @_again_after_deadlock
    def move_anchor(self, key: SeriesKey, old: Anchor, new: Anchor) -> None:
        """Give a series another anchor, unless someone else was quicker."""
        with self._engine.writing() as session:
            writing = Writing(session, self._keeping)
            series = writing.known_series(key)
            if series is not None and series.anchor == old:
                writing.move_anchor(series, new)

    @_again_after_deadlock
    def delete(self, key: SeriesKey, start: int | None = None, end: int | None = None) -> int:
        """Remove rows and coverage in [start, end); without both the series itself.

        Returns the number of rows removed.
        """
        with self._engine.writing() as session:
            writing = Writing(session, self._keeping)
            series = writing.known_series(key)
            if series is None:
                return 0
            if start is None and end is None:
                return writing.remove(series)
            return writing.remove_range(series, start, end)

    @_again_after_deadlock
    def replace(self, found: Series, layers: list[Piece], block: Block) -> IntervalSet | None:
        """Put inspected rows in the place of damaged layers of one window, in one transaction.

        Returns the ranges in which it is lost what stood there. None: nothing was replaced, since
        somebody wrote or removed them after the series was as it was ``found``.
        """
        with self._engine.writing() as session:
            writing = Writing(session, self._keeping)
            series = writing.known_series(found.key)
            if series is None or series.anchor != found.anchor:
                return None
            if not writing.holds_unchanged(series, layers, found.revision):
                return None
            return writing.replace(series, layers, block)

    @_again_after_deadlock
    def mark_lost(self, series: Series, damaged: list[Damaged]) -> None:
        """Mark damaged earlier values of a series as lost, in one transaction."""
        with self._engine.writing() as session:
            lock_clock(session)
            mark_lost(session, series, damaged)

    def metadata(self, venue: str, symbol: str) -> dict[str, Any]:
        """The properties of a symbol; empty where none were set."""
        with self._engine.reading() as session:
            return stored_properties(session, venue, symbol)

    @_again_after_deadlock
    def set_metadata(self, venue: str, symbol: str, data: dict[str, Any]) -> None:
        """Replace the properties of a symbol (values that JSON can hold).

        Where its listing became longer, coverage that rested on the shorter one is taken back.
        """
        with self._engine.writing() as session:
            replace_properties(session, venue, symbol, data)

    @_again_after_deadlock
    def cover_never_traded(self, key: SeriesKey, anchor: Anchor, ranges: IntervalSet) -> None:
        """Record as known to be empty what of the ranges lies outside the symbol's listing."""
        with self._engine.writing() as session:
            cover_never_traded(session, key, anchor, ranges)

    def check_database(self) -> list[str]:
        """What the database itself finds wrong."""
        return self._engine.check()

    def size(self) -> int:
        """Bytes on disk."""
        return self._engine.size()

    def numbers(self) -> dict[str, int]:
        """Plain numbers of the database's connections and of our writes to it."""
        return {
            **self._engine.numbers(),
            "deadlocks": self.deadlocks,
            "damaged_series": len(self.barred),
        }

    def close(self) -> None:
        """Close all connections."""
        if self.chunks is not None:
            self.chunks.close()
        self._engine.close()


def _inside(block: Block, ranges: IntervalSet) -> Block:
    parts = [block.between(*range_) for range_ in ranges]
    return Block.concatenate([Block.empty(block.names), *parts])
