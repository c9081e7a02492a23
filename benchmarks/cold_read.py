"""How long until a range of a series is a DataFrame, when nothing of it was read before?

Nothing is decoded in the process; the system's page cache is warm for everyone. Ours opens the
store anew for each repetition; opening is measured apart, and together with the read. The peers
keep their library or connection open, which is their best case. Then the same in processes that
are started for one read each, from the end of the imports on.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

import ohlcache
from benchmarks.common import (
    Figure,
    Options,
    Run,
    Target,
    as_time,
    best_by_turns,
    figure,
    fresh_process,
    ratio_at_most,
    seconds,
    times_faster,
)
from benchmarks.datasets import SYMBOL, TIMEFRAME, WHOLE, YEAR, Dataset, Span, real, synthetic
from benchmarks.peers import (
    ArcticDB,
    Ohlcache,
    Parquet,
    ParquetInGroups,
    Peer,
    check_same,
    installed,
    stored,
)

TITLE = "Cold read as DataFrame"

_IN_A_PROCESS = (Ohlcache, ArcticDB, Parquet, ParquetInGroups)


def measure(options: Options) -> Iterator[Figure]:
    for data in (synthetic(options.quick), *real()):
        yield from _reads(options, data)


def _reads(options: Options, data: Dataset) -> Iterator[Figure]:
    folder = options.scratch / f"cold {data.name}".replace("/", " ")
    stores = stored([Ohlcache, *installed()], folder, data.frame)
    ours = stores.pop(Ohlcache.name)
    expected = {span: ours.read(span) for span in data.spans}
    ours.close()
    for span in data.spans:
        for store in stores.values():
            check_same(store, span, expected[span])
    for span in data.spans:
        yield from _in_this_process(options, data, ours.path, stores, span)
    for store in stores.values():
        store.close()
    for span in data.spans:
        yield from _in_fresh_processes(options, data, folder, span)


def _in_this_process(
    options: Options, data: Dataset, path: Path, stores: dict[str, Peer], span: Span
) -> Iterator[Figure]:
    def read() -> float:
        with ohlcache.open(path) as store:
            return seconds(lambda: store.candles(SYMBOL, TIMEFRAME, span.start, span.end))

    def open_and_read() -> float:
        opened: list[Any] = []

        def work() -> Any:
            opened.append(ohlcache.open(path))
            return opened[0].candles(SYMBOL, TIMEFRAME, span.start, span.end)

        took = seconds(work)
        opened[0].close()
        return took

    runs: dict[str, Run] = {"read": read, "open and read": open_and_read}
    for name, store in stores.items():
        runs[name] = _reading(store, span)
    best = best_by_turns(runs, options.turns(20), budget=6.0)
    what = f"{span.name} ({data.name})"
    for name in stores:
        yield figure(what, best["read"], as_time, (name, best[name]), _target(name, span))
    if ArcticDB.name in stores:
        beside = (ArcticDB.name, best[ArcticDB.name])
        yield figure(f"{what}, with opening the store", best["open and read"], as_time, beside)


def _reading(store: Peer, span: Span) -> Run:
    return lambda: seconds(lambda: store.read(span))


def _target(name: str, span: Span) -> Target | None:
    if name == ArcticDB.name:
        return ratio_at_most(1.0)
    is_parquet = name in (Parquet.name, ParquetInGroups.name)
    return times_faster(5) if is_parquet and span is YEAR else None


def _in_fresh_processes(
    options: Options, data: Dataset, folder: Path, span: Span
) -> Iterator[Figure]:
    took: dict[tuple[str, str], list[float]] = {}
    kinds = [kind for kind in _IN_A_PROCESS if kind is Ohlcache or kind in installed()]
    if YEAR not in data.spans:
        kinds = [kind for kind in kinds if kind in (Ohlcache, ArcticDB)]
    ends = ["-", "-"] if span is WHOLE else [span.start.isoformat(), span.end.isoformat()]
    for _ in range(options.turns(9)):
        for kind in kinds:
            found = fresh_process("cold_read", kind.__name__, folder, *ends)
            for step, value in found.items():
                took.setdefault((kind.name, step), []).append(value)
    best = {key: min(values) for key, values in took.items()}
    for kind in kinds[1:]:
        for step in ("read", "open and read"):
            peer = (kind.name, best[kind.name, step])
            target = _target(kind.name, span)
            name = f"{span.name} ({data.name}), process started for it: {step}"
            yield figure(name, best[Ohlcache.name, step], as_time, peer, target)


def _one_read(kind: str, folder: str, start: str, end: str) -> None:
    """Open and read once in this process, and print the seconds."""
    span = WHOLE if start == "-" else Span("", pd.Timestamp(start), pd.Timestamp(end))
    found = {each.__name__: each for each in _IN_A_PROCESS}[kind]
    ohlcache.open  # noqa: B018  # resolved here: it imports
    if kind == "ArcticDB":
        import arcticdb  # noqa: F401
    elif kind.startswith("Parquet"):
        import pyarrow.parquet  # noqa: F401
    opened: list[Peer] = []
    opening = seconds(lambda: opened.append(found(Path(folder))))
    reading = seconds(lambda: opened[0].read(span))
    print(json.dumps({"open": opening, "read": reading, "open and read": opening + reading}))


if __name__ == "__main__":
    _one_read(*sys.argv[1:])
