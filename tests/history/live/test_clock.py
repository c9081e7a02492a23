"""The venue's clock decides what is closed, and its history what was not seen."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager

import pytest
from live_exchange import GRID, MINUTE, T0, Exchange, in_event_loop, moment, passing

from ohlcache.candles import to_frame
from ohlcache.history.live.updates import UpdatedCandles
from ohlcache.sources.live import CandleUpdate

BTC = ("BTC/USDT", "1m")


class Timed:
    """A stream of messages and the times at which they come; then silence, or a lost connection.

    ``heard``: how many were taken.
    """

    venue = "test"

    def __init__(self, time, *connections):
        self.time = time
        self.connections = list(connections)
        self.heard = 0

    async def watch(self, symbol, timeframe):
        for at, message in self.connections.pop(0):
            self.time.set(at)
            yield message
            self.heard += 1
        if not self.connections:
            await asyncio.Event().wait()


def as_it_happens(messages):
    return [(moment(message), message) for message in messages]


@asynccontextmanager
async def following(md, stream):
    """Follow while the body runs; the candles so far."""
    given = []

    async def follow():
        async with aclosing(md.follow(*BTC, stream, venue="test")) as candles:
            async for candle in candles:
                given.append(candle)  # noqa: PERF401  # each as it comes

    task = asyncio.create_task(follow())
    try:
        yield given
    finally:
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled(), task.exception()


async def at_work(time, until):
    """Let the tasks work without time passing."""
    async for _ in passing(time, begins=lambda: False):
        if until():
            return


def coverage(md):
    return md.coverage(*BTC, venue="test") if md.series() else []


AHEAD = {
    "trades": [
        (T0 - 1_000, (T0 - 1_000, 100.0, 1.0)),
        (T0 + 5_000, (T0 + 5_000, 100.0, 1.0)),
        (T0 + 5_000, (T0 + 130_000, 100.0, 1.0)),
        (T0 + 40_000, (T0 + 40_000, 250.0, 9.0)),
    ],
    "candles": [
        (T0 + 5_000, [T0, 100.0, 100.0, 100.0, 100.0, 1.0]),
        (T0 + 5_000, [T0 + 4 * MINUTE, 100.0, 100.0, 100.0, 100.0, 1.0]),
        (T0 + 40_000, [T0, 100.0, 250.0, 100.0, 250.0, 10.0]),
    ],
}


@pytest.mark.parametrize("messages", AHEAD.values(), ids=AHEAD)
@in_event_loop
async def test_a_message_ahead_of_the_clock_closes_nothing_then_or_later(opened, time, messages):
    time.now = T0 - 1_500
    md = opened()
    stream = Timed(time, messages)
    async with following(md, stream) as given:
        await at_work(time, lambda: stream.heard == len(messages))
        assert md.forming(*BTC, venue="test")["high"] == 250.0
        assert (given, coverage(md)) == ([], [])
        async for _ in passing(time):  # the connection hangs
            if time.now > T0 + 10 * MINUTE:
                break
        assert (given, coverage(md)) == ([], [])


@in_event_loop
async def test_candles_go_on_after_a_message_ahead_of_the_clock(opened, time):
    late = [[T0 + minute * MINUTE, 1.0, 2.0, 1.0, 2.0, 0.5] for minute in range(1, 7)]
    stream = Timed(time, [*AHEAD["candles"], *as_it_happens(late)])
    md = opened()
    async with following(md, stream) as given:
        await at_work(time, lambda: len(given) == 6)
    assert [candle["volume"] for candle in given] == [10.0, 0.5, 0.5, 0.5, 0.5, 0.5]
    assert coverage(md) == [(T0, T0 + 6 * MINUTE)]


def test_a_state_from_before_its_candle_began_yields_to_a_true_one():
    false, true = (CandleUpdate(T0 + MINUTE, 1, 1, 1, 1, volume) for volume in (9.0, 0.5))
    candles = UpdatedCandles(GRID, CandleUpdate(T0, 1, 1, 1, 1, 1.0))
    candles.take(false, now=T0 + 1)
    candles.take(true, now=T0 + MINUTE + 1)
    assert candles.forming == (T0 + MINUTE, (1, 1, 1, 1, 0.5))


@in_event_loop
async def test_a_candle_that_is_told_closed_before_its_end_is_closed_at_its_end(opened, time):
    time.now = T0 + 1
    stream = Timed(time, [(T0 + MINUTE - 10, [T0, 1, 2, 1, 2, 3, True])])
    md = opened()
    async with following(md, stream) as given:
        await at_work(time, lambda: stream.heard)
        assert coverage(md) == []
        async for _ in passing(time):
            if given:
                break
    assert coverage(md) == [(T0, T0 + MINUTE)]


class Late(Exchange):
    """An exchange whose history has a candle only ``lag`` ms after its end."""

    lag = 3 * MINUTE

    def candles(self, closed_until=None):
        return super().candles(self.time.now - self.lag if closed_until is None else closed_until)


@pytest.mark.parametrize("gap", ["with trades", "without trades"])
@in_event_loop
async def test_a_late_history_is_waited_for_and_takes_nothing_from_the_stream(opened, time, gap):
    exchange = Late(time, None)
    time.now = T0 - 1_000

    def trades(start, end):
        return [
            exchange.trade(T0 + second * 1_000, second + 1.0) for second in range(start, end, 5)
        ]

    before = trades(-1, 170)
    if gap == "with trades":
        trades(170, 250)
    after = trades(310, 900)
    stream = Timed(time, as_it_happens(before), as_it_happens(after))
    md = opened(exchange)
    async with following(md, stream) as given:
        async for _ in passing(time, begins=lambda: stream.heard == len(before + after)):
            if given and given[-1]["timestamp"] >= T0 + 13 * MINUTE:
                break
            assert time.now < T0 + 25 * MINUTE
    end = given[-1]["timestamp"] + MINUTE
    expected = to_frame(exchange.candles(end), "ccxt")
    assert [list(candle.values()) for candle in given] == expected[-len(given) :]
    assert given[0]["timestamp"] <= T0
    empty = [candle.start for candle in md.gaps(*BTC, venue="test") if candle.kind == "empty"]
    minutes = {row[0] for row in expected}
    assert not minutes & set(empty)


@in_event_loop
async def test_a_history_that_never_has_a_candle_does_not_undo_what_the_stream_told(opened, time):
    class Empty(Exchange):
        def fetch(self, symbol, timeframe, start, end):
            return []

    time.now = T0 - 1_000
    stream = Timed(time, as_it_happens([(T0 - 1_000, 1, 1), (T0 + 1_000, 7, 2)]))
    md = opened(Empty(time, None))
    async with following(md, stream) as given:
        async for _ in passing(time, begins=lambda: stream.heard == 2):
            if given:
                break
            assert time.now < T0 + 60 * MINUTE
    assert list(given[0].values()) == [T0, 7, 7, 7, 7, 2]


HOUR = 60 * MINUTE


@pytest.mark.parametrize("ahead", [-HOUR, HOUR])
@pytest.mark.parametrize("has_source", [True, False])
@in_event_loop
async def test_the_forming_candle_is_judged_by_the_venues_clock(opened, time, ahead, has_source):
    class WithClock(Timed):
        def now(self):
            return self.time()

    def machine():
        return time() - ahead

    stream = WithClock(time, as_it_happens([[T0, 1, 1, 1, 1, 1]]))
    md = opened(Exchange(time, None) if has_source else None, machine)
    async with following(md, stream):
        await at_work(time, lambda: stream.heard)
        assert md.forming(*BTC, venue="test")["timestamp"] == T0
        time.set(T0 + MINUTE)
        assert md.forming(*BTC, venue="test") is None


@pytest.mark.parametrize("ahead", [-HOUR, HOUR])
def test_an_appended_candle_is_judged_by_the_venues_clock(opened, time, ahead):
    md = opened(Exchange(time, None), lambda: time() - ahead)
    assert md.append(*BTC, [T0, 1, 1, 1, 1, 1]).reasons == {"not_closed": 1}
    assert md.forming(*BTC)["timestamp"] == T0
    time.set(T0 + MINUTE)
    assert md.forming(*BTC) is None
    assert md.append(*BTC, [T0, 1, 1, 1, 1, 1]).added == 1


@in_event_loop
async def test_minutes_without_a_candle_hold_nothing_up_once_history_has_a_later_one(opened, time):
    exchange = Exchange(time, None)
    minutes = [0, 1, *range(4, 11)]
    for minute in minutes:
        exchange.trade(T0 + minute * MINUTE)
    updates = [[T0 + minute * MINUTE, 100.0, 100.0, 100.0, 100.0, 1.0] for minute in minutes]
    stream = Timed(time, as_it_happens(updates[:2]), as_it_happens(updates[2:3]))
    md = opened(exchange)
    async with following(md, stream) as given:
        await at_work(time, lambda: stream.heard == 3)
        steps = 0
        async for _ in passing(time, begins=lambda: False):
            if len(given) > 2:
                break
            steps += 1
            time.set(T0 + min(10, 5 + steps // 100) * MINUTE)
    assert [candle["timestamp"] for candle in given[:3]] == [row[0] for row in updates[:3]]
