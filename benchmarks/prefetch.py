"""What does a read that goes on take with and without prefetch, and what does it cost the others?

Patterns of access are replayed on a store of real chunks, with a pause after each read as of a
chart that is looked at or a strategy that computes. Prefetch has to help where there is a
direction, and must not be felt where there is none.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import NamedTuple

import ohlcache
from benchmarks.common import Figure, Options, Target, as_bytes, as_time, figure, percentile
from benchmarks.datasets import MINUTE, SYMBOL, TIMEFRAME, synthetic

TITLE = "Prefetch"

_WINDOW = 32_768
_PAUSE = 0.004  # seconds between two reads
_Range = tuple[int, int]  # in minutes since the first candle


class Replay(NamedTuple):
    """Seconds of each read, the share that memory answered, and the accounts of prefetching."""

    took: list[float]
    warm: float
    accounts: dict[str, float]


def measure(options: Options) -> Iterator[Figure]:
    data = synthetic(options.quick)
    location = options.scratch / "prefetch"
    with ohlcache.open(location) as store:
        store.write(SYMBOL, TIMEFRAME, data.frame)
    first = data.frame.index[0].value // 1_000_000
    for name, ranges in _patterns(len(data), options.turns(400)).items():
        without = _replay(location, ranges, first, prefetch=False)
        ours = _replay(location, ranges, first, prefetch=True)
        has_direction = name != "random"
        for share in (0.99, 1.0):
            beside = ("without", percentile(without.took, share))
            label = f"{name}: {'slowest read' if share == 1 else 'p99'}"
            yield figure(label, percentile(ours.took, share), as_time, beside)
        beside = ("without", without.warm)
        target = _A_QUARTER_AS_COLD if has_direction else None
        yield figure(f"{name}: reads that memory answered", ours.warm, _as_share, beside, target)
        used, all_of_it = ours.accounts["used_bytes"], ours.accounts["bytes"]
        beside = ("prefetched", all_of_it) if all_of_it else None
        yield figure(f"{name}: prefetched and used", used, as_bytes, beside)
    yield from _hit_cost(location, first, options)


def _patterns(rows: int, reads: int) -> dict[str, list[_Range]]:
    """Ranges read, of at most so many windows that each pattern crosses several."""
    chooses = random.Random(1)
    step = min(4_000, (rows - 5_000) // reads)
    walk = [(at * step, at * step + step) for at in range(reads)]
    pan = [(rows - 2_500 - at * step, rows - at * step) for at in range(reads) if at * step < rows]
    places = [chooses.randrange(rows - 3_000) for _ in range(reads)]
    return {
        "backtest walking on": walk,
        "chart panned left": pan,
        "random": [(at, at + chooses.randrange(500, 3_000)) for at in places],
    }


def _replay(location, ranges: list[_Range], first: int, *, prefetch: bool) -> Replay:
    took = []
    with ohlcache.open(location, settings={"history": {"prefetch": prefetch}}) as store:
        for start, end in ranges:
            low, high = first + start * MINUTE, first + end * MINUTE
            began = time.perf_counter()
            store.candles(SYMBOL, TIMEFRAME, low, high)
            took.append(time.perf_counter() - began)
            time.sleep(_PAUSE)
        stats = store.stats()
    return Replay(took, stats["reads"].get("hits", 0) / len(ranges), stats["prefetch"])


def _hit_cost(location, first: int, options: Options) -> Iterator[Figure]:
    """The same range again and again: what taking note of reads costs a hit."""
    start, end = first + 1_000 * MINUTE, first + 10_000 * MINUTE
    best: dict[bool, float] = {}
    for _ in range(options.turns(20)):
        for prefetch in (True, False):
            with ohlcache.open(location, settings={"history": {"prefetch": prefetch}}) as store:
                store.candles(SYMBOL, TIMEFRAME, start, end)
                began = time.perf_counter()
                for _ in range(1_000):
                    store.candles(SYMBOL, TIMEFRAME, start, end, as_="numpy")
                took = (time.perf_counter() - began) / 1_000
            best[prefetch] = min(took, best.get(prefetch, took))
    yield figure("a hit", best[True], as_time, ("without", best[False]), _AT_MOST_2_PERCENT)


_A_QUARTER_AS_COLD = Target("≤ 1/4 as many cold", lambda ours, peer: 4 * (1 - ours) <= 1 - peer)
_AT_MOST_2_PERCENT = Target("≤ 1.02×", lambda ours, peer: ours <= 1.02 * peer)


def _as_share(value: float) -> str:
    return f"{value:.1%}"
