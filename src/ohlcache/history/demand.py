"""The memory that a read takes before it is done: rows to decode, and runs that are made anew.

A run has some room for what is appended. Otherwise it is copied, and the old one is alive until
the new one is complete.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ohlcache.candles import Interval
from ohlcache.candles.interval import difference
from ohlcache.history.chunks import Piece
from ohlcache.history.memory import Run
from ohlcache.history.reading import Reading, Series

_BYTES_PER_VALUE = 8
_TIMES = 2  # of each row: in ms and in ns


def taken_by_updating(runs: Sequence[Run], series: Series, revision: int, reading: Reading) -> int:
    """Bytes for what was written since a revision, and for runs that are made anew with it."""
    return sum(
        _taken(run, series, reading.pieces(series, *run.range, after=revision)) for run in runs
    )


def taken_by_widening(
    runs: Sequence[Run], series: Series, wanted: Interval, reading: Reading
) -> int:
    """Bytes for rows that are not decoded, and for runs that move to become one with them."""
    low, high = wanted
    if any(run.range.start <= low and high <= run.range.end for run in runs):
        return 0
    touching = [run for run in runs if run.range.end >= low and run.range.start <= high]
    missing = difference([wanted], [run.range for run in touching])
    pieces = [piece for part in missing for piece in reading.pieces(series, *part)]
    if len(touching) == 1:
        return _taken(touching[0], series, pieces)
    moved = sum(run.nbytes for run in touching)
    return moved + sum(piece.rows for piece in pieces) * _row_bytes(series)


def _taken(run: Run, series: Series, pieces: list[Piece]) -> int:
    """Bytes that rows take until they are in the run, and the run itself if it must move."""
    rows = sum(piece.rows for piece in pieces)
    row = _row_bytes(series)
    spare = run.nbytes - run.rows * row
    last = run.block.times[-1] if run.rows else -math.inf
    is_appended = all(piece.first > last for piece in pieces) and rows * row <= spare
    stays = run.names == series.names and is_appended
    return rows * row + (0 if stays else run.nbytes)


def _row_bytes(series: Series) -> int:
    return _BYTES_PER_VALUE * (_TIMES + len(series.names))
