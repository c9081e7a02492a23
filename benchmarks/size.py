"""How much disk do the same candles take?

The whole store counts, with indexes and what else it keeps, after it was closed, in bytes that are
really allocated (a sparse file counts for what it holds).
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.common import Figure, Options, as_bytes, figure, ratio_at_most
from benchmarks.datasets import Dataset, real, synthetic
from benchmarks.peers import ArcticDB, Ohlcache, Parquet, disk_size, installed, stored

TITLE = "Size on disk"


def measure(options: Options) -> Iterator[Figure]:
    for data in (synthetic(options.quick), *real()):
        yield from _sizes(options, data, is_real=data in real())


def _sizes(options: Options, data: Dataset, *, is_real: bool) -> Iterator[Figure]:
    targets = {ArcticDB.name: ratio_at_most(0.22)}
    if is_real:
        targets[Parquet.name] = ratio_at_most(0.36)
    folder = options.scratch / f"size {data.name}".replace("/", " ")
    stores = stored([Ohlcache, *installed()], folder, data.frame)
    for store in stores.values():
        store.close()
    ours = disk_size(stores.pop(Ohlcache.name))
    raw = data.frame.shape[1] * 8 * len(data) + 8 * len(data)
    yield figure(data.name, ours, as_bytes, ("raw numbers", raw))
    for name, store in stores.items():
        yield figure(data.name, ours, as_bytes, (name, disk_size(store)), targets.get(name))
