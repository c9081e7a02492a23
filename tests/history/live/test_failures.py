"""What fails beside a followed stream, its closing, its history and its clock, spoils no candle."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import aclosing

import pytest
from live_exchange import GRID, MINUTE, T0, in_event_loop, passing

import ohlcache
from ohlcache.errors import SourceUnavailable, UnsupportedBySource
from ohlcache.history.live.traded import TradedCandles
from ohlcache.sources.live import Trade

BTC = ("BTC/USDT", "1m")


class Connection:
    """Gives messages at their times; then it is silent, or lost, and cannot be closed."""

    def __init__(self, time, messages, is_lost=False):
        self._time = time
        self._messages = list(messages)
        self._is_lost = is_lost

    def __aiter__(self):
        return self

    async def __anext__(self):
        if self._messages:
            at, message = self._messages.pop(0)
            self._time.set(at)
            return message
        if self._is_lost:
            raise ConnectionResetError("lost")
        return await asyncio.Event().wait()

    async def aclose(self):
        if self._is_lost:
            raise BrokenPipeError("the socket is broken")


class Connections:
    def __init__(self, *connections):
        self._connections = list(connections)

    def watch(self, symbol, timeframe):
        return self._connections.pop(0)


class History:
    """A source that can tell about what is before ``ends`` only."""

    venue = "test"
    capabilities = ohlcache.Capabilities()

    def __init__(self, time, ends=2**42):
        self.time = time
        self.ends = ends

    def now(self):
        return self.time.now

    def fetch(self, symbol, timeframe, start, end):
        if end > self.ends:
            raise UnsupportedBySource("not in this copy")
        return [[time, 1.0, 1.0, 1.0, 1.0, 1.0] for time in range(start, end, MINUTE)]


class Copy(History):
    def known(self, symbol, timeframe):
        return [(0, self.ends)]


def trade(ms, price):
    return T0 + ms, (T0 + ms, price, 1.0)


def updates(first, count):
    """Candles of successive minutes, each told when it begins."""
    return [
        (T0 + minute * MINUTE, [T0 + minute * MINUTE, 1.0, 1.0, 1.0, 1.0, 2.0])
        for minute in range(first, first + count)
    ]


async def first(candles, count, time):
    """The minutes of the first candles; time passes slowly meanwhile."""
    found = []

    async def read():
        async with aclosing(candles):
            async for candle in candles:
                found.append(candle)
                if len(found) == count:
                    return

    reading = asyncio.create_task(read())
    try:
        async for _ in passing(time, begins=lambda: False):
            if reading.done():
                break
            time.set(time.now + 100)
    finally:
        reading.cancel()
        await asyncio.wait([reading])
    reading.result()
    return [(candle["timestamp"] - T0) // MINUTE for candle in found]


@in_event_loop
async def test_a_connection_that_fails_to_close_is_lost_all_the_same(opened, time):
    md = opened()
    lost = Connection(time, [trade(2_000, 10), trade(60_500, 11)], is_lost=True)
    after = [trade(170_000, 50), trade(185_000, 51), trade(245_000, 52)]
    stream = Connections(lost, Connection(time, after))
    # Of the minutes 1 and 2 only parts were seen.
    assert await first(md.follow(*BTC, stream, venue="test"), 1, time) == [3]
    assert md.coverage(*BTC, venue="test") == [(T0 + 3 * MINUTE, T0 + 4 * MINUTE)]
    assert md.stats()["live"]["error:BrokenPipeError"] == 1


@pytest.mark.parametrize("history", [Copy, History])
@in_event_loop
async def test_what_a_history_cannot_tell_about_holds_nothing_up(opened, time, history):
    md = opened(history(time, ends=T0 - 8 * MINUTE))
    row = [T0 - 11 * MINUTE, 1.0, 1.0, 1.0, 1.0, 1.0]
    md.write(*BTC, [row], venue="test", closed_until=T0)
    stream = Connections(Connection(time, updates(0, 6)))
    minutes = await first(md.follow(*BTC, stream), 5, time)
    known = [-10, -9] if history is Copy else []
    assert minutes == [*known, 0, 1, 2, 3, 4][:5]
    assert md.stats()["live"]["unrepaired"] == 1


@in_event_loop
async def test_a_hole_that_history_refuses_to_tell_of_is_given_up(opened, time):
    class Refusing(History):
        def fetch(self, symbol, timeframe, start, end):
            if end - start > MINUTE:
                raise UnsupportedBySource("one candle at a time")
            return []

    md = opened(Refusing(time))
    row = [T0 - 2 * MINUTE, 1.0, 1.0, 1.0, 1.0, 1.0]
    md.write(*BTC, [row], venue="test", closed_until=T0)
    stream = Connections(Connection(time, updates(0, 6)))
    # Meanwhile the hole does not become so old that an empty answer is final.
    assert await first(md.follow(*BTC, stream), 3, time) == [0, 1, 2]
    assert md.stats()["live"]["unrepaired"] == 1


class Told(Connections):
    """A stream whose clock gives no answer to some askings."""

    def __init__(self, time, failing, *connections):
        super().__init__(*connections)
        self.time = time
        self.failing = failing
        self.asked = itertools.count()

    def now(self):
        if next(self.asked) in self.failing:
            raise SourceUnavailable("the clock gave no answer")
        return self.time.now


# The first asking is that of the beginning, the next two are the listener's and the keeper's.
@pytest.mark.parametrize("failing", [range(3), range(1, 3)])
@in_event_loop
async def test_a_clock_that_fails_for_a_while_ends_nothing(opened, time, failing):
    md = opened()
    stream = Told(time, failing, Connection(time, updates(0, 6)))
    assert await first(md.follow(*BTC, stream, venue="test"), 5, time) == [0, 1, 2, 3, 4]
    assert md.stats()["live"]["error:SourceUnavailable"] == len(failing)


def test_of_a_candle_with_a_trade_that_cannot_be_true_nothing_is_told():
    candles = TradedCandles(GRID, 2_000, Trade(T0 - 1_000, 1.0, 1.0), T0 - 1_000)
    for ms, price in [(1_000, 10.0), (MINUTE + 1_000, 11.0), (2 * MINUTE + 500, 12.0)]:
        candles.take(Trade(T0 + ms, price, 1.0), T0 + ms)
    with pytest.raises(SourceUnavailable, match="discarded"):
        candles.take(Trade(T0 + 2 * MINUTE - 100, float("nan"), 1.0), T0 + 2 * MINUTE + 600)
    rows, covered = candles.last_words(T0 + 2 * MINUTE + 700)
    assert (rows.times.tolist(), covered) == ([T0], (T0, T0 + MINUTE))
