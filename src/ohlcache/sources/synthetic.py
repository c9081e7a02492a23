"""Candles that no market ever traded: realistic, endless, and the same on every call.

For trying things out, demonstrations and measurements. Their venue is always "synthetic": they can
be told from real ones wherever they are stored.

How they are made. A symbol's name and the seed give its price level, tick, lot and volatility. A
path of daily log prices (a random walk that is slowly pulled back to the level, whose volatility
has calm and stormy months) fixes the price at each midnight, UTC. Between two midnights the minutes
are a Brownian bridge. How much goes on in a minute is random, with good and bad hours and the
pulse of the trading day, and drives both the size of the move and the volume, which gives moves
their fat tails (Clark, "A subordinated stochastic process model", Econometrica 1973). Prices are
whole ticks, volumes whole lots.

A window of days has its own stretch of one Philox stream (Salmon et al., "Parallel random numbers:
as easy as 1, 2, 3", 2011), and is always made as a whole. So any range, asked for in any order and
in any parts, gives the same candles. They stay the same as long as numpy draws the same numbers.

Longer timeframes are made from these minutes; there are no shorter ones.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ohlcache.candles.block import CLOSE, HIGH, LOW, OHLCV, OPEN, VOLUME, Block, Times, Values
from ohlcache.candles.grid import Grid
from ohlcache.candles.instant import Instant, to_ms
from ohlcache.candles.resample import divides, resample
from ohlcache.candles.timeframe import DAY, MINUTE, Timeframe
from ohlcache.errors import UnsupportedBySource
from ohlcache.sources.protocol import Capabilities

VENUE = "synthetic"
OLDEST = 14_610 * DAY  # 2010-01-01
NEWEST = OLDEST + 40 * 366 * DAY  # in 2050

_MINUTES = Grid(Timeframe.parse("1m"))
_SUB_DAILY = ("1m", "3m", "5m", "10m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h")
_TIMEFRAMES = frozenset((*_SUB_DAILY, "1d", "2d", "3d", "1w", "2w", "1M", "3M", "6M", "12M"))
_PAGE = 100_000

_DAY_ROWS = DAY // MINUTE
_HOUR_ROWS = 60
_HOURS = 24
_WINDOW_DAYS = 16
_WINDOW_ROWS = _WINDOW_DAYS * _DAY_ROWS
_DAYS = (NEWEST - OLDEST) // DAY
_PATH_STREAM = (1 << 63) - 1  # the daily path draws where no window does
_RESAMPLED_AT_ONCE = 500_000 * MINUTE


def _pulse() -> Values:
    """How busy each minute of the day is: mornings in Europe and in America stand out."""
    hour = np.arange(_DAY_ROWS) / _HOUR_ROWS
    europe, america = np.exp(-(((hour - 8) / 2) ** 2)), np.exp(-(((hour - 14.5) / 2.5) ** 2))
    pulse = 0.7 + 0.5 * europe + 0.9 * america
    scaled: Values = pulse / pulse.mean()
    return scaled


_PULSE = _pulse()


class SyntheticSource:
    """An endless supply of made-up candles for any symbol, from 2010 on.

    The same seed gives the same candles, whatever is asked for first. Only minutes that are over
    are given; a longer candle that is still forming holds those it has so far.
    """

    __slots__ = ("_clock", "_seed")

    def __init__(self, seed: int = 0, *, clock: Callable[[], int] | None = None) -> None:
        """``clock`` gives ms since the epoch; None: this machine's clock."""
        self._seed = seed
        self._clock = clock

    @property
    def venue(self) -> str:
        """Always "synthetic"."""
        return VENUE

    @property
    def capabilities(self) -> Capabilities:
        """Minutes and what is made of them, from 2010 on."""
        return Capabilities(page_size=_PAGE, oldest=OLDEST, timeframes=_TIMEFRAMES)

    def now(self) -> int:
        """The clock, ms since the epoch."""
        return time.time_ns() // 1_000_000 if self._clock is None else self._clock()

    def fetch(self, symbol: str, timeframe: str, start: int, end: int) -> Block:
        """Candles that open in [start, end) and not after now.

        Raises UnsupportedBySource for a timeframe that minutes do not divide.
        """
        return _candles(symbol, timeframe, start, end, self._seed, until=self.now())


def synthetic_candles(
    symbol: str, timeframe: str, start: Instant, end: Instant, seed: int = 0
) -> Block:
    """Made-up candles that open in [start, end), as :class:`SyntheticSource` gives them.

    The range may lie anywhere from 2010 to 2049, also ahead. Raises UnsupportedBySource for a
    timeframe that minutes do not divide, InvalidArgument for times that are none.
    """
    low, high = to_ms(start, "start"), to_ms(end, "end")
    return _candles(symbol, timeframe, low, high, seed, until=NEWEST)


def _candles(symbol: str, timeframe: str, start: int, end: int, seed: int, until: int) -> Block:
    grid = Grid(Timeframe.parse(timeframe))
    if not divides(_MINUTES, grid):
        raise UnsupportedBySource(
            f"timeframe {timeframe} is not made of minutes, which is all that synthetic candles "
            "have: ask for 1m or a multiple"
        )
    until = min(until, NEWEST)
    start, end = grid.ceil(max(start, OLDEST)), grid.ceil(min(end, until))
    market = _market(symbol, seed)
    if grid == _MINUTES:
        return market.minutes(start, min(end, grid.floor(until)))
    opens = grid.points(start, end)
    step = max(1, _RESAMPLED_AT_ONCE // grid.timeframe.milliseconds)
    parts = [Block.empty()]
    for first in range(0, len(opens), step):
        last = int(opens[min(first + step, len(opens)) - 1])
        stop = min(grid.next(last), _MINUTES.floor(until))
        minutes = market.minutes(int(opens[first]), stop)
        parts.append(resample(minutes, _MINUTES, grid, incomplete="keep").block)
    return Block.concatenate(parts)


@dataclass(frozen=True, slots=True, eq=False)
class _Market:
    """What a symbol is like, and its path of daily log prices and volatilities."""

    key: tuple[int, int]
    level: float
    tick_places: int
    lot_places: int
    typical_lots: float
    log_prices: Values  # (days + 1,), at midnight
    volatilities: Values  # (days,), of a minute's return

    def minutes(self, start: int, end: int) -> Block:
        """Minutes that open in [start, end), both on the minute and within all that there is."""
        times: Times = np.arange(start, end, MINUTE, dtype=np.int64)
        values = np.empty((len(OHLCV), len(times)))
        first, stop = (start - OLDEST) // MINUTE, (end - OLDEST) // MINUTE
        for index in range(first // _WINDOW_ROWS, -(-stop // _WINDOW_ROWS) if len(times) else 0):
            offset = index * _WINDOW_ROWS
            low, high = max(first, offset), min(stop, offset + _WINDOW_ROWS)
            window = _window(self, index)
            values[:, low - first : high - first] = window[:, low - offset : high - offset]
        return Block(times, values)


@lru_cache(maxsize=32)
def _market(symbol: str, seed: int) -> _Market:
    digest = hashlib.blake2b(f"{seed}\0{symbol}".encode(), digest_size=16).digest()
    key = (int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:], "big"))
    random = _stream(key, _PATH_STREAM)
    level = 10 ** random.uniform(-0.5, 4.7)
    volatility = random.uniform(0.02, 0.05)  # of a day
    turnover = 10 ** random.uniform(4, 6)  # of a minute, in quote currency
    tick_places = 5 - math.floor(math.log10(level))
    lot_places = 5 - math.floor(math.log10(turnover / level))
    storms = random.standard_normal(_DAYS).tolist()
    shocks = (random.standard_normal(_DAYS) * np.sqrt(random.standard_exponential(_DAYS))).tolist()
    log_price, storm = 0.0, 0.0
    log_prices, volatilities = [log_price], []
    for storm_shock, shock in zip(storms, shocks, strict=True):
        storm = 0.97 * storm + 0.1 * storm_shock
        today = volatility * math.exp(storm)
        log_price = 0.9995 * log_price + today * shock
        log_prices.append(log_price)
        volatilities.append(today / math.sqrt(_DAY_ROWS))
    return _Market(
        key,
        level,
        tick_places,
        lot_places,
        turnover / level * 10.0**lot_places,
        np.array(log_prices),
        np.array(volatilities),
    )


def _stream(key: tuple[int, int], number: int) -> np.random.Generator:
    """The random numbers of a window: 2**128 from its own place in the counter on."""
    counter = np.array([0, 0, number, 0], np.uint64)
    return np.random.Generator(np.random.Philox(counter=counter, key=np.array(key, np.uint64)))


@lru_cache(maxsize=4)
def _window(market: _Market, index: int) -> Values:
    """One window of days of a market, shape (5, rows); it must not be written to."""
    shape = (_WINDOW_DAYS, _DAY_ROWS)
    random = _stream(market.key, index)
    day = slice(index * _WINDOW_DAYS, (index + 1) * _WINDOW_DAYS)
    midnight, next_midnight = (
        market.log_prices[day, None],
        market.log_prices[day.start + 1 : day.stop + 1, None],
    )
    # what goes on: a volatility for each minute, and how many of its trades come about
    mood = 0.4 * random.standard_normal((_WINDOW_DAYS, _HOURS + 1, 1))
    within_hour = np.arange(_HOUR_ROWS) / _HOUR_ROWS
    moods = (mood[:, :-1] + (mood[:, 1:] - mood[:, :-1]) * within_hour).reshape(shape)
    business = np.exp(moods) * _PULSE
    activity = random.standard_exponential(shape)
    spread = np.sqrt(activity) * business * market.volatilities[day, None]
    # the bridge from midnight to midnight
    walk = np.cumsum(random.standard_normal(shape) * spread, axis=1)
    walk += (next_midnight - midnight - walk[:, -1:]) * (np.arange(1, _DAY_ROWS + 1) / _DAY_ROWS)
    log_price = midnight + walk
    log_price[:, -1:] = next_midnight
    ticks = market.level * 10.0**market.tick_places
    price = np.exp(log_price) * ticks
    close = _at_least_one(price)
    before = np.empty(shape)
    before[:, 1:], before[:, :1] = close[:, :-1], _at_least_one(np.exp(midnight) * ticks)
    # opens are near the close before, wicks a part of the move that the minute allows
    spread *= price
    above, below = random.standard_exponential((2, *shape))
    jump = (2 * random.random(shape) - 1) ** 2
    jump *= np.copysign(0.05 * spread, 0.5 - random.random(shape))
    open_ = _at_least_one(before + jump)
    window = np.empty((len(OHLCV), *shape))
    window[OPEN], window[CLOSE] = open_, close
    window[HIGH] = np.maximum(open_, close) + np.rint(0.4 * spread * above)
    window[LOW] = _at_least_one(np.minimum(open_, close) - np.rint(0.4 * spread * below))
    window[VOLUME] = _at_least_one(
        market.typical_lots * activity * business * (above + below + 0.2) / 2
    )
    # whole numbers over a power of ten are the decimals that a venue would print
    window[:VOLUME] = _decimals(window[:VOLUME], market.tick_places)
    window[VOLUME] = _decimals(window[VOLUME], market.lot_places)
    return window.reshape(len(OHLCV), _WINDOW_ROWS)


def _at_least_one(ticks: Values) -> Values:
    return np.maximum(np.rint(ticks), 1.0)


def _decimals(whole: Values, places: int) -> Values:
    return whole / 10.0**places if places > 0 else whole * 10.0**-places
