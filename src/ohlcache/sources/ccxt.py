"""Any exchange that ccxt knows as a source of candles.

Time. The exchange's clock decides which candles are closed. It is asked for once in some minutes,
and the moment its answer arrived counts as the moment it was sent, so our idea of it can only be
late, never early. Exchanges that do not tell the time have that of this machine. Where one does
but cannot be reached, this machine's clock stands in, so that what is stored can still be read;
candles are fetched only after the exchange has told its time.

Threads. A synchronous ccxt object must not be used by two threads at once. Each request therefore
has one of a few copies, which share the markets, the connections and the rate limiter.

Depth. Some exchanges give only their newest candles, whatever they are asked for. An absent candle
must not be taken for one that the venue does not hold, so

- where it is known how far back an exchange reaches, older ranges are refused;
- otherwise, an answer that begins later than asked is checked. A hole is real when the exchange
  also gives a candle from before it. Where it gives none, a longer timeframe is asked for that
  time, whose candles reach further back: if they have volume there, the history of the short ones
  is cut off and the range is refused; if not, nothing was traded yet.

What remains open is an exchange that answers nothing for old ranges of any timeframe.
"""

from __future__ import annotations

import copy
import difflib
import inspect
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ohlcache.candles.grid import Grid
from ohlcache.candles.instant import to_iso
from ohlcache.candles.interval import Interval, IntervalSet, covers, union
from ohlcache.candles.timeframe import MINUTE, Timeframe
from ohlcache.errors import (
    InvalidArgument,
    MissingExtra,
    SourceError,
    SourceUnavailable,
    UnknownSymbol,
    UnknownTimeframe,
    UnsupportedBySource,
)
from ohlcache.sources.ccxt_market import market_properties
from ohlcache.sources.protocol import Capabilities

Rows = list[list[Any]]

_PAGE = 500  # where ccxt does not say how many candles an answer has at most
_CLOCK_IS_GOOD_FOR = 5 * MINUTE
_CLOCK_RETRY_AFTER = MINUTE
_CLOCK_TIMEOUT = 3_000
_LEAD = 10  # candles before a hole among which one is looked for that proves it real

# How many of the newest candles there are at all, a little less than documented: exchanges that
# keep no more (kraken, hyperliquid) or whose interface cannot ask for older ones.
_NEWEST_ONLY = {
    "bithumb": 200,
    "bittrade": 1_990,
    "gemini": 360,
    "hyperliquid": 4_990,
    "kraken": 700,
    "modetrade": 990,
    "p2b": 490,
    "woofipro": 990,
}
# What ccxt's parsers stumble over when an answer is not what they expect.
_UNREADABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class CcxtSource:
    """Candles of an exchange, by its ccxt name or as a synchronous ccxt object.

    ``options`` are those of ccxt for an exchange given by name: ``CcxtSource("binance",
    timeout=20_000, options={"defaultType": "swap"})``. An object brings its own.
    """

    def __init__(
        self,
        exchange: str | Any,
        *,
        concurrency: int = 4,
        clock: Callable[[], int] | None = None,
        **options: Any,
    ) -> None:
        """``clock`` gives this machine's time, ms since the epoch, steadily rising.

        Raises MissingExtra without ccxt, InvalidArgument for an exchange that ccxt does not know,
        UnsupportedBySource for one that has no candles.
        """
        if concurrency < 1:
            raise InvalidArgument(f"concurrency is {concurrency}: give 1 or more")
        self._ccxt = _import_ccxt()
        self._is_own = isinstance(exchange, str)
        self._exchange = _make_exchange(self._ccxt, exchange, options)
        self._timeframes = _timeframes(self._exchange)
        self._takes_until = "params.until" in (type(self._exchange).fetch_ohlcv.__doc__ or "")
        self._depth = _NEWEST_ONLY.get(self._exchange.id)
        self._wall_clock = clock or (lambda: time.time_ns() // 1_000_000)
        self._steady_clock = clock or _steady_clock()
        self._offset: int | None = None  # of the exchange's clock from the steady one
        self._ask_time_at = 0
        self._guessed = 0  # the latest time given out that the exchange had not confirmed
        self._clock_lock = threading.Lock()
        self._markets_lock = threading.Lock()
        self._throttle = _Throttle(self._exchange.rateLimit)
        self._timekeeper = _copy(self._exchange, self._throttle)
        self._timekeeper.timeout = min(self._exchange.timeout, _CLOCK_TIMEOUT)
        self._places = threading.BoundedSemaphore(concurrency)
        self._idle: deque[Any] = deque()
        self._empty: dict[tuple[str, str], IntervalSet] = {}
        self._capabilities = Capabilities(
            page_size=self._depth or _default_limit(self._exchange),
            requests_per_second=1000 / max(self._exchange.rateLimit, 1),
            concurrency=concurrency,
            timeframes=frozenset(self._timeframes),
        )

    @property
    def venue(self) -> str:
        """The exchange's name in ccxt; with ``-sandbox`` for its test system."""
        is_sandbox = getattr(self._exchange, "isSandboxModeEnabled", False)
        return f"{self._exchange.id}-sandbox" if is_sandbox else str(self._exchange.id)

    @property
    def capabilities(self) -> Capabilities:
        """Page size and rate limit as ccxt tells them, and the timeframes of the exchange."""
        return self._capabilities

    def now(self) -> int:
        """The exchange's clock, ms since the epoch; this machine's where it tells no time."""
        if not self._exchange.has.get("fetchTime"):
            return self._wall_clock()
        if self._steady_clock() >= self._ask_time_at:
            self._ask_time(must=False)
        offset = self._offset
        if offset is None:
            self._guessed = max(self._guessed, self._wall_clock())
            return self._wall_clock()
        return self._steady_clock() + offset

    def fetch(self, symbol: str, timeframe: str, start: int, end: int) -> Rows:
        """ccxt rows [ms, open, high, low, close, volume] from ``start`` on, ascending.

        Raises SourceUnavailable for a failing network, an overloaded exchange or a rate limit;
        UnknownSymbol; UnsupportedBySource for a timeframe, or a range older than the exchange's
        history; SourceError for whatever else the exchange refuses.
        """
        unit = self._timeframes.get(str(Timeframe.parse(timeframe)))
        if unit is None:
            raise UnsupportedBySource(
                f"timeframe {timeframe} is not offered by {self.venue}: use one of "
                f"{', '.join(sorted(self._timeframes))}"
            )
        self._load_markets()
        self._require_time()
        grid = Grid(Timeframe.parse(timeframe))
        self._refuse_lost_history(symbol, grid, start)
        if covers(self._empty.get((symbol, unit), ()), start, end):
            return []
        asked = start
        while asked < end:
            # A market may have smaller pages than the exchange's usual ones, and an empty page
            # does not speak for what follows it.
            limit = self._limit(symbol)
            page_end = min(end, grid.shifted(asked, limit))
            count = grid.count(asked, page_end)
            rows = self._ask(symbol, unit, asked, self._depth or count, until=page_end)
            if self._depth is None and not (rows and rows[0][0] == asked):
                rows = self._verify_hole(symbol, unit, grid, Interval(asked, page_end), rows)
            if rows:
                return rows
            asked = page_end
        return []

    def properties(self, symbol: str) -> dict[str, Any]:
        """Steps of price and amount, base and quote, listing and expiry, as far as ccxt tells.

        Raises SourceUnavailable for a failing network, UnknownSymbol.
        """
        self._load_markets()
        with self._translated(symbol):
            market = self._exchange.market(symbol)
            return market_properties(market, self._exchange.precisionMode, self.venue)

    def close(self) -> None:
        """Drop all connections, except those of an exchange object that was given."""
        while self._idle:
            self._idle.pop().close()
        self._timekeeper.close()
        if self._is_own:
            self._exchange.close()

    # -- requests -------------------------------------------------------------------------------

    def _ask(
        self, symbol: str, unit: str, since: int, count: int, *, until: int | None = None
    ) -> Rows:
        """One answer of up to ``count`` rows that open at or after ``since``."""
        params = {"until": until - 1} if self._takes_until and until is not None else {}
        with self._borrowed() as exchange, self._translated(symbol):
            rows: Rows = exchange.fetch_ohlcv(symbol, unit, since, max(count, 1), params)
            return [row for row in rows if row[0] >= since]

    def _limit(self, symbol: str) -> int:
        with self._translated(symbol):
            known = self._exchange.feature_value(symbol, "fetchOHLCV", "limit", None)
        return max(int(known or _PAGE), self._depth or 0)

    def _load_markets(self) -> None:
        with self._markets_lock, self._translated():
            self._exchange.load_markets()

    @contextmanager
    def _borrowed(self) -> Iterator[Any]:
        """A copy of the exchange that no other thread uses meanwhile."""
        with self._places:
            try:
                exchange = self._idle.pop()
            except IndexError:
                exchange = _copy(self._exchange, self._throttle)
            try:
                yield exchange
            finally:
                self._idle.append(exchange)

    @contextmanager
    def _translated(self, symbol: str | None = None) -> Iterator[None]:
        """ccxt's errors as ours."""
        ccxt = self._ccxt
        try:
            yield
        except ccxt.BadSymbol as error:
            raise UnknownSymbol(
                f"symbol {symbol!r} is not known at {self.venue}: "
                f"{self._similar_symbols(symbol) or 'symbols are written as in BTC/USDT'}"
            ) from error
        except ccxt.NotSupported as error:
            raise UnsupportedBySource(self._explain(error)) from error
        except ccxt.OperationFailed as error:
            raise SourceUnavailable(self._explain(error)) from error
        except ccxt.BaseError as error:
            raise SourceError(self._explain(error)) from error
        except _UNREADABLE as error:
            raise SourceError(
                f"{self.venue} gave an answer that ccxt cannot read: {_one_line(error)}"
            ) from error

    def _explain(self, error: BaseException) -> str:
        text = _one_line(error)
        return text if text.startswith(self._exchange.id) else f"{self.venue}: {text}"

    def _similar_symbols(self, symbol: str | None) -> str:
        similar = difflib.get_close_matches(symbol or "", self._exchange.symbols or ())
        return f"did you mean {' or '.join(similar)}?" if similar else ""

    # -- time -----------------------------------------------------------------------------------

    def _ask_time(self, *, must: bool) -> None:
        """Measure the exchange's clock; where that fails keep the last measure, if there is one."""
        with self._clock_lock:
            is_needed = self._offset is None if must else self._steady_clock() >= self._ask_time_at
            if not is_needed:
                return
            try:
                with self._translated():
                    told = int(self._timekeeper.fetch_time())
            except SourceError:
                self._ask_time_at = self._steady_clock() + _CLOCK_RETRY_AFTER
                if must:
                    raise
                return
            now = self._steady_clock()
            self._offset, self._ask_time_at = told - now, now + _CLOCK_IS_GOOD_FOR

    def _require_time(self) -> None:
        """Refuse to fetch on a guess about the exchange's clock that turned out to be early.

        The caller may have taken that time to decide which candles are closed.
        """
        if not self._exchange.has.get("fetchTime"):
            return
        if self._offset is None:
            self._ask_time(must=True)
        guessed, self._guessed = self._guessed, 0
        ahead = guessed - self.now()
        if ahead > 0:
            raise SourceError(
                f"this machine's clock is {ahead / 1000:.1f} s ahead of {self.venue}'s, which was "
                "not known before: ask again, it is known now"
            )

    # -- depth ----------------------------------------------------------------------------------

    def _refuse_lost_history(self, symbol: str, grid: Grid, start: int) -> None:
        if self._depth is None:
            return
        oldest = grid.shifted(self.now(), 1 - self._depth)
        if start < oldest:
            raise self._lost_history(symbol, grid, oldest)

    def _verify_hole(self, symbol: str, unit: str, grid: Grid, page: Interval, rows: Rows) -> Rows:
        """The rows of a page that begins with a hole, once it is sure that the hole is real.

        Raises UnsupportedBySource where the exchange's history of the timeframe does not reach
        back to it. What is found to be empty is remembered: years before a listing cost one
        question, and the hole itself need not be asked for again.
        """
        limit = self._limit(symbol)
        hole_start = page.start
        if grid.count(page.start, _first(rows, page.end)) < _LEAD:
            hole_start = grid.shifted(page.start, -_LEAD)
            count = min(limit, grid.count(hole_start, page.end))
            wider = self._ask(symbol, unit, hole_start, count, until=page.end)
            rows = [row for row in wider if row[0] >= page.start]
            if len(rows) < len(wider):  # there is a candle before the hole
                self._remember_empty(symbol, unit, page.start, _first(rows, page.start))
                return rows
        hole = Interval(hole_start, _first(rows, page.end))
        empty_until = _first(rows, page.start)
        longer = self._longest_within(hole, grid)
        if longer is not None:
            name, step = longer
            longer_rows = self._ask(symbol, name, hole.start, limit)
            if any(row[0] + step <= hole.end and row[5] for row in longer_rows):
                raise self._lost_history(symbol, grid, hole.end)
            looked_until = min(hole.start + limit * step, self.now() - 2 * step)
            empty_until = max(empty_until, _first(longer_rows, looked_until))
        self._remember_empty(symbol, unit, page.start, empty_until)
        return rows

    def _remember_empty(self, symbol: str, unit: str, start: int, end: int) -> None:
        known = self._empty.get((symbol, unit), ())
        self._empty[symbol, unit] = union(known, ((start, end),))

    def _longest_within(self, hole: Interval, grid: Grid) -> tuple[str, int] | None:
        """The exchange's longest timeframe (its name, its ms) that has a candle within a hole."""
        found = None
        longest = grid.timeframe.milliseconds
        for text, name in self._timeframes.items():
            longer = Timeframe.parse(text)
            candle = Grid(longer).ceil(hole.start)
            is_within = Grid(longer).next(candle) <= hole.end
            if is_within and not longer.is_calendar and longer.milliseconds > longest:
                found, longest = (name, longer.milliseconds), longer.milliseconds
        return found

    def _lost_history(self, symbol: str, grid: Grid, oldest: int) -> UnsupportedBySource:
        return UnsupportedBySource(
            f"{self.venue} gives {grid.timeframe} candles of {symbol} only from {to_iso(oldest)} "
            "on: start there, or import older ones from a file"
        )


class _Throttle:
    """ccxt's rate limiter for several copies of an exchange: requests follow one another."""

    def __init__(self, milliseconds: float) -> None:
        self._seconds = milliseconds / 1000
        self._lock = threading.Lock()
        self._free_at = 0.0

    def __call__(self, cost: float | None = None) -> None:
        """Wait for the turn of a request that costs this many units."""
        with self._lock:
            now = time.monotonic()
            start = max(now, self._free_at)
            self._free_at = start + self._seconds * (1 if cost is None else cost)
        if start > now:
            time.sleep(start - now)


def _import_ccxt() -> Any:
    try:
        import ccxt
    except ImportError as error:
        raise MissingExtra("ccxt", "ccxt") from error
    return ccxt


def _make_exchange(ccxt: Any, exchange: Any, options: dict[str, Any]) -> Any:
    """The exchange object, checked to be able to give candles."""
    if isinstance(exchange, str):
        if exchange not in ccxt.exchanges:
            similar = difflib.get_close_matches(exchange.lower(), ccxt.exchanges)
            hint = f"did you mean {' or '.join(similar)}?" if similar else "see ccxt.exchanges"
            raise InvalidArgument(f"exchange {exchange!r} is not known to ccxt: {hint}")
        exchange = getattr(ccxt, exchange)(options)
    elif inspect.iscoroutinefunction(getattr(exchange, "fetch_ohlcv", None)):
        raise InvalidArgument(
            f"exchange is an asynchronous {exchange.id}: give the synchronous ccxt.{exchange.id}()"
        )
    elif not isinstance(exchange, ccxt.Exchange):
        raise InvalidArgument(
            f"exchange is {exchange!r}: give a name such as 'binance', or an object such as "
            "ccxt.binance()"
        )
    elif options:
        raise InvalidArgument(
            f"options {', '.join(options)} are for an exchange given by name: set them on the "
            "object"
        )
    if exchange.has.get("fetchOHLCV") is not True:
        raise UnsupportedBySource(f"{exchange.id} gives no candles: use another exchange")
    return exchange


def _copy(exchange: Any, throttle: _Throttle) -> Any:
    """A copy for one thread: its own last request and cookies, the same markets and connections."""
    twin = copy.copy(exchange)
    twin.session = copy.copy(exchange.session)
    twin.session.cookies = exchange.session.cookies.copy()
    twin.throttle = throttle
    return twin


def _first(rows: Rows, otherwise: int) -> int:
    """The time of the first row, if there is one."""
    return int(rows[0][0]) if rows else otherwise


def _timeframes(exchange: Any) -> dict[str, str]:
    """Our name of each timeframe of the exchange, and the exchange's."""
    found: dict[str, str] = {}
    for name in exchange.timeframes or ():
        try:
            found.setdefault(str(Timeframe.parse(name)), name)
        except UnknownTimeframe:
            continue  # years, ticks and the like, which are not ours
    return found


def _default_limit(exchange: Any) -> int:
    """The page size of the kind of market that the exchange is set to."""
    kind = exchange.options.get("defaultType", "spot")
    subtype = None if kind == "spot" else exchange.options.get("defaultSubType", "linear")
    return int(exchange.feature_value_by_type(kind, subtype, "fetchOHLCV", "limit", None) or _PAGE)


def _steady_clock() -> Callable[[], int]:
    """A clock in ms since the epoch that no correction of this machine's time moves."""
    begin = time.time_ns() - time.monotonic_ns()
    return lambda: (begin + time.monotonic_ns()) // 1_000_000


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:299] + "…"
