"""What do earlier states cost: to keep, and to read?"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.common import (
    Figure,
    Options,
    Target,
    as_time,
    at_most,
    best_by_turns,
    figure,
    seconds,
)
from benchmarks.datasets import MINUTE, SYMBOL, TIMEFRAME, minutes
from ohlcache.candles import Block, to_block
from ohlcache.history import MarketData, SQLiteEngine, Store
from ohlcache.history.past.recording import Keeping

TITLE = "Point in time"

_YEAR = 525_600
_APPENDS = 2_000
_READS = 5  # in one measurement: one that is in memory is too short for the clock
_RECORDS = ("past_rows", "past_coverage", "past_write")


class _Clock:
    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def measure(options: Options) -> Iterator[Figure]:
    rows = _YEAR // 4 if options.quick else _YEAR
    now = time.time_ns() // 1_000_000 // MINUTE * MINUTE - _APPENDS * MINUTE
    block = _before(now, to_block(minutes(rows)))
    clock = _Clock(now)
    folder = options.scratch / "past"
    store = Store(SQLiteEngine(folder / "ohlcache.sqlite", 5.0), keeping=Keeping(clock))
    with MarketData(store, clock=clock) as md:
        md.write(SYMBOL, TIMEFRAME, block)
        yield from _live_appends(md, clock, block, folder)
        md.snapshot("state")
        ends = (int(block.times[0]), int(block.times[-1]) + MINUTE)
        md.candles(SYMBOL, TIMEFRAME, *ends)
        yield from _reads(md, ends, options, "nothing revised", at_most(1e-3, as_time))
        _revise(md, block, slice(1000, 1001))
        yield from _reads(md, ends, options, "one candle revised")
        _revise(md, block, slice(0, rows // 12))
        yield from _reads(md, ends, options, "a month revised")
        for at in range(rows // 2, rows // 2 + 1000 * 50, 50):
            _revise(md, block, slice(at, at + 1))
        yield from _reads(md, ends, options, "and 1,000 single candles")
        _revise(md, block, slice(0, rows))
        yield from _reads(md, ends, options, "and all of it")
        yield figure("listing all revisions of a day", _listing(md, ends[0]), as_time)


def _before(now: int, block: Block) -> Block:
    times = now + (np.arange(len(block), dtype=np.int64) - len(block)) * MINUTE
    return Block(times, block.values, block.names)


def _revise(md: MarketData, block: Block, which: slice) -> None:
    rows = block.slice(which.start, which.stop)
    md.write(SYMBOL, TIMEFRAME, Block(rows.times, rows.values * 0.5, rows.names))


def _live_appends(md: MarketData, clock: _Clock, block: Block, folder: Path) -> Iterator[Figure]:
    """Appends as candles close, beside the same ones an hour late, which have to be recorded."""
    took: dict[str, list[float]] = {"as they close": [], "an hour late": []}
    before = _records(folder)
    for name, late in (("as they close", 0), ("an hour late", 3_600_000)):
        for at in range(_APPENDS // 2):
            opened = clock.now - late
            clock.now += MINUTE
            row = Block(np.array([opened]), block.values[:, at : at + 1].copy(), block.names)
            took[name].append(seconds(lambda row=row: md.write(SYMBOL, TIMEFRAME, row)))
        if not late:
            assert _records(folder) == before, "a live append must leave no record"
            clock.now += 2 * 3_600_000
    live, late = median(took["as they close"]), median(took["an hour late"])
    beside = ("an hour late, with a record", late)
    yield figure("append of a candle as it closes, median", live, as_time, beside)


def _records(folder: Path) -> int:
    connection = sqlite3.connect(folder / "ohlcache.sqlite")
    counts = [connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in _RECORDS]
    connection.close()
    return sum(counts)


def _reads(
    md: MarketData,
    ends: tuple[int, int],
    options: Options,
    what: str,
    target: Target | None = None,
) -> Iterator[Figure]:
    def read(**moment: str) -> float:
        def some() -> None:
            for _ in range(_READS):
                md.candles(SYMBOL, TIMEFRAME, *ends, **moment)

        return seconds(some) / _READS

    best = best_by_turns(
        {"present": read, "then": lambda: read(as_of="state")}, options.turns(20), budget=3.0
    )
    beside = ("the present", best["present"])
    yield figure(f"year as of a snapshot, {what}", best["then"], as_time, beside, target)


def _listing(md: MarketData, start: int) -> float:
    return seconds(lambda: md.revisions(SYMBOL, TIMEFRAME, start, start + 1440 * MINUTE))
