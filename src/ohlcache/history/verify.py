"""Checking every chunk of a store: checksum, order, grid, coverage, and what looks suspicious.

What nearer tiers hold of it is compared with it. The small tables are checked against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from ohlcache.candles import Block, Grid, Interval, IntervalSet, Timeframe, to_iso
from ohlcache.candles.codec import decode
from ohlcache.candles.interval import covers, normalise
from ohlcache.candles.merge import merge
from ohlcache.candles.quality import Findings, flag
from ohlcache.errors import ChunkError
from ohlcache.history.chunks import Piece, window, window_length
from ohlcache.history.metadata import faults_of_properties
from ohlcache.history.nearer import Nearer
from ohlcache.history.past.checking import faults_of_the_past
from ohlcache.history.past.snapshots import faults_of_snapshots
from ohlcache.history.reading import Reading, Series
from ohlcache.history.reports import Problem, SeriesKey, VerifyReport
from ohlcache.history.store import Store

_ANCHORS_DIFFER_BY = Timeframe.parse("15m")  # or a multiple of it

Progress = Callable[[int, int], None]  # series done, of how many


@dataclass
class Verification:
    """What a verification found so far; ``damaged`` are the layers that have to be replaced."""

    problems: list[Problem] = field(default_factory=list)
    damaged: list[tuple[Series, Piece]] = field(default_factory=list)
    series: int = 0
    chunks: int = 0
    rows: int = 0
    flagged: dict[str, Findings] = field(default_factory=dict)
    refused: dict[str, Findings] = field(default_factory=dict)

    def is_damaged(self, series: Series, start: int) -> bool:
        """Whether a layer of the window that starts there was found damaged."""
        return any(one.id == series.id and piece.start == start for one, piece in self.damaged)

    def report(self) -> VerifyReport:
        """The public form of it."""
        return VerifyReport(
            ok=not self.problems,
            problems=tuple(self.problems),
            series=self.series,
            chunks=self.chunks,
            rows=self.rows,
            flagged=self.flagged,
            refused=self.refused,
        )


def verify(store: Store, nearer: Nearer, progress: Progress | None = None) -> Verification:
    """Check the file, and every series with a bounded amount of memory: a window at a time."""
    found = Verification()
    found.problems += [Problem("store", None, message) for message in store.check_database()]
    with store.reading() as reading:
        catalogue = reading.all_series()
        found.problems += [Problem(name, None, why) for name, why in reading.damaged_series()]
    with store.session() as session:
        found.problems += [Problem(name, None, why) for name, why in faults_of_properties(session)]
        if store.remembers:
            found.problems += [Problem("store", None, why) for why in faults_of_snapshots(session)]
    for series in catalogue:
        with store.reading() as reading:
            current = reading.series(series.key)
            if current is not None:
                _check_series(current, reading, nearer, found)
        if current is not None and store.remembers:
            with store.session() as session:
                for range_, fault in faults_of_the_past(session, current):
                    found.problems.append(Problem(str(series.key), range_, fault))
        found.series += 1
        if progress is not None:
            progress(found.series, len(catalogue))
    return found


def _check_series(series: Series, reading: Reading, nearer: Nearer, found: Verification) -> None:
    name = str(series.key)
    coverage = reading.coverage(series)
    if coverage != normalise(coverage):
        found.problems.append(Problem(name, None, "coverage overlaps or is out of order"))
    found.problems += _off_grid(series, coverage)
    flagged = Findings()
    before: int | None = None
    for start, layers in _windows(series, reading, found):
        rows = Block.empty(series.names)
        for layer in layers:
            rows = merge(rows, layer).block
        for message in _faults(rows, start, before, series, coverage):
            found.problems.append(Problem(name, _window_range(series.key, start), message))
        if not found.is_damaged(series, start):
            for range_, message in nearer.faults(series, start, rows, reading):
                found.problems.append(Problem(name, range_, message))
        before = int(rows.times[-1]) if len(rows) else before
        found.rows += len(rows)
        flagged += flag(rows)
    if flagged.counts:
        found.flagged[name] = flagged
    refused = reading.refused(series)
    if refused.counts:
        found.refused[name] = refused


def _off_grid(series: Series, coverage: IntervalSet) -> Iterator[Problem]:
    """Covered ranges that do not go from open time to open time."""
    grid = series.grid
    if grid.timeframe.is_daily_or_longer:
        # What was covered before the series was given another anchor stays as it was.
        grid = Grid(_ANCHORS_DIFFER_BY)
    edges = np.array(coverage, np.int64).reshape(-1, 2)
    for row in np.flatnonzero(~grid.contains(edges.ravel()).reshape(-1, 2).all(axis=1)):
        range_ = coverage[row]
        yield Problem(
            str(series.key),
            range_,
            f"coverage of {to_iso(range_.start)} to {to_iso(range_.end)} is off the grid: delete "
            "the range and fetch or import it again",
        )


def _windows(
    series: Series, reading: Reading, found: Verification
) -> Iterator[tuple[int, list[Block]]]:
    """The decoded layers of each window; one that cannot be decoded is noted and left out."""
    pieces = reading.pieces(series, -(2**62), 2**62)
    for start in sorted({piece.start for piece in pieces}):
        layers = []
        here = [piece for piece in pieces if piece.start == start]
        for piece, data in zip(here, reading.chunks(series, start, start + 1), strict=True):
            found.chunks += 1
            try:
                block = decode(data)
                _check_piece(piece, block)
            except ChunkError as error:
                range_ = Interval(piece.first, series.grid.next(piece.last))
                where = f"chunk of {to_iso(range_.start)} to {to_iso(range_.end)}"
                found.problems.append(Problem(str(series.key), range_, f"{where}: {error}"))
                found.damaged.append((series, piece))
            else:
                layers.append(block)
        yield start, layers


def _check_piece(piece: Piece, block: Block) -> None:
    stored = (int(block.times[0]), int(block.times[-1]), len(block)) if len(block) else (0, 0, 0)
    if stored != (piece.first, piece.last, piece.rows):
        raise ChunkError("rows differ from what the store says of the chunk: fetch it again")


def _faults(
    rows: Block, start: int, before: int | None, series: Series, coverage: IntervalSet
) -> Iterator[str]:
    if not len(rows):
        return
    times = rows.times
    first, last = int(times[0]), int(times[-1])
    if not (np.diff(times) > 0).all() or (before is not None and first <= before):
        yield f"times do not ascend in the window from {to_iso(start)}"
    if window(series.key.timeframe, first) != start or window(series.key.timeframe, last) != start:
        yield f"rows lie outside their window from {to_iso(start)}"
    off_grid = ~series.grid.contains(times)
    if off_grid.any():
        yield f"{int(off_grid.sum())} rows off the grid, first {to_iso(int(times[off_grid][0]))}"
    if not covers(coverage, first, last + 1):
        at = np.searchsorted([interval.start for interval in coverage], times, side="right") - 1
        ends = np.array([interval.end for interval in coverage] or [0])
        outside = (at < 0) | (times >= ends[at])
        if outside.any():
            yield (
                f"{int(outside.sum())} rows outside the coverage, first "
                f"{to_iso(int(times[outside][0]))}"
            )


def _window_range(key: SeriesKey, start: int) -> Interval:
    return Interval(start, start + window_length(key.timeframe))
