"""Candles from single trades, by the rules of ``ohlcache.candles.trades``.

A candle is known only if every trade of it was seen, so the one that was forming when the
connection began is not. It is closed once the newest trade is further than the grace beyond its
end: until then trades may come in any order.
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from typing import Any

import numpy as np

from ohlcache.candles import Block, Grid, Interval, to_iso
from ohlcache.candles.instant import EARLIEST, LATEST
from ohlcache.candles.trades import CANDLE_NAMES, TradeAggregator, Trades
from ohlcache.errors import SourceError, SourceUnavailable
from ohlcache.history.live.closed import Closed, Row
from ohlcache.sources.live import Trade

_REMEMBERED_IDS = 65_536
_BATCH = 1_000_000


class TradedCandles:
    """See Candles."""

    def __init__(self, grid: Grid, grace: int, first: Trade, opened_at: int) -> None:
        """``grace`` and ``opened_at``, the time when the connection began, in ms.

        A venue may begin with trades from before the connection, among which some are missing.
        """
        self.known_from = self.closed_until = grid.next(max(first.time, opened_at))
        self.ignored = 0
        self.late: dict[int, Any] = {}
        self._grid = grid
        self._grace = grace
        self._newest = first.time
        self._open: dict[int, _OpenCandle] = {}
        self._ids: set[Any] = set()
        self._id_order: deque[Any] = deque()

    @property
    def forming(self) -> tuple[int, Row] | None:
        """See Candles; a candle whose beginning was not seen is not known."""
        newest = max(self._open, default=None)
        return None if newest is None else (newest, self._open[newest].row)

    def take(self, message: object) -> None:
        """See Candles."""
        if not isinstance(message, Trade):
            raise SourceError("the stream gives candles among trades: let it give one kind")
        if message.id is not None and not self._is_new(message.id):
            self.ignored += 1
            return
        time = message.time
        self._newest = max(self._newest, time)
        if time < self.closed_until:
            if time >= self.known_from:
                self.late[self._grid.floor(time)] = None
            return
        opens = self._grid.floor(time)
        candle = self._open.get(opens)
        if candle is None:
            candle = self._open[opens] = _OpenCandle(self._grid, self._grace)
        candle.add(message)

    def close(self) -> Closed | None:
        """See Candles."""
        return self._close(self._grid.floor(self._newest - self._grace))

    def leave(self, until: int) -> None:
        """See Candles."""
        self._close(until)

    def last_words(self) -> Closed | None:
        """See Candles."""
        return self._close(self._grid.floor(self._newest))

    def _close(self, until: int) -> Closed | None:
        start = self.closed_until
        if until <= start:
            return None
        opens = sorted(time for time in self._open if time < until)
        rows = [self._open.pop(time).finished() for time in opens]
        self.closed_until = until
        block = Block.concatenate(rows) if rows else Block.empty(CANDLE_NAMES)
        return Closed(block, Interval(start, until))

    def _is_new(self, id_: Any) -> bool:
        if id_ in self._ids:
            return False
        self._ids.add(id_)
        self._id_order.append(id_)
        if len(self._id_order) > _REMEMBERED_IDS:
            self._ids.discard(self._id_order.popleft())
        return True


class _OpenCandle:
    """The trades of one candle, and what they make so far.

    Memory is bounded: past a million trades, all but those of the grace go into the aggregator.
    """

    __slots__ = ("_aggregator", "_first", "_grace", "_handed_until", "_last", "_trades", "row")

    def __init__(self, grid: Grid, grace: int) -> None:
        self.row: Row = ()
        self._aggregator = TradeAggregator(grid)
        self._grace = grace
        self._trades = _Columns()
        self._first = self._last = self._handed_until = EARLIEST

    def add(self, trade: Trade) -> None:
        """Put in a trade. Raises SourceUnavailable after which the candle is not known."""
        time, price, amount, _ = trade
        if not (math.isfinite(price) and math.isfinite(amount) and amount >= 0):
            raise SourceUnavailable(
                f"trade at {to_iso(time)} has the price {price} and the amount {amount}: what the "
                "stream gave of its candle is discarded"
            )
        if time < self._handed_until:
            raise SourceUnavailable(f"trade at {to_iso(time)} came later than the grace allows")
        self._trades.append(trade)
        if not self.row:
            self._first = self._last = time
            self.row = (price, price, price, price, amount)
        else:
            first, high, low, last, volume = self.row
            if time < self._first:
                self._first, first = time, price
            if time >= self._last:
                self._last, last = time, price
            self.row = (first, max(high, price), min(low, price), last, volume + amount)
        if len(self._trades.times) >= _BATCH:
            self._hand_over(self._last - self._grace)

    def finished(self) -> Block:
        """The candle of all trades."""
        self._hand_over(LATEST)
        return self._aggregator.finish(LATEST)

    def _hand_over(self, until: int) -> None:
        trades = self._trades.taken()
        older = int(np.searchsorted(trades.times, until))
        self._aggregator.add(trades.slice(0, older))
        self._trades = _Columns(trades.slice(older))
        self._handed_until = until


class _Columns:
    """Trades in columns that grow."""

    __slots__ = ("amounts", "prices", "times")

    def __init__(self, trades: Trades | None = None) -> None:
        self.times = array("q", [] if trades is None else trades.times.tolist())
        self.prices = array("d", [] if trades is None else trades.prices.tolist())
        self.amounts = array("d", [] if trades is None else trades.amounts.tolist())

    def append(self, trade: Trade) -> None:
        self.times.append(trade.time)
        self.prices.append(trade.price)
        self.amounts.append(trade.amount)

    def taken(self) -> Trades:
        """All of them in time order; those of the same millisecond as they came."""
        return Trades(
            np.array(self.times, np.int64),
            np.array(self.prices, np.float64),
            np.array(self.amounts, np.float64),
        ).sorted()
