"""The folders of a lake: Hive's ``key=value``, by venue, symbol, timeframe, year and month.

    venue=binance/symbol=BTC%2FUSDT/timeframe=1m/year=2024/month=01/part-….parquet
    venue=binance/symbol=BTC%2FUSDT/timeframe=1h/year=2024/part-….parquet

Timeframes below an hour are cut by month, all others by year (UTC, by open time). Values are
percent-encoded, which every reader of Hive layouts undoes. The ``M`` of months is encoded too,
since some file systems do not tell it from the ``m`` of minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import quote, unquote

import numpy as np

from ohlcache.candles import Interval, IntervalSet, Timeframe
from ohlcache.candles.timeframe import HOUR
from ohlcache.sources.lake.storage import join

_KEYS = {
    "venue": ("venue", "exchange", "market"),
    "symbol": ("symbol", "pair", "ticker", "instrument"),
    "timeframe": ("timeframe", "interval", "period", "resolution", "tf"),
}


class Level(NamedTuple):
    """A folder's name in two: ``role`` is venue, symbol or timeframe, None for any other key."""

    role: str | None
    value: str


class Partition(NamedTuple):
    """A folder of one part, below that of its series, and the open times that belong there."""

    folder: str
    range: Interval


def series_folder(venue: str, symbol: str, timeframe: Timeframe) -> str:
    """Where we put a series."""
    return join(symbol_folder(venue, symbol), f"timeframe={str(timeframe).replace('M', '%4D')}")


def symbol_folder(venue: str, symbol: str) -> str:
    """Where we put the series of a symbol."""
    return join(f"venue={quote(venue, safe='')}", f"symbol={quote(symbol, safe='')}")


def level(folder: str) -> Level | None:
    """What the name of a folder says, or None where it is no ``key=value``."""
    key, separator, value = folder.partition("=")
    if not separator:
        return None
    role = next((role for role, names in _KEYS.items() if key.lower() in names), None)
    return Level(role, unquote(value))


def partitions(timeframe: Timeframe, covered: IntervalSet) -> Iterator[Partition]:
    """Every partition that a set of ranges has a share in, in order of time."""
    unit = "M" if timeframe.milliseconds < HOUR else "Y"
    seen: set[int] = set()
    for start, end in covered:
        first, last = np.array([start, end - 1]).astype("M8[ms]").astype(f"M8[{unit}]")
        for at in range(int(first.astype(int)), int(last.astype(int)) + 1):
            if at not in seen:
                seen.add(at)
                yield _partition(unit, at)


def _partition(unit: str, at: int) -> Partition:
    edges = np.array([at, at + 1]).astype(f"M8[{unit}]")
    start, end = edges.astype("M8[ms]").astype(np.int64).tolist()
    year, _, month = str(edges[0]).partition("-")
    folder = join(f"year={year}", f"month={month}" if month else "")
    return Partition(folder, Interval(start, end))
