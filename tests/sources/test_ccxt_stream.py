"""Streams of exchanges through ccxt.pro, from a WebSocket server that speaks Binance's protocol."""

from __future__ import annotations

import asyncio
import json
import math
from contextlib import aclosing, asynccontextmanager

import pytest
from exchange_server import MINUTE, FakeExchange
from websockets.asyncio.server import serve

from ohlcache.errors import (
    InvalidArgument,
    SourceUnavailable,
    UnknownSymbol,
    UnsupportedBySource,
)
from ohlcache.sources import CcxtStream

T0 = 1_577_836_800_000
ccxt_pro = pytest.importorskip("ccxt.pro")


def kline(time, close, *, closed=False):
    candle = {"t": time, "T": time + MINUTE - 1, "s": "BTCUSDT", "i": "1m", "o": "1", "h": "9",
              "l": "0.5", "c": str(close), "v": "3", "x": closed}  # fmt: skip
    return {"e": "kline", "E": time + 1, "s": "BTCUSDT", "k": candle}


def trade(number, time, price):
    return {"e": "trade", "E": time, "s": "BTCUSDT", "t": number, "p": str(price), "q": "2",
            "T": time, "m": True, "M": True}  # fmt: skip


@asynccontextmanager
async def binance(*connections, **options):
    """A server whose connections give these messages; the last one stays. Gives ccxt's options."""
    rest = FakeExchange(T0 + 60 * MINUTE, T0)
    left = list(connections)

    async def serve_one(socket):
        request = json.loads(await socket.recv())
        await socket.send(json.dumps({"result": None, "id": request["id"]}))
        for message in left.pop(0):
            await socket.send(json.dumps(message))
        if not left:
            await socket.wait_closed()

    try:
        async with serve(serve_one, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            public = rest.url + "/api/v3"
            urls = {"api": {"public": public, "ws": {"spot": f"ws://127.0.0.1:{port}/ws"}}}
            only_spot = {"defaultType": "spot", "fetchMarkets": {"types": ["spot"]}}
            yield {"urls": urls, "options": only_spot}
    finally:
        rest.close()


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
