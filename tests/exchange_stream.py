"""An exchange on 127.0.0.1 that speaks Binance's protocol: HTTP, and a WebSocket for live data."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from exchange_server import MINUTE, FakeExchange

T0 = 1_577_836_800_000  # 2020-01-01, when BTC/USDT was listed


def kline(time, close, *, closed=False):
    candle = {"t": time, "T": time + MINUTE - 1, "s": "BTCUSDT", "i": "1m", "o": "1", "h": "9",
              "l": "0.5", "c": str(close), "v": "3", "x": closed}  # fmt: skip
    return {"e": "kline", "E": time + 1, "s": "BTCUSDT", "k": candle}


def trade(number, time, price):
    return {"e": "trade", "E": time, "s": "BTCUSDT", "t": number, "p": str(price), "q": "2",
            "T": time, "m": True, "M": True}  # fmt: skip


@asynccontextmanager
async def binance(*connections, now=T0 + 60 * MINUTE, published=None, subscribed=None):
    """A server whose connections give these messages. Gives ccxt's options.

    The last connection, and any after it, stays and repeats its last message. The streams that are
    subscribed to are put into the list ``subscribed``.
    """
    rest = FakeExchange(now, T0, published)
    left = list(connections)

    async def serve_one(socket):
        request = json.loads(await socket.recv())
        if subscribed is not None:
            subscribed.extend(request["params"])
        await socket.send(json.dumps({"result": None, "id": request["id"]}))
        is_last = len(left) == 1
        messages = left[0] if is_last else left.pop(0)
        for message in messages:
            await socket.send(json.dumps(message))
        if is_last:
            with suppress(ConnectionClosed):
                # ccxt gives what came while nobody waited only when more comes.
                while messages:
                    await socket.send(json.dumps(messages[-1]))
                    await asyncio.sleep(0.05)
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
