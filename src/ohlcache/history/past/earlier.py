"""What stood in a range of open times before a write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from ohlcache.candles import Block, Interval, to_iso
from ohlcache.candles.block import Times
from ohlcache.candles.instant import EARLIEST, LATEST
from ohlcache.history.chunks import BODY, RECENT, encode_layers

_UNCHANGED_BETWEEN = 16  # rows that are kept along rather than begin another record
_WORTH_COMPRESSING = 512  # rows


class Earlier(NamedTuple):
    """Before the write, exactly these ``rows`` stood in [start, end), as a block or a chunk.

    None: there were none when ``number`` is 0, otherwise they were damaged and are lost.
    """

    start: int
    end: int
    number: int
    rows: Block | bytes | None

    @property
    def is_lost(self) -> bool:
        """Whether nobody knows what stood there."""
        return self.rows is None and self.number > 0


def span(start: int, end: int) -> str:
    """A range in words; an open end is the first or the last moment that can be told."""
    return f"{to_iso(max(start, EARLIEST))} to {to_iso(min(end, LATEST))}"


def absent(start: int, end: int) -> Earlier:
    """Nothing stood there."""
    return Earlier(start, end, 0, None)


def standing(start: int, end: int, rows: Block) -> Earlier:
    """These rows stood there."""
    return Earlier(start, end, len(rows), rows if len(rows) else None)


def before(old: Block, changed: Times) -> Iterator[Earlier]:
    """What stood at open times that were added or changed, in runs; ``old`` is all that stood.

    A run goes on over a few rows that did not change, since each one costs a record.
    """
    if not len(changed):
        return
    low = np.searchsorted(old.times, changed, side="left")
    high = np.searchsorted(old.times, changed, side="right")
    ends = np.flatnonzero(low[1:] - high[:-1] > _UNCHANGED_BETWEEN)
    for first, last in zip((0, *(ends + 1).tolist()), (*ends.tolist(), -1), strict=True):
        rows = old.slice(int(low[first]), int(high[last]))
        yield standing(int(changed[first]), int(changed[last]) + 1, rows)


def encoded(records: list[Earlier]) -> list[Earlier]:
    """The same records with their rows as chunks, encoded on all cores."""
    layers = [
        (start, BODY if number > _WORTH_COMPRESSING else RECENT, rows)
        for start, _, number, rows in records
        if isinstance(rows, Block)
    ]
    chunks = iter(encode_layers(layers) if layers else ())
    return [
        record._replace(rows=next(chunks).data) if isinstance(record.rows, Block) else record
        for record in records
    ]


def spanning(records: Iterable[tuple[Interval, Earlier]], start: int, end: int) -> list[Earlier]:
    """What stood in all of [start, end), of records of all rows there, each with its window.

    A record says so of no more than its window, so that no more is lost with it.
    """
    found, at = [], start
    for window, record in records:
        low, high = max(window.start, start), min(window.end, end)
        if at < low:
            found.append(absent(at, low))
        found.append(record._replace(start=low, end=high))
        at = high
    if at < end:
        found.append(absent(at, end))
    return found
