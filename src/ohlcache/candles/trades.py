"""Single trades, and candles made of them.

A candle opens with its first trade and closes with its last; of trades in the same millisecond
the order given decides. Besides volume (the summed amounts) each candle carries the extra columns
``trades``, their number, and ``quote_volume``, the summed price times amount.

Sums do not depend on how the trades are cut into batches: those of one candle are added up in
pieces of a fixed number of trades, counted from the candle's first one. Only the piece that is
still filling is held, so the memory for a candle is bounded, however many trades it has.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ohlcache.candles.block import OHLCV, Block, Times, Values
from ohlcache.candles.grid import Grid
from ohlcache.candles.instant import EARLIEST, LATEST, to_iso
from ohlcache.candles.resample import find_buckets, reduce_buckets, sum_buckets
from ohlcache.errors import InvalidArgument

CANDLE_NAMES = (*OHLCV, "trades", "quote_volume")
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Trades:
    """Trades as columns of shape (n,): ``times`` in ms UTC, ``prices`` and ``amounts``."""

    times: Times
    prices: Values
    amounts: Values

    def __post_init__(self) -> None:
        if not len(self.times) == len(self.prices) == len(self.amounts):
            raise InvalidArgument(
                f"times, prices and amounts have {len(self.times)}, {len(self.prices)} and "
                f"{len(self.amounts)} rows: give as many of each"
            )

    @staticmethod
    def concatenate(parts: list[Trades]) -> Trades:
        """The parts, of which there is at least one, one after the other."""
        if len(parts) == 1:
            return parts[0]
        return Trades(
            np.concatenate([part.times for part in parts]),
            np.concatenate([part.prices for part in parts]),
            np.concatenate([part.amounts for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.times)

    def slice(self, start: int, stop: int | None = None) -> Trades:
        """Rows start to stop (exclusive), as a view."""
        rows = np.s_[start:stop]
        return Trades(self.times[rows], self.prices[rows], self.amounts[rows])

    def sorted(self) -> Trades:
        """The same trades in time order; those of the same millisecond keep theirs."""
        if len(self) < 2 or bool(np.all(self.times[1:] >= self.times[:-1])):
            return self
        order = np.argsort(self.times, kind="stable")
        return Trades(self.times[order], self.prices[order], self.amounts[order])


def trades_to_candles(trades: Trades, grid: Grid, *, closed_until: int | None = None) -> Block:
    """The candles of one array of trades, with the extra columns ``trades`` and ``quote_volume``.

    closed_until: ms up to which the trades are known to be complete. The last candle is given
        only when it ends by then; None: it is left out, as more trades of it may follow. The
        first one holds the trades there are, also where they begin in its middle.

    Raises InvalidArgument for a trade that cannot be one: a price that is not finite, an amount
    that is negative or not finite. None is dropped silently.
    """
    aggregator = TradeAggregator(grid)
    complete = aggregator.add(trades)
    return Block.concatenate([complete, aggregator.finish(closed_until)])


@dataclass(slots=True, eq=False)
class TradeAggregator:
    """Candles from batches of trades that arrive in time order.

    Within a batch the order does not matter. A trade older than what was already put into a
    candle is refused. ``incomplete`` is the open time of the candle that :meth:`finish` left out,
    if it did.
    """

    grid: Grid
    incomplete: int | None = field(default=None, init=False)
    # Finished pieces of the open candle, and the trades, at most a piece of them, that follow.
    _pieces: Block = field(default_factory=lambda: Block.empty(CANDLE_NAMES), init=False)
    _waiting: list[Trades] = field(default_factory=list, init=False)
    _rows: int = field(default=0, init=False)
    _oldest: int = field(default=0, init=False)
    _open_until: int = field(default=0, init=False)

    def add(self, trades: Trades) -> Block:
        """The candles that these trades complete: all but the one of the newest trade.

        Raises InvalidArgument for a price that is not finite, an amount that is negative or not
        finite, or a trade older than those already in a candle; nothing of the batch is taken
        then.
        """
        _check(trades)
        if not len(trades):
            return Block.empty(CANDLE_NAMES)
        trades = trades.sorted()
        first = int(trades.times[0])
        if not self._waiting:
            self._oldest, self._open_until = self.grid.floor(first), self.grid.next(first)
        elif first < self._oldest:
            raise InvalidArgument(
                f"trade at {to_iso(first)} is older than {to_iso(self._oldest)}, up to where "
                "candles are made: give the batches in time order"
            )
        self._waiting.append(trades)
        self._rows += len(trades)
        if int(trades.times[-1]) < self._open_until and self._rows <= _PIECE:
            return Block.empty(CANDLE_NAMES)
        return self._reduce_waiting()

    def finish(self, closed_until: int | None = None) -> Block:
        """The last candle, where all of it lies before ``closed_until`` (ms); else nothing.

        What is left out is named by ``incomplete``. The aggregator then starts afresh.
        """
        last = Block.empty(CANDLE_NAMES)
        self.incomplete = None
        if self._waiting:
            if closed_until is not None and self._open_until <= closed_until:
                rest = _reduce(Trades.concatenate(self._waiting).sorted(), self.grid)
                last = _merge(Block.concatenate([self._pieces, rest]))
            else:
                self.incomplete = self.grid.floor(self._open_until - 1)
        self._waiting, self._rows, self._pieces = [], 0, Block.empty(CANDLE_NAMES)
        return last

    def _reduce_waiting(self) -> Block:
        trades = Trades.concatenate(self._waiting).sorted()
        newest = int(trades.times[-1])
        self._open_until = self.grid.next(newest)
        open_time = self.grid.floor(newest)
        start = int(np.searchsorted(trades.times, open_time))
        # Of the open candle whole pieces are reduced; at least one trade is left to wait.
        until = start + (len(trades) - 1 - start) // _PIECE * _PIECE
        pieces = Block.concatenate([self._pieces, _reduce(trades.slice(0, until), self.grid)])
        done = int(np.searchsorted(pieces.times, open_time))
        self._pieces = pieces.slice(done, len(pieces))
        self._waiting = [trades.slice(until)]
        self._rows = len(trades) - until
        reduced = open_time if until == start else int(trades.times[until - 1])
        self._oldest = max(self._oldest, reduced)
        return _merge(pieces.slice(0, done))


def _check(trades: Trades) -> None:
    """Refuse what cannot be a trade, naming the first one."""
    wrong = (
        ((trades.times < EARLIEST) | (trades.times > LATEST), "time", trades.times, "give ms"),
        (~np.isfinite(trades.prices), "price", trades.prices, "leave such trades out"),
        (~np.isfinite(trades.amounts), "amount", trades.amounts, "leave such trades out"),
        (trades.amounts < 0, "amount", trades.amounts, "give the size without the sign of a sale"),
    )
    for mask, field_name, column, remedy in wrong:
        if mask.any():
            row = int(np.argmax(mask))
            raise InvalidArgument(
                f"trade {row} at {int(trades.times[row])} ms has the {field_name} {column[row]} "
                f"({int(mask.sum())} such): {remedy}"
            )


def _reduce(trades: Trades, grid: Grid) -> Block:
    """Candles of trades in time order, one for each piece of each bucket."""
    if not len(trades):
        return Block.empty(CANDLE_NAMES)
    starts, opens = find_buckets(trades.times, grid)
    pieces = -(-np.diff(starts, append=len(trades)) // _PIECE)
    before = np.repeat(np.cumsum(pieces) - pieces, pieces)
    starts = np.repeat(starts, pieces) + (np.arange(len(before)) - before) * _PIECE
    ends = np.append(starts[1:], len(trades))
    prices, amounts = trades.prices, trades.amounts
    volume, quote_volume = sum_buckets(np.stack((amounts, prices * amounts)), starts, ends)
    columns = {
        "open": prices[starts],
        "high": np.maximum.reduceat(prices, starts),
        "low": np.minimum.reduceat(prices, starts),
        "close": prices[ends - 1],
        "volume": volume,
        "trades": ends - starts,
        "quote_volume": quote_volume,
    }
    values = np.stack([columns[name] for name in CANDLE_NAMES]).astype(np.float64, copy=False)
    return Block(np.repeat(opens, pieces), values, CANDLE_NAMES)


def _merge(pieces: Block) -> Block:
    """One candle for each open time, of the pieces that have it."""
    starts = np.flatnonzero(np.diff(pieces.times, prepend=EARLIEST - 1))
    if len(starts) == len(pieces):
        return pieces
    return reduce_buckets(pieces, starts, pieces.times[starts])
