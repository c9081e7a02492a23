"""Candles that tell which write they are from, and reads that must be of whole writes.

Every write fills one slot of a series and leaves its mark in each row: the volume is the mark, and
the price a checksum of mark and time. A row that belongs to no write, or a slot with rows of two,
is recognised by whoever reads it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from made_candles import MINUTE, T0
from ohlcache.candles import Timeframe
from ohlcache.history.chunks import WINDOW_CANDLES, window

SHARED = ("X", "Y")
TIMEFRAME = "1m"
_BORDER = window(Timeframe.parse(TIMEFRAME), T0) + WINDOW_CANDLES * MINUTE
_PRIME = 99_991


class Slot(NamedTuple):
    """Rows that one write fills. ``owner`` is the writer who alone does so; None: they all do."""

    symbol: str
    owner: int | None
    start: int
    rows: int

    @property
    def name(self) -> str:
        return f"{self.symbol}@{self.start}"

    @property
    def end(self) -> int:
        return self.start + self.rows * MINUTE


class Torn(AssertionError):
    """A read that is not made of whole writes."""


def slots(writers: int) -> list[Slot]:
    """Of all sizes: rows of several writers lie in one chunk, and one slot lies in two chunks."""
    found = []
    for symbol in SHARED:
        for owner in range(writers):
            for place, rows in ((-20_000 + 10 * owner, 1), (-19_000 + 100 * owner, 40)):
                found.append(Slot(symbol, owner, _BORDER + place * MINUTE, rows))
            found.append(Slot(symbol, owner, _BORDER + (-15_000 + 2_000 * owner) * MINUTE, 1_500))
        found.append(Slot(symbol, None, _BORDER - 500 * MINUTE, 2_000))
    return sorted(found, key=lambda slot: slot.start)


def candles(start: int, mark: int, rows: int) -> dict[str, np.ndarray]:
    """What a write of this mark fills a slot with."""
    times = start + np.arange(rows, dtype=np.int64) * MINUTE
    prices = _prices(times, np.full(rows, mark))
    volumes = np.full(rows, float(mark))
    return {
        "timestamp": times,
        **dict.fromkeys(("open", "high", "low", "close"), prices),
        "volume": volumes,
    }


def marks_in(read: dict[str, np.ndarray], of: list[Slot]) -> dict[str, int]:
    """The mark of each slot, by the slot's name. Raises Torn."""
    times, marks = read["timestamp"], read["volume"].astype(np.int64)
    _check_rows(read, times, marks)
    found = {}
    for slot in of:
        low, high = np.searchsorted(times, (slot.start, slot.end))
        here = marks[low:high]
        if high - low != slot.rows or here.min() != here.max():
            seen = dict(zip(*np.unique(here, return_counts=True), strict=True))
            raise Torn(f"{slot}: rows by mark {seen}")
        found[slot.name] = int(here[0])
    if len(times) != sum(slot.rows for slot in of):
        raise Torn(f"{len(times)} rows in the slots of {of[0].symbol}")
    return found


def grown(read: dict[str, np.ndarray]) -> int:
    """How many candles a series has that grows by one with each append. Raises Torn."""
    times, marks = read["timestamp"], read["volume"].astype(np.int64)
    _check_rows(read, times, marks)
    if (marks != np.arange(len(marks))).any() or (times != T0 + marks * MINUTE).any():
        raise Torn(f"a series of {len(times)} appended candles has gaps")
    return len(times)


def growing(writer: int) -> str:
    """The symbol to which a writer appends."""
    return f"GROWING-{writer}"


def _check_rows(read: dict[str, np.ndarray], times: np.ndarray, marks: np.ndarray) -> None:
    expected = _prices(times, marks)
    for name in ("open", "high", "low", "close"):
        if not np.array_equal(read[name], expected):
            raise Torn(f"{int((read[name] != expected).sum())} rows whose {name} no write gave")


def _prices(times: np.ndarray, marks: np.ndarray) -> np.ndarray:
    return 1.0 + (times // MINUTE * 104_729 + marks * 7_919) % _PRIME / 100
