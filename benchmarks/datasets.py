"""The candles that are measured with: a synthetic series of three years, and real ones.

The real ones lie beside the repository (``../shared/data/candles``) and are left out where they
are absent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial

import pandas as pd

from benchmarks.common import ROOT
from ohlcache.candles import Block, to_frame
from ohlcache.sources.files import read_candles
from ohlcache.sources.synthetic import NEWEST, OLDEST, synthetic_candles

SYMBOL, TIMEFRAME = "BTC/USDT", "1m"
MINUTE, SECOND = 60_000, 1_000

_REAL_FOLDER = ROOT.parent / "shared" / "data" / "candles"
_REAL = {
    "real BTC/USD 2013 (Bitfinex)": (
        "bitfinex_BTCUSD_1m_2013.csv.gz",
        "timestamp,open,close,high,low,volume",
    ),
    "real BTC perpetual 2022-01": ("btc-perp-20211231-20220201_1m.csv", None),
}
_FIRST = pd.Timestamp("2020-01-01", tz="UTC")
_FULL, _QUICK = 1_576_800, 600_000
_PART = 1_000_000


@dataclass(frozen=True, slots=True)
class Span:
    """A range [start, end) to read; None leaves an end open."""

    name: str
    start: pd.Timestamp | None = None
    end: pd.Timestamp | None = None


@dataclass(frozen=True, slots=True)
class Dataset:
    """One-minute candles as users hold them, and the ranges to read of them."""

    name: str
    frame: pd.DataFrame
    spans: tuple[Span, ...]

    def __len__(self) -> int:
        return len(self.frame)


_UTC = partial(pd.Timestamp, tz="UTC")
WHOLE = Span("whole series")
YEAR = Span("one year", _UTC("2020-02-01"), _UTC("2021-02-01"))
MONTH = Span("one month", _UTC("2020-11-01"), _UTC("2020-12-01"))


@cache
def synthetic(quick: bool = False) -> Dataset:
    """1,576,800 made-up but realistic minutes, or fewer."""
    rows = _QUICK if quick else _FULL
    return Dataset(f"synthetic, {rows:,} rows", minutes(rows), (WHOLE, YEAR, MONTH))


def minutes(rows: int, first: pd.Timestamp = _FIRST, symbol: str = SYMBOL) -> pd.DataFrame:
    """So many made-up minutes."""
    start = first.value // 1_000_000
    frame: pd.DataFrame = to_frame(
        synthetic_candles(symbol, TIMEFRAME, start, start + rows * MINUTE)
    )
    return frame


@cache
def real() -> tuple[Dataset, ...]:
    """The real series that are there."""
    return tuple(
        _real(name, file, columns)
        for name, (file, columns) in _REAL.items()
        if (_REAL_FOLDER / file).exists()
    )


def _real(name: str, file: str, columns: str | None) -> Dataset:
    block = Block.concatenate(list(read_candles(_REAL_FOLDER / file, columns=columns)))
    frame = to_frame(block)
    middle = frame.index[len(frame) // 2].normalize()
    spans = (WHOLE, Span("one week", middle, middle + pd.Timedelta(days=7)))
    return Dataset(f"{name}, {len(frame):,} rows", frame, spans)


def seconds_in_parts(rows: int) -> Iterator[Block]:
    """So many candles of one second, a million at a time: made-up minutes that go by faster."""
    longest = (NEWEST - OLDEST) // MINUTE // _PART
    for number, at in enumerate(range(0, rows, _PART)):
        size = min(_PART, rows - at)
        start = OLDEST + (number % longest) * _PART * MINUTE
        block = synthetic_candles(SYMBOL, TIMEFRAME, start, start + size * MINUTE)
        times = (block.times - start) // (MINUTE // SECOND) + OLDEST + at * SECOND
        yield Block(times, block.values)
