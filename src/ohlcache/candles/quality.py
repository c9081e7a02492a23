"""What can be a candle and what cannot, and what only looks wrong.

A row that cannot be a candle is refused; a row that is merely suspicious is kept and flagged.
Nothing is repaired. Counts are by row, and a refused row counts under the first reason it meets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ohlcache.candles.block import CLOSE, Block, Mask, Times
from ohlcache.candles.grid import Grid
from ohlcache.candles.instant import to_iso

# Reasons to refuse a row.
PRICE_NOT_FINITE = "price_not_finite"
HIGH_BELOW_LOW = "high_below_low"
NEGATIVE_VOLUME = "negative_volume"
OFF_GRID = "off_grid"
NOT_CLOSED = "not_closed"

# Reasons to flag a row.
OUTSIDE_RANGE = "open_or_close_outside_range"
JUMP = "jump"
ZERO_RANGE_WITH_VOLUME = "zero_range_with_volume"
INFINITE_VOLUME = "infinite_volume"

JUMP_SIGMAS = 30.0
_JUMP_NEEDS_ROWS = 50
_OFFENDERS_PER_REASON = 10
_SIGMA_SAMPLE = 65_536
_MAD_TO_SIGMA = 1.4826  # of a normal distribution


@dataclass(frozen=True, slots=True)
class Offender:
    """One row that was refused or flagged: its open time (ms), the reason and the values."""

    timestamp: int
    reason: str
    detail: str

    def __str__(self) -> str:
        return f"{to_iso(self.timestamp)} {self.reason}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Findings:
    """Rows by reason: how many, and the first ten of each."""

    counts: dict[str, int] = field(default_factory=dict)
    offenders: tuple[Offender, ...] = ()

    @property
    def total(self) -> int:
        """All rows found."""
        return sum(self.counts.values())

    def __add__(self, other: Findings) -> Findings:
        counts = {
            reason: self.counts.get(reason, 0) + other.counts.get(reason, 0)
            for reason in {**self.counts, **other.counts}
        }
        return Findings(counts, first_of_each(self.offenders + other.offenders))


@dataclass(frozen=True, slots=True)
class Inspection:
    """The outcome of :func:`inspect`: ``block`` is sorted by time, without duplicates."""

    block: Block
    refused: Findings
    flagged: Findings
    duplicates: int


def first_of_each(offenders: tuple[Offender, ...]) -> tuple[Offender, ...]:
    """The first ten of each reason."""
    seen: Counter[str] = Counter()
    kept = []
    for offender in offenders:
        seen[offender.reason] += 1
        if seen[offender.reason] <= _OFFENDERS_PER_REASON:
            kept.append(offender)
    return tuple(kept)


def inspect(block: Block, grid: Grid, closed_until: int) -> Inspection:
    """Refuse what cannot be a candle, sort, keep the last of each open time, flag the rest.

    A candle is closed when the next one opens at or before ``closed_until`` (ms).
    """
    refused, bad = _collect(block, _impossible(block, grid, closed_until))
    if refused.counts:
        block = block.take(~bad)
    block, duplicates = _sorted_unique(block)
    return Inspection(block, refused, flag(block), duplicates)


def flag(block: Block) -> Findings:
    """What is suspicious in candles that are sorted by time."""
    findings, _ = _collect(block, _suspicious(block))
    return findings


def _impossible(block: Block, grid: Grid, closed_until: int) -> Iterator[tuple[str, Mask]]:
    opens, highs, lows, closes, volumes = block.values[:5]
    # One pass finds a NaN or an infinity in any of the four; a sum that overflows is looked at.
    with np.errstate(over="ignore", invalid="ignore"):
        suspects = ~np.isfinite(opens + highs + lows + closes)
    if suspects.any():
        yield PRICE_NOT_FINITE, np.any(~np.isfinite(block.values[: CLOSE + 1]), axis=0)
    yield HIGH_BELOW_LOW, np.less(highs, lows)
    yield NEGATIVE_VOLUME, np.less(volumes, 0)
    yield OFF_GRID, ~grid.contains(block.times)
    # The candle in which closed_until lies is the first that is not closed.
    yield NOT_CLOSED, np.greater_equal(block.times, grid.floor(closed_until))


def _suspicious(block: Block) -> Iterator[tuple[str, Mask]]:
    opens, highs, lows, closes, volumes = block.values[:5]
    outside = (np.maximum(opens, closes) > highs) | (np.minimum(opens, closes) < lows)
    yield OUTSIDE_RANGE, outside
    yield ZERO_RANGE_WITH_VOLUME, (highs == lows) & (volumes > 0)
    yield INFINITE_VOLUME, np.isinf(volumes)
    yield JUMP, _jumps(block)


def _jumps(block: Block) -> Mask:
    """Closes that moved by more than JUMP_SIGMAS robust standard deviations of the moves.

    The deviation is 1.4826 times the median absolute deviation, or the plain one where most
    moves are zero (Rousseeuw & Croux, 1993). Moves are of logarithms where all prices are
    positive, otherwise plain differences.
    """
    closes = block.values[CLOSE]
    jumps = np.zeros(len(closes), np.bool_)
    if len(closes) < _JUMP_NEEDS_ROWS:
        return jumps
    moves = np.diff(np.log(closes) if (closes > 0).all() else closes)
    sample = moves[:: max(1, len(moves) // _SIGMA_SAMPLE)]
    centre = float(np.median(sample))
    sigma = _MAD_TO_SIGMA * float(np.median(np.abs(sample - centre))) or float(np.std(sample))
    if sigma > 0:
        jumps[1:] = np.abs(moves - centre) > JUMP_SIGMAS * sigma
    return jumps


def _collect(block: Block, reasons: Iterator[tuple[str, Mask]]) -> tuple[Findings, Mask]:
    """Count and describe the rows of each reason; a row counts for the first one only."""
    seen = np.zeros(len(block), np.bool_)
    counts: dict[str, int] = {}
    offenders: list[Offender] = []
    for reason, mask in reasons:
        rows = np.flatnonzero(mask)
        if not len(rows):
            continue
        rows = rows[~seen[rows]]
        seen[rows] = True
        if len(rows):
            counts[reason] = len(rows)
            offenders += [
                _offender(block, int(row), reason) for row in rows[:_OFFENDERS_PER_REASON]
            ]
    return Findings(counts, tuple(offenders)), seen


def _offender(block: Block, row: int, reason: str) -> Offender:
    values = (f"{name} {block.values[at, row]:.12g}" for at, name in enumerate(block.names[:5]))
    return Offender(int(block.times[row]), reason, ", ".join(values))


def _sorted_unique(block: Block) -> tuple[Block, int]:
    """Ascending times, the last row of each; also how many rows were dropped."""
    steps = np.diff(block.times)
    if (steps > 0).all():
        return block, 0
    order = np.argsort(block.times, kind="stable")
    times: Times = block.times[order]
    keep = np.append(times[1:] != times[:-1], np.True_)
    return block.take(order[keep]), int(len(block) - keep.sum())
