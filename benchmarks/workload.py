"""How does the cache serve a market: several processes, default settings and a Redis?

8 processes (bots, charts) share a Redis on this machine. Each asks 1,000 times in a second of the
market (and 200 times: "sparse"), and the market's clock goes on with the requests: the cache runs
by it (TTLs included), and processes wait for each other after every minute of it, so that rates do
not depend on the machine.

- Symbols: 500, by Zipf's law: number n is asked for with weight 1 / n (half the skew: 1 / sqrt n).
- 70% candle windows: frames of 300 x 5, 1m 45%, 5m 20%, 15m 15%, 1h 15%, 1d 5%; 90% the newest,
  whose key moves on with each candle, 10% one of ten older pages, nearer ones more often.
- 10% features: arrays of 300 x 8 of the newest window. 20% tickers: small dicts.
- The first process also sets 5 tickers a second and invalidates a symbol's tag every minute.

All with ``get_or_load``; a loader takes 2 ms of real time. The first two minutes do not count.

What these imply stands beside the rates: those of a cache without limits of size, of the same TTLs,
in which a change is known at once. A new window has to miss once in each process; one of the eight
loads it and seven find it in Redis, so that of these misses no cache finds more than 87.5%. A cache
of limited memory misses more, and finds more of it in Redis.
"""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import repeat
from threading import Barrier

from benchmarks.common import Figure, Options, as_time, at_least, at_most, figure
from benchmarks.market import TICKERS_SET, Demand, Market, Request, Terms, loaders, ticker
from benchmarks.redis_bench_server import redis_server
from ohlcache.cache import CacheCategory, CacheManager, Clock

TITLE = "A market-data workload"

_PROCESSES = 8
_FIRST_MINUTES, _MINUTES, _QUICK_MINUTES = 2, 4, 1
_PATIENCE = 300.0


def measure(options: Options) -> Iterator[Figure]:
    minutes = _QUICK_MINUTES if options.quick else _MINUTES
    for name, terms in (("", Terms()), ("sparse, ", Terms(per_second=200))):
        tally = _traded(options, terms, minutes)
        yield from _rates(name, tally, _of_no_limits(terms, minutes))
        yield from _times(name, tally)
    terms = Terms(skew=0.5)
    tally = _traded(options, terms, minutes)
    yield from _rates("half the skew, ", tally, _of_no_limits(terms, minutes))


def as_percent(value: float) -> str:
    return f"{value:.1%}"


def as_per_second(value: float) -> str:
    return f"{value:,.0f} / s"


# -- what was counted -----------------------------------------------------------------------------


@dataclass(slots=True)
class Tally:
    """Answers by place, and the seconds that they took together.

    Places: ``l1``; ``l2``; ``loader``, of this process or of another that was waited for.
    """

    counts: Counter[str] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)

    def add(self, place: str, took: float) -> None:
        self.counts[place] += 1
        self.seconds[place] += took

    def merge(self, other: Tally) -> None:
        self.counts += other.counts
        self.seconds += other.seconds

    def mean(self, place: str) -> float:
        return self.seconds[place] / max(1, self.counts[place])

    @property
    def l1_rate(self) -> float:
        return self.counts["l1"] / self.counts.total()

    @property
    def l2_rate(self) -> float:
        """Of what memory did not have."""
        return self.counts["l2"] / (self.counts["l2"] + self.counts["loader"])


def _rates(name: str, tally: Tally, ideal: Tally) -> Iterator[Figure]:
    for tier, ours, possible, bound in (
        ("L1", tally.l1_rate, ideal.l1_rate, 0.92),
        ("L2", tally.l2_rate, ideal.l2_rate, 0.85),
    ):
        target = at_least(bound, as_percent)
        beside = ("no limits", possible)
        yield figure(f"{name}{tier} hit rate", ours, as_percent, beside, target)


def _times(name: str, tally: Tally) -> Iterator[Figure]:
    """Rates are 1 / mean: what a process does of this kind while all eight are at work."""
    for tier, longest, fewest in (("l1", 0.3e-3, 15_000), ("l2", 4e-3, 2_000)):
        mean, title = tally.mean(tier), f"{name}{tier.upper()}"
        yield figure(f"{title} hit, mean", mean, as_time, target=at_most(longest, as_time))
        target = at_least(fewest, as_per_second)
        yield figure(f"{title} hits of a process", 1 / mean, as_per_second, target=target)
    yield figure(f"{name}answer of a loader, mean", tally.mean("loader"), as_time)


# -- the processes --------------------------------------------------------------------------------


def _traded(options: Options, terms: Terms, minutes: int) -> Tally:
    """What all processes count when they trade on an empty Redis."""
    spawning = multiprocessing.get_context("spawn")
    barrier = spawning.Barrier(_PROCESSES)
    total = Tally()
    with (
        redis_server(options.scratch) as url,
        ProcessPoolExecutor(_PROCESSES, spawning, _join, (barrier,)) as pool,
    ):
        numbers = range(_PROCESSES)
        for tally in pool.map(_trade, numbers, repeat(url), repeat(terms), repeat(minutes)):
            total.merge(tally)
    return total


_gate: list[Barrier] = []


def _join(barrier: Barrier) -> None:
    _gate.append(barrier)


def _trade(number: int, url: str, terms: Terms, minutes: int) -> Tally:
    """One process: trade for so many minutes of the market."""
    market = Market(terms)
    settings = {"cache": {"l2": {"redis_url": url}}}
    with CacheManager(settings, clock=Clock(market.now, market.now)) as cache:
        trader = Trader(cache, market, terms, number)
        for minute in range(_FIRST_MINUTES + minutes):
            if minute == _FIRST_MINUTES:
                trader.tally = Tally()
            _gate[0].wait(_PATIENCE)
            trader.minute()
        _gate[0].wait(_PATIENCE)
    return trader.tally


class Trader:
    """A process of the market; number 0 is the feed as well."""

    def __init__(self, cache: CacheManager, market: Market, terms: Terms, number: int) -> None:
        self.tally = Tally()
        self._cache = cache
        self._market = market
        self._per_second = terms.per_second
        self._demand = Demand(terms, number)
        self._is_feed = number == 0
        self._loaders = loaders()

    def minute(self) -> None:
        """A minute of the market."""
        set_every = self._per_second // TICKERS_SET
        for turn in range(60 * self._per_second):
            self._market.go_on()
            self._ask(self._demand.request(self._market.now()))
            if self._is_feed and turn % set_every == 0:
                self._cache.set(self._demand.symbol(), ticker(), CacheCategory.MARKET_DATA)
        if self._is_feed:
            self._cache.invalidate_tag(self._demand.symbol())

    def _ask(self, request: Request) -> None:
        category, key, symbol = request
        load, counters = self._loaders[category], self._cache.shelf(category).counters
        missed_l1, missed_l2 = counters["l1.misses"], counters["l2.misses"]
        began = time.perf_counter()
        self._cache.get_or_load(key, load, category, tags=(symbol,))
        took = time.perf_counter() - began
        if counters["l1.misses"] == missed_l1:
            self.tally.add("l1", took)
        elif counters["l2.misses"] == missed_l2:
            self.tally.add("l2", took)
        else:
            self.tally.add("loader", took)


# -- what the workload implies --------------------------------------------------------------------

_TTL = {
    CacheCategory.MARKET_DATA_OHLCV: 300,
    CacheCategory.FEATURES: 300,
    CacheCategory.MARKET_DATA: 30,
}


class _NoLimits:
    """Caches of all processes that hold whatever is still valid, and the shared one.

    A value is its state, a number that grows with every change of the key, and its end.
    """

    def __init__(self) -> None:
        self.tally = Tally()
        self._memory: list[dict[Request, tuple[int, float]]] = [{} for _ in range(_PROCESSES)]
        self._shared: dict[Request, tuple[int, float]] = {}
        self._changes: Counter[Request | str] = Counter()

    def ask(self, process: int, request: Request, now: float) -> None:
        state = self._changes[request] + self._changes[request.symbol]
        memory = self._memory[process]
        if _is_valid(memory.get(request), state, now):
            self.tally.add("l1", 0.0)
        elif _is_valid(self._shared.get(request), state, now):
            self.tally.add("l2", 0.0)
            memory[request] = self._shared[request]
        else:
            self.tally.add("loader", 0.0)
            memory[request] = self._shared[request] = state, now + _TTL[request.category]

    def set_ticker(self, symbol: str, now: float) -> None:
        request = Request(CacheCategory.MARKET_DATA, symbol, symbol)
        self._changes[request] += 1
        state = self._changes[request] + self._changes[symbol]
        self._memory[0][request] = self._shared[request] = state, now + _TTL[request.category]

    def invalidate(self, symbol: str) -> None:
        self._changes[symbol] += 1


def _is_valid(held: tuple[int, float] | None, state: int, now: float) -> bool:
    return held is not None and held[0] == state and held[1] > now


def _of_no_limits(terms: Terms, minutes: int) -> Tally:
    """The same requests as those of the processes."""
    market, cache = Market(terms), _NoLimits()
    demands = [Demand(terms, number) for number in range(_PROCESSES)]
    feed = demands[0]
    set_every = terms.per_second // TICKERS_SET
    for minute in range(_FIRST_MINUTES + minutes):
        if minute == _FIRST_MINUTES:
            cache.tally = Tally()
        for turn in range(60 * terms.per_second):
            market.go_on()
            now = market.now()
            for process, demand in enumerate(demands):
                cache.ask(process, demand.request(now), now)
            if turn % set_every == 0:
                cache.set_ticker(feed.symbol(), now)
        cache.invalidate(feed.symbol())
    return cache.tally
