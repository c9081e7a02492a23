"""An exchange's live candles or trades through ccxt.pro.

ccxt connects anew by itself when a connection was lost while nobody waited for a message, without
a word. The connections in use are therefore remembered, and one that was replaced ends the watch.
"""

from __future__ import annotations

import difflib
from collections.abc import AsyncIterator
from types import ModuleType
from typing import Any, Literal

from ohlcache.candles.timeframe import Timeframe
from ohlcache.errors import (
    InvalidArgument,
    MissingExtra,
    SourceError,
    SourceUnavailable,
    UnknownSymbol,
    UnsupportedBySource,
)

Kind = Literal["candles", "trades"]


class CcxtStream:
    """A Stream of an exchange, by its ccxt name or as a ``ccxt.pro`` object.

    kind: whether its ``candles`` or its ``trades`` are watched. Not every exchange streams
    candles; trades give any timeframe. ``options`` are ccxt's, for an exchange given by name.
    """

    def __init__(self, exchange: Any, *, kind: Kind = "candles", **options: Any) -> None:
        """Raises MissingExtra without ccxt, InvalidArgument for what cannot be watched."""
        self._ccxt = _import_ccxt()
        if kind not in ("candles", "trades"):
            raise InvalidArgument(f"kind is {kind!r}: give 'candles' or 'trades'")
        if isinstance(exchange, str) and exchange not in self._ccxt.pro.exchanges:
            similar = difflib.get_close_matches(exchange.lower(), self._ccxt.pro.exchanges)
            hint = f"did you mean {' or '.join(similar)}?" if similar else "see ccxt.pro.exchanges"
            raise InvalidArgument(f"exchange {exchange!r} is not known to ccxt.pro: {hint}")
        method = "watch_ohlcv" if kind == "candles" else "watch_trades"
        is_name = isinstance(exchange, str)
        if not is_name and not hasattr(exchange, method):
            raise InvalidArgument(f"exchange is {exchange!r}: give a name or a ccxt.pro object")
        self._given = None if is_name else exchange
        self._name = exchange if is_name else str(exchange.id)
        self._options = options
        self._kind = kind

    @property
    def venue(self) -> str:
        """The exchange's name in ccxt."""
        return self._name

    async def watch(self, symbol: str, timeframe: str) -> AsyncIterator[Any]:
        """See Stream; an exchange that was given by name has a connection of its own."""
        exchange = self._given or getattr(self._ccxt.pro, self._name)(self._options)
        clients: dict[str, Any] = {}
        try:
            while True:
                messages = await self._next(exchange, symbol, timeframe)
                clients = clients or dict(exchange.clients)
                # Before they are given: those of another connection do not follow the last ones.
                if any(exchange.clients.get(url) is not used for url, used in clients.items()):
                    raise SourceUnavailable(f"{self._name}: the connection was lost")
                for message in messages:
                    yield message
        finally:
            if self._given is None:
                await exchange.close()

    async def _next(self, exchange: Any, symbol: str, timeframe: str) -> list[Any]:
        ccxt = self._ccxt
        try:
            if self._kind == "trades":
                trades: list[Any] = await exchange.watch_trades(symbol)
                return trades
            rows: list[Any] = await exchange.watch_ohlcv(symbol, _named(exchange, timeframe))
            return rows
        except ccxt.BadSymbol as error:
            raise UnknownSymbol(f"symbol {symbol!r} is not known at {self._name}") from error
        except ccxt.NotSupported as error:
            raise UnsupportedBySource(f"{self._name}: {error}") from error
        except ccxt.OperationFailed as error:
            raise SourceUnavailable(f"{self._name}: {' '.join(str(error).split())}") from error
        except ccxt.BaseError as error:
            raise SourceError(f"{self._name}: {' '.join(str(error).split())}") from error


def _named(exchange: Any, timeframe: str) -> str:
    """The exchange's own name of a timeframe."""
    wanted = Timeframe.parse(timeframe)
    for name in exchange.timeframes or ():
        if name == timeframe or (name[-1] in "smhdwM" and Timeframe.parse(name) == wanted):
            return str(name)
    raise UnsupportedBySource(
        f"timeframe {timeframe} is not offered by {exchange.id}: watch its trades"
    )


def _import_ccxt() -> ModuleType:
    try:
        import ccxt.pro
    except ImportError as error:
        raise MissingExtra("ccxt", "ccxt") from error
    module: ModuleType = ccxt
    return module
