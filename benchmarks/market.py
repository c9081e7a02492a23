"""What the processes of a market ask a cache for: the requests of the workload, and its values."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NamedTuple

from ohlcache.cache import CacheCategory

SYMBOLS = 500
TICKERS_SET = 5  # in a second of the market, by the feed
LOADER_SECONDS = 2e-3

_ROWS, _PAGES = 300, 10
_SHARE_OLDER = 0.1
_OPENED = 1_700_000_000.0  # when the market's clock starts
_KINDS = {
    CacheCategory.MARKET_DATA_OHLCV: 70,
    CacheCategory.FEATURES: 10,
    CacheCategory.MARKET_DATA: 20,
}
_TIMEFRAMES = {60: 45, 300: 20, 900: 15, 3600: 15, 86_400: 5}  # seconds: share


@dataclass(frozen=True, slots=True)
class Terms:
    """per_second: requests of each process in a second of the market; skew: of Zipf's law."""

    per_second: int = 1000
    skew: float = 1.0


class Request(NamedTuple):
    """What is asked for; ``symbol`` is its tag."""

    category: CacheCategory
    key: str
    symbol: str


class Market:
    """The market's clock, in seconds; it goes on with the requests."""

    def __init__(self, terms: Terms) -> None:
        self._step = 1 / terms.per_second
        self._now = _OPENED

    def now(self) -> float:
        return self._now

    def go_on(self) -> None:
        self._now += self._step


class Demand:
    """The requests of one process: random, and the same for the same number."""

    def __init__(self, terms: Terms, number: int) -> None:
        self._chance = random.Random(number)
        self._symbols = _Draw(
            {f"SYM{rank}/USDT": (rank + 1) ** -terms.skew for rank in range(SYMBOLS)}
        )
        self._kinds, self._timeframes = _Draw(_KINDS), _Draw(_TIMEFRAMES)

    def symbol(self) -> str:
        found: str = self._symbols.one(self._chance)
        return found

    def request(self, now: float) -> Request:
        """The next one, at a moment of the market."""
        category, symbol = self._kinds.one(self._chance), self.symbol()
        if category == CacheCategory.MARKET_DATA:
            return Request(category, symbol, symbol)
        timeframe = self._timeframes.one(self._chance)
        end = int(now // timeframe)  # the number of the newest candle
        is_window = category == CacheCategory.MARKET_DATA_OHLCV
        if is_window and self._chance.random() < _SHARE_OLDER:
            page = min(int(self._chance.expovariate(0.5)), _PAGES - 1)
            end = end // _ROWS * _ROWS - page * _ROWS
        return Request(category, f"{symbol} {timeframe} {end}", symbol)


class _Draw:
    """One of several, by weight."""

    def __init__(self, weights: dict[Any, float]) -> None:
        self._population = list(weights)
        self._sums = list(accumulate(weights.values()))

    def one(self, chance: random.Random) -> Any:
        return chance.choices(self._population, cum_weights=self._sums)[0]


def loaders() -> dict[CacheCategory, Callable[[], Any]]:
    """What gives a value of each category, after a wait."""
    import numpy as np
    import pandas as pd

    chance = np.random.default_rng(1)
    index = pd.date_range("2023-11-14", periods=_ROWS, freq="min", tz="UTC", name="timestamp")
    prices = 100 + np.round(chance.normal(size=(_ROWS, 5)).cumsum(axis=0), 2)
    values = {
        CacheCategory.MARKET_DATA_OHLCV: pd.DataFrame(
            prices, index, ["open", "high", "low", "close", "volume"]
        ),
        CacheCategory.FEATURES: chance.normal(size=(_ROWS, 8)),
        CacheCategory.MARKET_DATA: ticker(),
    }
    return {category: _after_a_wait(value) for category, value in values.items()}


def _after_a_wait(value: Any) -> Callable[[], Any]:
    def load() -> Any:
        time.sleep(LOADER_SECONDS)
        return value

    return load


def ticker() -> dict[str, float]:
    return {"bid": 39_999.5, "ask": 40_000.5, "last": 40_000.0, "volume": 1234.5}
