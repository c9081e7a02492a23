"""The columnar block: open times and the columns of a run of candles.

Structure: ``times`` is int64 of shape (n,), ms since the epoch in UTC; ``values`` is float64 of
shape (k, n) in C order, one row for each column, so that a column is contiguous, a range of rows
is a view, and pandas takes the whole block without a copy. The first five columns are always
open, high, low, close and volume; further ones (quote volume, trades, …) travel along.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ohlcache.errors import InvalidArgument

Times = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

OHLCV = ("open", "high", "low", "close", "volume")
OPEN, HIGH, LOW, CLOSE, VOLUME = range(5)


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Candles as columns: ``times`` (n,), ``values`` (k, n) and the k column ``names``.

    ``nanoseconds`` are the same times as pandas counts them, where someone has them at hand.
    """

    times: Times
    values: Values
    names: tuple[str, ...] = OHLCV
    nanoseconds: Times | None = None

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.names), len(self.times)):
            raise InvalidArgument(
                f"values has the shape {self.values.shape}: give ({len(self.names)}, "
                f"{len(self.times)}), one row for each of {', '.join(self.names)}"
            )

    @staticmethod
    def empty(names: Sequence[str] = OHLCV) -> Block:
        """A block of no candles."""
        return Block(np.empty(0, np.int64), np.empty((len(names), 0)), tuple(names))

    @staticmethod
    def concatenate(blocks: Sequence[Block]) -> Block:
        """The blocks one after the other; a column that one of them lacks is NaN there."""
        if not blocks:
            return Block.empty()
        names = tuple(dict.fromkeys(name for block in blocks for name in block.names))
        return Block(
            np.concatenate([block.times for block in blocks]),
            np.concatenate([block.with_names(names).values for block in blocks], axis=1),
            names,
        )

    def __len__(self) -> int:
        return len(self.times)

    @property
    def extras(self) -> tuple[str, ...]:
        """The names of the columns beyond open, high, low, close and volume."""
        return self.names[len(OHLCV) :]

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the columns take."""
        return self.times.nbytes + self.values.nbytes

    def column(self, name: str) -> Values:
        """One column by name, shape (n,)."""
        column: Values = self.values[self.names.index(name)]
        return column

    def slice(self, start: int, stop: int) -> Block:
        """Rows start to stop (exclusive), as a view."""
        nanoseconds = None if self.nanoseconds is None else self.nanoseconds[start:stop]
        return Block(self.times[start:stop], self.values[:, start:stop], self.names, nanoseconds)

    def between(self, start: int, end: int) -> Block:
        """Candles that open in [start, end), as a view. Times must ascend."""
        low, high = np.searchsorted(self.times, np.array((start, end), np.int64))
        return self.slice(int(low), int(high))

    def take(self, rows: npt.NDArray[np.int64] | Mask) -> Block:
        """The rows at these indices, or where the mask is true, as a copy."""
        return Block(self.times[rows], self.values[:, rows], self.names)

    def with_names(self, names: Sequence[str]) -> Block:
        """The same candles with exactly these columns; one that was not there is NaN."""
        if tuple(names) == self.names:
            return self
        values = np.full((len(names), len(self)), np.nan)
        for row, name in enumerate(names):
            if name in self.names:
                values[row] = self.column(name)
        return Block(self.times, values, tuple(names))

    def select(self, names: Sequence[str]) -> Block:
        """These columns in this order; a view where they stand side by side.

        Unlike in a whole block the first five may be any. Raises InvalidArgument for a name that
        is not there.
        """
        unknown = [name for name in names if name not in self.names]
        if unknown:
            raise InvalidArgument(
                f"columns names {', '.join(unknown)}: there are {', '.join(self.names)}"
            )
        rows = [self.names.index(name) for name in names]
        is_side_by_side = bool(rows) and rows == list(range(rows[0], rows[0] + len(rows)))
        values = self.values[rows[0] : rows[-1] + 1] if is_side_by_side else self.values[rows]
        return Block(self.times, values, tuple(names), self.nanoseconds)

    def frozen(self) -> Block:
        """The same arrays, marked read-only."""
        self.times.flags.writeable = False
        self.values.flags.writeable = False
        if self.nanoseconds is not None:
            self.nanoseconds.flags.writeable = False
        return self

    def identical(self, other: Block) -> bool:
        """Equal bit for bit: -0.0 differs from 0.0, and NaN equals the same NaN."""
        return (
            self.names == other.names
            and np.array_equal(self.times, other.times)
            and np.array_equal(_bits(self.values), _bits(other.values))
        )


def _bits(values: Values) -> npt.NDArray[np.int64]:
    return np.ascontiguousarray(values).view(np.int64)
