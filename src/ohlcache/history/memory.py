"""Decoded candles held in the process: runs of contiguous columns, shared read-only.

A :class:`Run` holds all candles of a range of windows in one piece, so that any range inside it is
a view. Appending writes into spare room behind the rows that views can see; anything else builds
a new run and leaves the old one to whoever still looks at it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ohlcache.candles import Block, Interval
from ohlcache.candles.block import Times, Values
from ohlcache.candles.frames import NS_PER_MS
from ohlcache.candles.merge import merge

_SPARE = 1024  # rows of room for appends when a run has to move, and at least a 16th


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """The candles of the windows in ``range``; the first ``rows`` of the arrays are in use.

    Only the newest run of a series may be changed, and only by one thread at a time: an older
    one can share its arrays.
    """

    range: Interval
    names: tuple[str, ...]
    rows: int
    _times: Times
    _nanoseconds: Times
    _values: Values

    @staticmethod
    def of(range_: Interval, block: Block) -> Run:
        """A run of exactly these rows, on the block's own arrays."""
        nanoseconds = block.nanoseconds
        if nanoseconds is None:
            nanoseconds = block.times * NS_PER_MS
        return Run(range_, block.names, len(block), block.times, nanoseconds, block.values)

    @property
    def nbytes(self) -> int:
        """Bytes held, with all spare room: also that of an older run, whose times may be shared."""
        return sum(_owner(array).nbytes for array in (self._times, self._nanoseconds, self._values))

    @property
    def block(self) -> Block:
        """All candles of the run, read-only."""
        return self._view(0, self.rows)

    def between(self, start: int, end: int) -> Block:
        """The candles that open in [start, end), as read-only views."""
        low, high = self._times[: self.rows].searchsorted(np.array((start, end), np.int64))
        return self._view(low, high)

    def with_names(self, names: tuple[str, ...]) -> Run:
        """The run with these columns; one that it did not have is NaN."""
        return self if names == self.names else Run.of(self.range, self.block.with_names(names))

    def with_changes(self, changes: Block) -> Run:
        """The run with rows added or replaced, as far as they lie in its range."""
        changes = changes.between(*self.range)
        merged = merge(self.block, changes) if self._overlaps(changes) else None
        if merged is not None:
            changes = merged.changes
        if not len(changes):
            return self
        if merged is not None and self._overlaps(changes):
            return Run.of(self.range, merged.block)
        return self._appended(changes)

    def followed_by(self, range_: Interval, block: Block) -> Run:
        """The run made longer by ``range_``, which starts at its end and holds ``block``."""
        longer = replace(self, range=Interval(self.range.start, range_.end))
        return longer._appended(block) if len(block) else longer

    def _overlaps(self, block: Block) -> bool:
        return bool(len(block) and self.rows and block.times[0] <= self._times[self.rows - 1])

    def _appended(self, block: Block) -> Run:
        rows = self.rows + len(block)
        if block.names != self.names or rows > len(self._times):
            names = tuple(dict.fromkeys((*self.names, *block.names)))
            room = rows + max(_SPARE, rows // 16)
            return self._moved(names, room)._appended(block.with_names(names))
        self._times[self.rows : rows] = block.times
        self._nanoseconds[self.rows : rows] = block.times * NS_PER_MS
        self._values[:, self.rows : rows] = block.values
        return replace(self, rows=rows)

    def _moved(self, names: tuple[str, ...], room: int) -> Run:
        """The same rows in arrays with room for ``room`` rows."""
        block = self.block.with_names(names)
        times, nanoseconds = np.empty(room, np.int64), np.empty(room, np.int64)
        values = np.empty((len(names), room))
        times[: self.rows] = block.times
        nanoseconds[: self.rows] = self._nanoseconds[: self.rows]
        values[:, : self.rows] = block.values
        return Run(self.range, names, self.rows, times, nanoseconds, values)

    def _view(self, low: int, high: int) -> Block:
        times, nanoseconds = self._times[low:high], self._nanoseconds[low:high]
        return Block(times, self._values[:, low:high], self.names, nanoseconds).frozen()


def _owner(array: Times | Values) -> Times | Values:
    """The array whose memory it is that a view shows."""
    return array if array.base is None else array.base
