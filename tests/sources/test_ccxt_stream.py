"""Streams of exchanges through ccxt.pro, from a WebSocket server that speaks Binance's protocol."""

from __future__ import annotations

import asyncio
import math
from contextlib import aclosing

import pytest

from exchange_server import MINUTE
from exchange_stream import T0, binance, kline, trade
from ohlcache.errors import (
    InvalidArgument,
    SourceUnavailable,
    UnknownSymbol,
    UnsupportedBySource,
)
from ohlcache.sources import CcxtStream

ccxt_pro = pytest.importorskip("ccxt.pro")


async def some(stream, count, timeframe="1m"):
    found = []
    async with aclosing(stream.watch("BTC/USDT", timeframe)) as messages:
        async for message in messages:
            found.append(message)
            if len(found) == count:
                break
    return found


def test_candles_of_an_exchange_by_name():
    async def watch():
        messages = [kline(T0, 2), kline(T0, 3), kline(T0 + MINUTE, 4)]
        async with binance(messages) as options:
            return await some(CcxtStream("binance", **options), 1)

    assert asyncio.run(watch())[-1][:2] == [T0, 1.0]


def test_trades_of_an_exchange_have_their_ids():
    async def watch():
        messages = [trade(1, T0, 5.0), trade(2, T0 + 1, 6.0)]
        async with binance(messages) as options:
            return await some(CcxtStream("binance", kind="trades", **options), 2)

    one, other = asyncio.run(watch())
    assert (one["timestamp"], one["price"], one["amount"], one["id"]) == (T0, 5.0, 2.0, "1")
    assert other["id"] == "2"


def test_a_lost_connection_ends_the_watch():
    async def watch():
        async with binance([trade(1, T0, 5.0)], []) as options:
            await some(CcxtStream("binance", kind="trades", **options), math.inf)

    with pytest.raises(SourceUnavailable, match="binance"):
        asyncio.run(asyncio.wait_for(watch(), 20))


def test_what_another_connection_gives_is_left_to_another_watch():
    async def watch(found):
        async with binance([trade(1, T0, 5.0)], [trade(3, T0 + 2, 7.0)]) as options:
            stream = CcxtStream("binance", kind="trades", **options)
            async with aclosing(stream.watch("BTC/USDT", "1m")) as messages:
                async for message in messages:
                    found.append(message["id"])
                    await asyncio.sleep(0.3)  # the connection is lost while nobody waits

    found = []
    with pytest.raises(SourceUnavailable, match="binance"):
        asyncio.run(asyncio.wait_for(watch(found), 20))
    assert found == ["1"]


def test_what_an_exchange_does_not_have_is_told():
    async def watch(symbol, timeframe):
        async with binance([]) as options:
            stream = CcxtStream("binance", **options)
            async with aclosing(stream.watch(symbol, timeframe)) as messages:
                await anext(messages)

    with pytest.raises(UnknownSymbol, match="'NO/PE'"):
        asyncio.run(watch("NO/PE", "1m"))
    with pytest.raises(UnsupportedBySource, match="7m"):
        asyncio.run(watch("BTC/USDT", "7m"))


@pytest.mark.parametrize(
    ("exchange", "options", "text"),
    [
        ("binanse", {}, "did you mean binance"),
        ("binance", {"kind": "quotes"}, "'candles' or 'trades'"),
        (object(), {}, "ccxt.pro object"),
    ],
)
def test_what_cannot_be_watched_is_refused(exchange, options, text):
    with pytest.raises(InvalidArgument, match=text):
        CcxtStream(exchange, **options)
