"""An exchange on 127.0.0.1 that streams over a WebSocket, and the clock that it lives by."""

from __future__ import annotations

import asyncio
import functools
import json
from contextlib import asynccontextmanager

import numpy as np
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

import ohlcache
from ohlcache.candles import Block, Grid, Timeframe
from ohlcache.candles.trades import Trades, trades_to_candles
from ohlcache.errors import SourceUnavailable

T0 = 1_577_836_800_000  # 2020-01-01
MINUTE = 60_000
GRID = Grid(Timeframe.parse("1m"))


class Time:
    """A clock that is set by hand, and sleeping by it."""

    def __init__(self, now):
        self.now = now
        self._sleepers = []

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        woken = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now + seconds * 1000, woken))
        await woken

    def set(self, now):
        self.now = max(self.now, now)
        for sleeper in list(self._sleepers):
            if sleeper[0] <= self.now:
                self._sleepers.remove(sleeper)
                if not sleeper[1].done():
                    sleeper[1].set_result(None)


class Exchange:
    """Trades of one symbol: what happened is in its history, what was sent is up to the test.

    ``script`` is an async function of this exchange and a connection; when it returns, the
    connection is closed.
    """

    venue = "test"
    capabilities = ohlcache.Capabilities()

    def __init__(self, time, script):
        self.time = time
        self.script = script
        self.trades = []
        self.asked = []
        self.failures = 0
        self.connections = 0
        self.open_connections = 0
        self.subscribed = None
        self._server = None

    # -- what happens -----------------------------------------------------------------------------

    def trade(self, time, price=100.0, amount=1.0):
        """A trade happens; as the message that tells of it."""
        self.trades.append((time, price, amount))
        return {"id": len(self.trades), "timestamp": time, "price": price, "amount": amount}

    def candles(self, closed_until=None):
        times, prices, amounts = zip(*self.trades, strict=True) if self.trades else ((), (), ())
        trades = Trades(
            np.array(times, np.int64), np.array(prices, float), np.array(amounts, float)
        )
        until = self.time.now if closed_until is None else closed_until
        made = trades_to_candles(trades.sorted(), GRID, closed_until=2**42)
        return Block(made.times, made.values[:5]).between(0, GRID.floor(until))

    # -- history, as a source ---------------------------------------------------------------------

    def now(self):
        return self.time.now

    def fetch(self, symbol, timeframe, start, end):
        self.asked.append((start, end))
        if self.failures:
            self.failures -= 1
            raise SourceUnavailable("history is out of order")
        return self.candles().between(start, end)

    # -- the stream, as a server and as its client ------------------------------------------------

    @asynccontextmanager
    async def serving(self):
        async with serve(self._serve, "127.0.0.1", 0) as server:
            self._server = server
            yield self

    async def _serve(self, socket):
        self.subscribed = json.loads(await socket.recv())
        self.connections += 1
        self.open_connections += 1
        try:
            await self.script(self, Connection(socket))
        finally:
            self.open_connections -= 1

    def stream(self):
        return WebSocketStream(self._server.sockets[0].getsockname()[1], self.time)


class Connection:
    def __init__(self, socket):
        self._socket = socket

    async def send(self, message):
        await self._socket.send(json.dumps(message))

    async def stay(self):
        """Stay open until the client goes."""
        await self._socket.wait_closed()


class WebSocketStream:
    """The client; messages take no time, so it is as late as the newest that came."""

    def __init__(self, port, time):
        self._url = f"ws://127.0.0.1:{port}"
        self._time = time

    async def watch(self, symbol, timeframe):
        async with connect(self._url, compression=None) as socket:
            await socket.send(json.dumps([symbol, timeframe]))
            async for text in socket:
                message = json.loads(text)
                self._time.set(moment(message))
                yield message


def moment(message):
    """When the exchange sent a message, at the earliest."""
    if isinstance(message, dict):
        return message["timestamp"]
    is_closed = len(message) == 7 and message[6]
    return GRID.next(message[0]) if is_closed else message[0]


async def passing(time, begins=lambda: True, most=2_000):
    """Let the tasks work, and time pass once it begins to, until the caller breaks."""
    for _ in range(most):
        yield
        await asyncio.sleep(0.001)
        if begins():
            time.set(time.now + MINUTE // 4)
    raise AssertionError("it does not come to an end")


def in_event_loop(test):
    """Run an async test, which must leave no task behind."""

    @functools.wraps(test)
    def run(*arguments, **named):
        async def alone():
            await test(*arguments, **named)
            await asyncio.sleep(0)
            assert asyncio.all_tasks() == {asyncio.current_task()}

        asyncio.run(alone())

    return run
