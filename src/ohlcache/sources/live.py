"""What a stream of live data is: one method that watches, and the two kinds of messages it gives.

A *candle update* is the state of a candle so far, as the venue makes it; a *trade* is a single
trade, of which candles are made here. A stream gives one kind.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from ohlcache.candles.block import OHLCV
from ohlcache.candles.instant import to_ms
from ohlcache.errors import InvalidArgument

_ACCEPTED = (
    "give [ms, open, high, low, close, volume], the same with a flag whether the candle is closed, "
    "(ms, price, amount), the same with the trade's id, or a dict of these as ccxt's"
)


class CandleUpdate(NamedTuple):
    """A candle as it stands: open time in ms. ``closed``: the venue says that it is final."""

    time: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    closed: bool = False


class Trade(NamedTuple):
    """A trade: time in ms. Trades of one connection with the same ``id`` are the same trade."""

    time: int
    price: float
    amount: float
    id: Any = None


@runtime_checkable
class Stream(Protocol):
    """Live data of a venue, for instance over a WebSocket."""

    def watch(self, symbol: str, timeframe: str) -> AsyncIterator[Any]:
        """Messages of one connection, each as ``message_of`` takes it.

        Within the iterator nothing may be lost: it ends, or raises, when the connection is lost,
        and whoever wants more calls ``watch`` again. It has to notice a connection that is dead
        but open (by pings), and gives up what it holds when it is closed (``aclose``).

        Raises SourceUnavailable, or any error of a network, for what is worth another try;
        UnknownSymbol and UnsupportedBySource for what is not.
        """


@runtime_checkable
class TellsTime(Protocol):
    """A stream that knows the venue's clock, as a Source does; without it this machine's counts."""

    def now(self) -> int:
        """The venue's clock, ms since the epoch: no candle is closed before its end by it."""


def message_of(raw: Any) -> CandleUpdate | Trade:
    """A message of a stream. Raises InvalidArgument for what is neither candle nor trade."""
    if isinstance(raw, CandleUpdate | Trade):
        return raw
    try:
        if isinstance(raw, Mapping):
            return _from_mapping(raw)
        if isinstance(raw, list | tuple):
            if len(raw) in (6, 7):
                return _candle(raw[0], raw[1:6], is_closed=len(raw) == 7 and bool(raw[6]))
            if len(raw) in (3, 4):
                time, price, amount, *ids = raw
                return Trade(to_ms(time, "time"), float(price), float(amount), *ids)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidArgument(f"message {raw!r} cannot be read ({error}): {_ACCEPTED}") from error
    raise InvalidArgument(f"message {raw!r} is neither candle nor trade: {_ACCEPTED}")


def _from_mapping(raw: Mapping[str, Any]) -> CandleUpdate | Trade:
    time = raw["timestamp"] if "timestamp" in raw else raw["time"]
    if "price" in raw:
        price, amount = float(raw["price"]), float(raw["amount"])
        return Trade(to_ms(time, "time"), price, amount, raw.get("id"))
    return _candle(time, [raw[name] for name in OHLCV], is_closed=bool(raw.get("closed")))


def _candle(time: Any, values: Sequence[Any], *, is_closed: bool) -> CandleUpdate:
    opened, high, low, closed, volume = map(_number, values)
    return CandleUpdate(to_ms(time, "time"), opened, high, low, closed, volume, is_closed)


def _number(field: Any) -> float:
    return math.nan if field is None else float(field)
