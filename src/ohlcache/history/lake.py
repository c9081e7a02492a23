"""A stored series into a data lake."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ohlcache.candles import Block, Interval, IntervalSet
from ohlcache.candles.interval import intersection
from ohlcache.history.holder import Holder
from ohlcache.history.reports import SeriesKey
from ohlcache.sources.lake import LakeExport, Storage, export_series


def export_lake(
    holder: Holder,
    key: SeriesKey,
    url: str | Path,
    range_: Interval,
    storage_options: Mapping[str, Any] | None,
    now: int,
) -> LakeExport:
    """Bring what is stored of a series in a range into the lake at ``url``; ``now`` is ms.

    Raises what :func:`ohlcache.sources.lake.export_series` and ``Storage`` raise, StoreErrors.
    """

    def known(start: int, end: int) -> tuple[Block, IntervalSet]:
        loaded = holder.load(key, start, end)
        if loaded is None:  # removed meanwhile: nothing is known of it any more
            return Block.empty(), ()
        held, rows = loaded
        wanted = intersection([Interval(start, end)], [range_])
        return rows.between(*range_), intersection(held.coverage, wanted)

    loaded = holder.load(key, range_.start, range_.start)
    covered = intersection(loaded[0].coverage, [range_]) if loaded else ()
    storage = Storage(url, storage_options)
    return export_series(storage, key.venue, key.symbol, key.timeframe, covered, known, now)
