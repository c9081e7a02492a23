"""How fast is a history stored, and how much memory does importing a large file take?"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

import ohlcache
from benchmarks.common import (
    Figure,
    Options,
    Run,
    as_bytes,
    as_rate,
    as_time,
    at_least,
    at_most,
    best_by_turns,
    figure,
    fresh_process,
    seconds,
)
from benchmarks.datasets import SYMBOL, seconds_in_parts, synthetic
from benchmarks.peers import Ohlcache, Peer, installed
from ohlcache.candles import to_frame
from ohlcache.sources.files import read_candles

TITLE = "Bulk import"

_SCHEMA = pa.schema(
    [
        ("timestamp", pa.timestamp("ms", "UTC")),
        *((name, pa.float64()) for name in ("open", "high", "low", "close", "volume")),
    ]
)


def measure(options: Options) -> Iterator[Figure]:
    yield from _writes(options)
    yield from _large_files(options)


def _writes(options: Options) -> Iterator[Figure]:
    data = synthetic(options.quick)
    folder = options.scratch / "bulk"

    def writing(kind: type[Peer], *, with_close: bool = False) -> Run:
        def run() -> float:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            peer = kind(folder)
            took = seconds(lambda: peer.write(data.frame))
            closing = seconds(peer.close)
            return took + closing if with_close else took

        return run

    runs = {Ohlcache.name: writing(Ohlcache), "closed": writing(Ohlcache, with_close=True)}
    runs |= {kind.name: writing(kind) for kind in installed()}
    best = best_by_turns(runs, options.turns(12), budget=10.0)
    rows, ours = len(data), best.pop(Ohlcache.name)
    yield figure(
        f"write of {rows:,} rows, committed", rows / ours, as_rate, target=at_least(5e6, as_rate)
    )
    yield figure("the same, and the store closed", rows / best.pop("closed"), as_rate)
    for name, took in best.items():
        yield figure(f"write of {rows:,} rows, committed", ours, as_time, (name, took))


def _large_files(options: Options) -> Iterator[Figure]:
    rows = options.import_rows
    for kind in ("parquet", "csv"):
        folder = options.scratch / "large"
        folder.mkdir(exist_ok=True)
        file = folder / f"large.{kind}"
        _write_file(file, rows)
        found = fresh_process("bulk_import", file, folder / "store")
        assert found["rows"] == rows
        what = f"import of {rows:,} rows from {kind} ({as_bytes(file.stat().st_size)})"
        limit = at_most(500e6, as_bytes)
        yield figure(f"{what}: memory above base", found["memory"], as_bytes, target=limit)
        yield figure(f"{what}: rate", rows / found["seconds"], as_rate)
        shutil.rmtree(folder)


def _write_file(file: Path, rows: int) -> None:
    """A large file of candles of one second, written a part at a time."""
    kind: Any = pa.csv.CSVWriter if file.suffix == ".csv" else pa.parquet.ParquetWriter
    with kind(file, _SCHEMA) as writer:
        for block in seconds_in_parts(rows):
            writer.write_table(to_frame(block, "arrow").cast(_SCHEMA))


def _one_import(file: str, folder: str) -> None:
    """Import a file in this process; print the rows, the seconds, and the memory it took."""
    with ohlcache.open(folder) as store:
        # The base: everything imported and opened, and something read, imported and shown.
        small = Path(folder) / f"small{Path(file).suffix}"
        _write_file(small, 1000)
        list(store.write_blocks("SMALL", "1s", read_candles(small)))
        store.candles("SMALL", "1s")
        base = _peak_memory()
        rows = 0

        def work() -> None:
            nonlocal rows
            for report in store.write_blocks(SYMBOL, "1s", read_candles(file)):
                rows += report.added

        took = seconds(work)
        memory = _peak_memory() - base
    print(json.dumps({"rows": rows, "seconds": took, "memory": memory}))


def _peak_memory() -> int:
    """The most bytes of memory that this process has held at once."""
    status = Path("/proc/self/status")
    if status.exists():  # where it is, it counts from the start of this program
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    _one_import(*sys.argv[1:])
