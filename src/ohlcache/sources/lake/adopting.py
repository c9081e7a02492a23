"""A manifest made of the parts that are there, for a series whose own is missing or damaged.

The candles of a part are known, and nothing beyond them: that a range holds none is forgotten. Of
several parts of one partition the newest counts. The others, and those that cannot be read, are
retired.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ohlcache.candles import OHLCV, Block, Grid, Interval, IntervalSet, Timeframe
from ohlcache.candles.instant import EARLIEST, LATEST
from ohlcache.candles.interval import normalise
from ohlcache.errors import FetchError, FileFormatError, SourceUnavailable
from ohlcache.sources.files.options import Options
from ohlcache.sources.lake.layout import partitions
from ohlcache.sources.lake.manifest import Manifest, Part
from ohlcache.sources.lake.parts import digest, footer_of, is_ours, present, read
from ohlcache.sources.lake.storage import Storage, join

_ALL_TIMES = Interval(EARLIEST, LATEST)


@dataclass(frozen=True, slots=True)
class _Adopted:
    part: Part
    columns: tuple[str, ...]
    covered: IntervalSet


def adopted(
    storage: Storage, folder: str, files: dict[str, int], timeframe: Timeframe, now: int
) -> Manifest:
    """The manifest of those of ``files`` (path, bytes) that an export put; it reads them whole.

    Raises what Storage raises, PartGone for one that has gone meanwhile.
    """
    ours = [path for path in files if is_ours(path)]
    if len(ours) > 1:
        ours.sort(key=lambda path: _put_at(storage, join(folder, path)))
    newest: dict[Interval, _Adopted] = {}
    for path in ours:
        found = _adopted(storage, folder, path, files[path], timeframe)
        if found is not None:
            newest[found.part.range] = found
    counting = [newest[range_] for range_ in sorted(newest)]
    used = {one.part.path for one in counting}
    return Manifest(
        columns=tuple(dict.fromkeys((*OHLCV, *(name for one in counting for name in one.columns)))),
        covered=normalise(range_ for one in counting for range_ in one.covered),
        parts=tuple(one.part for one in counting),
        retired=tuple((path, now) for path in ours if path not in used),
    )


def _put_at(storage: Storage, path: str) -> int:
    with present(storage, path):
        return storage.modified(path) or 0


def _adopted(
    storage: Storage, folder: str, path: str, size: int, timeframe: Timeframe
) -> _Adopted | None:
    """What a file holds; None where it is damaged or lies in the wrong place."""
    try:
        block = read(storage, Part(path, _ALL_TIMES, 0, size), folder, _ALL_TIMES, Options())
    except SourceUnavailable:
        raise
    except (FetchError, FileFormatError):
        return None
    if not len(block):
        return None
    first, last = int(block.times[0]), int(block.times[-1])
    partition = next(partitions(timeframe, (Interval(first, first + 1),)))
    if partition.folder != path.rpartition("/")[0] or last >= partition.range.end:
        return None
    with present(storage, join(folder, path)):
        footer = footer_of(storage.read(join(folder, path)))
    part = Part(path, partition.range, len(block), size, footer, digest(block))
    return _Adopted(part, block.names, _known(block, timeframe))


def _known(block: Block, timeframe: Timeframe) -> IntervalSet:
    """From each candle to the next one that its timeframe allows."""
    ends = Grid(timeframe).nexts(block.times)
    breaks = np.flatnonzero(block.times[1:] > ends[:-1]) + 1
    starts = block.times[np.r_[0, breaks]].tolist()
    return normalise(zip(starts, ends[np.r_[breaks - 1, -1]].tolist(), strict=True))
