"""Candles from single trades, by the rules of ``ohlcache.candles.trades``.

A candle is known only if every trade of it was seen, so the one that was forming when the
connection began is not. It is closed once the newest trade is further than the grace beyond its
end: until then trades may come in any order. Those of the same millisecond are put in that of their
ids, where these are numbers; others stay as they came.
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from typing import Any

import numpy as np

from ohlcache.candles import Block, Grid, Interval, to_iso
from ohlcache.candles.block import Times
from ohlcache.candles.instant import EARLIEST, LATEST
from ohlcache.candles.trades import CANDLE_NAMES, TradeAggregator, Trades
from ohlcache.errors import SourceError, SourceUnavailable
from ohlcache.history.live.closed import Closed, Row
from ohlcache.sources.live import Trade

_REMEMBERED_IDS = 65_536
_BATCH = 1_000_000
_SEQUENCES = 2**63  # longer numbers say nothing about the order, and do not fit into a column
_NONE = Trades(np.empty(0, np.int64), np.empty(0), np.empty(0))


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
        self._known_until = LATEST  # where the first candle opens that was spoiled
        self._newest = self.known_from  # trade; one from before says nothing of known candles
        self._open: dict[int, _OpenCandle] = {}
        self._ids: set[Any] = set()
        self._id_order: deque[Any] = deque()

    @property
    def forming(self) -> tuple[int, Row] | None:
        """See Candles; a candle whose beginning was not seen is not known."""
        newest = self._grid.floor(self._newest)
        candle = self._open.get(newest)
        return None if candle is None else (newest, candle.row)

    def take(self, message: object, now: int) -> None:
        """See Candles."""
        if not isinstance(message, Trade):
            raise SourceError("the stream gives candles among trades: let it give one kind")
        if message.id is not None and not self._is_new(message.id):
            self.ignored += 1
            return
        time = message.time
        self._newest = max(self._newest, min(time, now))
        if time < self.closed_until:
            if time >= self.known_from:
                self.late[self._grid.floor(time)] = None
            return
        opens = self._grid.floor(time)
        candle = self._open.get(opens)
        if candle is None:
            candle = self._open[opens] = _OpenCandle(self._grid, self._grace)
        try:
            candle.add(message)
        except SourceUnavailable:
            del self._open[opens]
            self._known_until = min(self._known_until, opens)
            raise

    def close(self, now: int) -> Closed | None:
        """See Candles."""
        return self.leave(self._closable(min(self._newest - self._grace, now)))

    def last_words(self, now: int) -> Closed | None:
        """See Candles."""
        return self.leave(self._closable(min(self._newest, now)))

    def leave(self, until: int) -> Closed | None:
        """See Candles."""
        start = self.closed_until
        if until <= start:
            return None
        opens = sorted(time for time in self._open if time < until)
        rows = [self._open.pop(time).finished() for time in opens]
        self.closed_until = until
        block = Block.concatenate(rows) if rows else Block.empty(CANDLE_NAMES)
        return Closed(block, Interval(start, until))

    def _closable(self, until: int) -> int:
        return self._grid.floor(min(until, self._known_until))

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
        self._first = self._last = (EARLIEST, 0)
        self._handed_until = EARLIEST

    def add(self, trade: Trade) -> None:
        """Put in a trade. Raises SourceUnavailable after which the candle is not known."""
        time, price, amount, id_ = trade
        if not (math.isfinite(price) and math.isfinite(amount) and amount >= 0):
            raise SourceUnavailable(
                f"trade at {to_iso(time)} has the price {price} and the amount {amount}: what the "
                "stream gave of its candle is discarded"
            )
        if time < self._handed_until:
            raise SourceUnavailable(f"trade at {to_iso(time)} came later than the grace allows")
        at = time, _sequence(id_)
        self._trades.append(trade, at[1])
        if not self.row:
            self._first = self._last = at
            self.row = (price, price, price, price, amount)
        else:
            first, high, low, last, volume = self.row
            if at < self._first:
                self._first, first = at, price
            if at >= self._last:
                self._last, last = at, price
            self.row = (first, max(high, price), min(low, price), last, volume + amount)
        if len(self._trades.times) >= _BATCH:
            self._hand_over(self._last[0] - self._grace)

    def finished(self) -> Block:
        """The candle of all trades."""
        self._hand_over(LATEST)
        return self._aggregator.finish(LATEST)

    def _hand_over(self, until: int) -> None:
        trades, sequences = self._trades.in_order()
        older = int(np.searchsorted(trades.times, until))
        self._aggregator.add(trades.slice(0, older))
        self._trades = _Columns(trades.slice(older), sequences[older:])
        self._handed_until = until


class _Columns:
    """Trades in columns that grow."""

    __slots__ = ("amounts", "prices", "sequences", "times")

    def __init__(self, trades: Trades = _NONE, sequences: Times = _NONE.times) -> None:
        self.times = array("q", trades.times.tolist())
        self.sequences = array("q", sequences.tolist())
        self.prices = array("d", trades.prices.tolist())
        self.amounts = array("d", trades.amounts.tolist())

    def append(self, trade: Trade, sequence: int) -> None:
        self.times.append(trade.time)
        self.sequences.append(sequence)
        self.prices.append(trade.price)
        self.amounts.append(trade.amount)

    def in_order(self) -> tuple[Trades, Times]:
        """All of them by time and sequence, with their sequences."""
        times = np.array(self.times, np.int64)
        sequences = np.array(self.sequences, np.int64)
        prices, amounts = np.array(self.prices, np.float64), np.array(self.amounts, np.float64)
        order = np.lexsort((sequences, times))
        return Trades(times[order], prices[order], amounts[order]), sequences[order]


def _sequence(id_: Any) -> int:
    """The place of a trade among those of its millisecond; the same for all without a number."""
    number = int(id_) if isinstance(id_, str) and id_.isdecimal() else id_
    return number if isinstance(number, int) and abs(number) < _SEQUENCES else 0
