"""How long does a range take that was read before in the same process?"""

from __future__ import annotations

from collections.abc import Iterator

import ohlcache
from benchmarks.common import (
    Figure,
    Options,
    Run,
    as_time,
    at_most,
    best_by_turns,
    figure,
    seconds,
    times_faster,
)
from benchmarks.datasets import SYMBOL, TIMEFRAME, YEAR, synthetic
from benchmarks.peers import ArcticDB, Ohlcache, SQLiteRows, installed, stored

TITLE = "Warm read of one year"

_READS = 500  # in one measurement of ours: one of them is too short for the clock


def measure(options: Options) -> Iterator[Figure]:
    data = synthetic(options.quick)
    stores = stored([Ohlcache, *installed()], options.scratch / "warm", data.frame)
    path = stores[Ohlcache.name].path
    stores.pop(Ohlcache.name).close()
    start, end = YEAR.start, YEAR.end
    milliseconds = (start.value // 1_000_000, end.value // 1_000_000)
    with ohlcache.open(path) as store:
        store.candles(SYMBOL, TIMEFRAME)
        runs: dict[str, Run] = {
            "DataFrame": _many(lambda: store.candles(SYMBOL, TIMEFRAME, start, end)),
            "DataFrame, times as ms": _many(
                lambda: store.candles(SYMBOL, TIMEFRAME, *milliseconds)
            ),
            "DataFrame, times as text": _many(
                lambda: store.candles(SYMBOL, TIMEFRAME, "2020-02-01", "2021-02-01")
            ),
            "numpy": _many(lambda: store.candles(SYMBOL, TIMEFRAME, start, end, as_="numpy")),
        }
        ours = list(runs)
        for name, peer in stores.items():
            runs[name] = lambda peer=peer: seconds(lambda: peer.read(YEAR))
        best = best_by_turns(runs, options.turns(20), budget=6.0)
    for peer in stores.values():
        peer.close()
    bounds = {"DataFrame": at_most(60e-6, as_time), "numpy": at_most(20e-6, as_time)}
    for name in ours:
        yield figure(f"as {name}", best[name], as_time, target=bounds.get(name))
    targets = {ArcticDB.name: times_faster(100), SQLiteRows.name: times_faster(50)}
    for name in stores:
        beside = (name, best[name])
        yield figure("as DataFrame", best["DataFrame"], as_time, beside, targets.get(name))


def _many(read) -> Run:
    def some() -> None:
        for _ in range(_READS):
            read()

    return lambda: seconds(some) / _READS
