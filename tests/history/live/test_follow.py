"""Following an exchange that streams over a WebSocket."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from live_exchange import MINUTE, T0, Exchange, in_event_loop, moment, passing

from ohlcache.candles import to_frame
from ohlcache.errors import InvalidArgument, SourceError, StoreError, UnknownSymbol

BTC = ("BTC/USDT", "1m")


async def first(candles, count, time=None):
    """The first candles; time passes meanwhile, if it is given."""

    async def read():
        found = []
        async with aclosing(candles):
            async for candle in candles:
                found.append(candle)
                if len(found) == count:
                    break
        return found

    reading = asyncio.create_task(read())
    if time is not None:
        async for _ in passing(time):
            if reading.done():
                break
    return await asyncio.wait_for(reading, 20)


def rows(candles):
    return [[candle[name] for name in candle] for candle in candles]


def truth(exchange):
    block = exchange.candles()
    return to_frame(block, "ccxt")


@in_event_loop
async def test_trades_become_closed_candles_that_are_stored_before_they_are_given(opened, time):
    async def script(exchange, connection):
        for second in range(0, 60 * 6, 7):
            await connection.send(exchange.trade(T0 + 1000 * second, 100 + second % 9, 0.5))
        await connection.stay()

    exchange = Exchange(time, script)
    md = opened(exchange)
    async with exchange.serving():
        seen = []
        async with aclosing(md.follow(*BTC, exchange.stream())) as candles:
            async for candle in candles:
                stored = md.candles(*BTC, candle["timestamp"], candle["timestamp"] + 1, fetch=False)
                assert stored["close"].tolist() == [candle["close"]]
                seen.append(candle)
                if len(seen) == 5:
                    break
    assert rows(seen) == truth(exchange)[:5]
    assert list(seen[0]) == ["timestamp", "open", "high", "low", "close", "volume"]
    assert md.coverage(*BTC) == [(T0, T0 + 5 * MINUTE)]
    asked = len(exchange.asked)
    assert len(md.candles(*BTC, T0, T0 + 5 * MINUTE)) == 5
    assert len(exchange.asked) == asked
    # Only the candle that was forming when the connection began was fetched.
    assert exchange.asked == [(T0, T0 + MINUTE)]


@pytest.mark.parametrize("as_text", [False, True])
@in_event_loop
async def test_trades_of_one_millisecond_are_in_the_order_of_their_ids(opened, time, as_text):
    async def script(exchange, connection):
        messages = [exchange.trade(T0 + MINUTE, price, 0.1 * price) for price in (3, 7, 5, 4)]
        messages += [exchange.trade(T0 + 3 * MINUTE, 1.0)]
        if as_text:
            messages = [{**message, "id": str(message["id"] + 8)} for message in messages]
        await connection.send((T0 + 1, 1.0, 1.0))
        for at in (1, 0, 3, 2, 4):
            await connection.send(messages[at])
        await connection.stay()

    exchange = Exchange(time, script)
    md = opened()
    async with exchange.serving():
        seen = await first(md.follow(*BTC, exchange.stream(), venue="test"), 1)
    assert [list(candle.values())[:6] for candle in seen] == truth(exchange)[:1]


@in_event_loop
async def test_candle_updates_close_by_flag_or_by_the_next_candle(opened, time):
    async def script(exchange, connection):
        await connection.send([T0, 1, 2, 1, 2, 10])
        await connection.send([T0, 1, 3, 1, 3, 20])
        await connection.send([T0 + MINUTE, 3, 3, 3, 3, 1, False])
        await connection.send([T0 + MINUTE, 3, 4, 3, 4, 5, True])
        await connection.stay()

    exchange = Exchange(time, script)
    md = opened()
    async with exchange.serving():
        seen = await first(md.follow(*BTC, exchange.stream()), 2)
    assert rows(seen) == [[T0, 1, 3, 1, 3, 20], [T0 + MINUTE, 3, 4, 3, 4, 5]]
    assert exchange.subscribed == ["BTC/USDT", "1m"]


@in_event_loop
async def test_a_candle_after_which_nothing_comes_is_fetched_once_it_is_closed(opened, time):
    async def script(exchange, connection):
        await connection.send(exchange.trade(T0 + 30_000))
        await connection.send(exchange.trade(T0 + 70_000, 5.0, 2.0))
        await connection.stay()

    exchange = Exchange(time, script)
    md = opened(exchange)
    async with exchange.serving():
        seen = await first(md.follow(*BTC, exchange.stream()), 2, time)
    assert rows(seen) == truth(exchange)
    assert time.now >= T0 + 2 * MINUTE + 2_000


@in_event_loop
async def test_a_minute_without_trades_is_no_candle_and_is_covered(opened, time):
    async def script(exchange, connection):
        for at in (10, 70, 190, 250):
            await connection.send(exchange.trade(T0 + at * 1000))
        await connection.stay()

    exchange = Exchange(time, script)
    md = opened(exchange)
    async with exchange.serving():
        seen = await first(md.follow(*BTC, exchange.stream()), 3)
    assert [candle["timestamp"] for candle in seen] == [T0, T0 + MINUTE, T0 + 3 * MINUTE]
    assert md.coverage(*BTC) == [(T0, T0 + 4 * MINUTE)]
    assert [gap.kind for gap in md.gaps(*BTC)] == ["empty"]


@in_event_loop
async def test_a_gap_after_a_disconnect_is_fetched_before_further_candles_are_given(opened, time):
    async def script(exchange, connection):
        if exchange.connections == 1:
            for second in range(0, 150, 10):
                await connection.send(exchange.trade(T0 + second * 1000, second + 1))
            for second in range(150, 400, 10):
                exchange.trade(T0 + second * 1000, second + 1)  # while nobody listens
            return
        for second in range(400, 660, 10):
            await connection.send(exchange.trade(T0 + second * 1000, second + 1))
        await connection.stay()

    exchange = Exchange(time, script)
    md = opened(exchange)
    async with exchange.serving():
        seen = await first(md.follow(*BTC, exchange.stream()), 10)
    assert rows(seen) == truth(exchange)[:10]
    stats = md.stats()["live"]
    assert (stats["connections"], stats["drops"]) == (2, 2)
    assert stats["following"] == 0
    assert md.coverage(*BTC) == [(T0, T0 + 10 * MINUTE)]


@in_event_loop
async def test_what_no_history_can_give_stays_uncovered_and_following_goes_on(opened, time):
    async def script(exchange, connection):
        start = 0 if exchange.connections == 1 else 300
        for second in range(start, start + 200, 10):
            await connection.send(exchange.trade(T0 + second * 1000))
        if exchange.connections > 1:
            await connection.stay()

    exchange = Exchange(time, script)
    md = opened()
    async with exchange.serving():
        seen = await first(md.follow(*BTC, exchange.stream()), 4)
    minutes = [(candle["timestamp"] - T0) // MINUTE for candle in seen]
    assert minutes == [1, 2, 6, 7]
    assert md.coverage(*BTC) == [
        (T0 + MINUTE, T0 + 3 * MINUTE),
        (T0 + 6 * MINUTE, T0 + 8 * MINUTE),
    ]
    assert [gap.kind for gap in md.gaps(*BTC)] == ["never_fetched"]
    assert md.stats()["live"]["unrepaired"] >= 1


@in_event_loop
async def test_following_goes_on_where_the_stored_history_ends(opened, time):
    async def script(exchange, connection):
        await connection.send(exchange.trade(T0 + 10 * MINUTE + 1))
        await connection.stay()

    exchange = Exchange(time, script)
    for minute in range(10):
        exchange.trade(T0 + minute * MINUTE, minute + 1)
    time.set(T0 + 10 * MINUTE)
    md = opened(exchange)
    md.candles(*BTC, T0, T0 + 4 * MINUTE)
    async with exchange.serving():
        seen = await first(md.follow(*BTC, exchange.stream()), 7, time)
    assert rows(seen) == truth(exchange)[4:]


@in_event_loop
async def test_closed_candles_come_from_history_while_the_exchange_refuses_connections(
    opened, time
):
    class Refusing:
        async def watch(self, symbol, timeframe):
            raise ConnectionRefusedError("nobody listens")
            yield

    exchange = Exchange(time, None)
    md = opened(exchange)
    exchange.trade(T0 + 1, 5.0)
    seen = await first(md.follow(*BTC, Refusing()), 1, time)
    assert rows(seen) == truth(exchange)[:1]
    assert md.stats()["live"]["error:ConnectionRefusedError"] > 1


@in_event_loop
async def test_a_correction_of_a_closed_candle_is_a_revision(opened, time):
    async def script(exchange, connection):
        await connection.send([T0, 1, 2, 1, 2, 10, True])
        await connection.send([T0 + MINUTE, 2, 2, 2, 2, 1, True])
        await connection.send([T0, 1, 2, 1, 1.5, 9, True])
        await connection.send([T0 + MINUTE, 2, 2, 2, 2, 1, True])
        await connection.send([T0 + 2 * MINUTE, 2, 2, 2, 2, 1, True])
        await connection.stay()

    exchange = Exchange(time, script)
    md = opened()
    async with exchange.serving():
        await first(md.follow(*BTC, exchange.stream()), 3)
    assert md.candles(*BTC)["close"].tolist() == [1.5, 2, 2]
    stats = md.stats()["live"]
    assert (stats["candles"], stats["revised"], stats["ignored"]) == (3, 1, 1)


@in_event_loop
async def test_the_forming_candle_is_readable_and_never_stored(opened, time):
    async def script(exchange, connection):
        await connection.send(exchange.trade(T0 + 1))
        await connection.send(exchange.trade(T0 + MINUTE + 1, 7.0, 2.0))
        await connection.send(exchange.trade(T0 + MINUTE + 5_000, 9.0, 2.0))
        await connection.send(exchange.trade(T0 + MINUTE + 4_000, 8.0, 1.0))
        await connection.stay()

    exchange = Exchange(time, script)
    md = opened(exchange)
    async with exchange.serving():
        candles = md.follow(*BTC, exchange.stream())
        assert (await anext(candles))["timestamp"] == T0
        while md.forming(*BTC) is None or md.forming(*BTC)["volume"] < 5.0:
            await asyncio.sleep(0.001)
        assert list(md.forming(*BTC).values()) == [T0 + MINUTE, 7.0, 9.0, 7.0, 9.0, 5.0]
        assert len(md.candles(*BTC, fetch=False)) == 1
        await candles.aclose()
    assert md.forming(*BTC) is None


@in_event_loop
async def test_a_slow_consumer_loses_nothing_and_holds_nothing_up(opened, time):
    sent = asyncio.Event()

    async def script(exchange, connection):
        for minute in range(1_200):
            await connection.send(exchange.trade(T0 + minute * MINUTE + 1, minute + 1))
        sent.set()
        await connection.stay()

    exchange = Exchange(time, script)
    md = opened(exchange)
    async with exchange.serving(), aclosing(md.follow(*BTC, exchange.stream())) as candles:
        seen = [await anext(candles)]
        await sent.wait()
        while md.stats()["live"]["candles"] < 1_196:
            await asyncio.sleep(0.01)
        async for candle in candles:
            seen.append(candle)
            if len(seen) == 1_198:
                break
    assert rows(seen) == truth(exchange)[:1_198]


@in_event_loop
async def test_followers_of_one_stream_share_a_connection_until_the_last_has_gone(opened, time):
    async def script(exchange, connection):
        for minute in range(20):
            await connection.send(exchange.trade(T0 + minute * MINUTE))
            await asyncio.sleep(0.005)
        await connection.stay()

    exchange = Exchange(time, script)
    md = opened(exchange)
    async with exchange.serving():
        stream = exchange.stream()
        one, other = md.follow(*BTC, stream), md.follow(*BTC, stream)
        both = await asyncio.gather(first(one, 5), first(other, 10))
        assert both[0] == both[1][:5]
        assert exchange.connections == 1
        await first(md.follow(*BTC, stream), 2, time)
        assert exchange.connections == 2


@in_event_loop
async def test_leaving_the_loop_or_cancelling_closes_the_connection(opened, time):
    async def script(exchange, connection):
        for minute in range(5):
            await connection.send(exchange.trade(T0 + minute * MINUTE))
        await connection.stay()

    exchange = Exchange(time, script)
    md = opened(exchange)
    ours = asyncio.all_tasks()
    async with exchange.serving():
        async for _ in md.follow(*BTC, exchange.stream()):
            break

        async def follow():
            async for _ in md.follow(*BTC, exchange.stream()):
                pass

        task = asyncio.create_task(follow())
        while exchange.connections < 2:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while exchange.open_connections:
            await asyncio.sleep(0.001)
        assert md.stats()["live"]["following"] == 0
    assert asyncio.all_tasks() == ours


@in_event_loop
async def test_closing_the_store_ends_the_iteration(opened, time):
    async def script(exchange, connection):
        for minute in range(5):
            await connection.send(exchange.trade(T0 + minute * MINUTE))
        await connection.stay()

    exchange = Exchange(time, script)
    md = opened(exchange)
    async with exchange.serving():
        candles = md.follow(*BTC, exchange.stream())
        await anext(candles)
        await asyncio.to_thread(md.close)
        assert all([candle["close"] == 100.0 async for candle in candles])
        with pytest.raises(StoreError, match="open it again"):
            await anext(md.follow(*BTC, exchange.stream()))


class Given:
    """A stream that gives these messages, or errors; those of the last connection stay the last."""

    def __init__(self, *connections):
        self.connections = list(connections)

    async def watch(self, symbol, timeframe):
        for message in self.connections.pop(0):
            if isinstance(message, Exception):
                raise message
            yield message
        if not self.connections:
            await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("messages", "error", "text"),
    [
        ([{"pair": "BTC"}], InvalidArgument, "neither|cannot be read"),
        (["BTC"], InvalidArgument, "neither candle nor trade"),
        ([[T0, 1.0]], InvalidArgument, "neither candle nor trade"),
        ([UnknownSymbol("symbol 'X' is not known")], UnknownSymbol, "symbol 'X'"),
        ([TypeError("a mistake")], TypeError, "a mistake"),
    ],
)
@in_event_loop
async def test_what_another_try_would_not_mend_ends_the_iteration(opened, messages, error, text):
    md = opened()
    with pytest.raises(error, match=text):
        await anext(md.follow(*BTC, Given(messages)))
    assert md.stats()["live"]["following"] == 0


@pytest.mark.parametrize(
    "wrong",
    [
        (T0 + 81_000, float("nan"), 1.0),
        (T0 + 81_000, 1.0, float("inf")),
        (T0 + 81_000, 1.0, -1.0),
        (T0 + 10 * MINUTE, 1.0, 1.0),
    ],
    ids=["price", "amount", "negative", "future"],
)
@in_event_loop
async def test_a_trade_that_cannot_be_true_spoils_no_candle(opened, time, wrong):
    exchange = Exchange(time, None)
    trades = [exchange.trade(T0 + 1000 * second, 1.0 + second) for second in range(0, 200, 20)]
    md = opened(exchange)
    stream = Given([*trades[:5], wrong], trades[5:])
    time.now = T0
    seen = await first(md.follow(*BTC, stream), 3, time)
    assert rows(seen) == truth(exchange)[:3]
    assert md.stats()["live"]["error:SourceUnavailable"] == 1


@in_event_loop
async def test_candles_among_trades_are_refused(opened, time):
    time.set(T0 + MINUTE)
    with pytest.raises(SourceError, match="let it give one kind"):
        await anext(opened().follow(*BTC, Given([(T0, 1.0, 1.0), [T0, 1, 1, 1, 1, 1]])))


def test_a_source_that_cannot_be_watched_is_refused_at_once(opened):
    with pytest.raises(InvalidArgument, match=r"watch\(symbol, timeframe\)"):
        opened().follow(*BTC, object())
    with pytest.raises(InvalidArgument, match="grace_seconds"):
        opened().follow(*BTC, Given([]), grace_seconds=-1)


class Hanging:
    """Messages, and then a connection that stays open and silent until it is reset."""

    def __init__(self, time, *messages):
        self.time = time
        self.messages = messages
        self.is_silent = False
        self.reset = asyncio.Event()

    async def watch(self, symbol, timeframe):
        for message in self.messages:
            self.time.set(moment(message))
            yield message
        self.is_silent = True
        await self.reset.wait()
        raise ConnectionError("reset")


HALF = {
    "updates": [[T0, 1, 1, 1, 1, 1, True], [T0 + MINUTE, 1, 1, 1, 1, 0.5, False]],
    "trades": [(T0 - 1, 1, 1), (T0 + 1, 1, 1), (T0 + MINUTE + 3_000, 1, 0.5)],
}


@pytest.mark.parametrize("messages", HALF.values(), ids=HALF)
@pytest.mark.parametrize("is_reset", [False, True])
@in_event_loop
async def test_half_a_candle_is_not_final_because_a_connection_is_silent(
    opened, time, messages, is_reset
):
    md = opened()
    stream = Hanging(time, *messages)
    given = []

    async def follow():
        async with aclosing(md.follow(*BTC, stream, venue="test")) as candles:
            async for candle in candles:
                given.append(candle["timestamp"])  # noqa: PERF401  # each as it comes

    time.now = T0 - 1
    following = asyncio.create_task(follow())
    async for _ in passing(time, begins=lambda: stream.is_silent):
        if given and time.now > T0 + 10 * MINUTE:
            break
    if is_reset:
        stream.reset.set()
        while not md.stats()["live"].get("drops"):
            await asyncio.sleep(0.001)
    following.cancel()
    await asyncio.wait([following])
    assert given == [T0]
    assert md.coverage(*BTC, venue="test") == [(T0, T0 + MINUTE)]
    assert len(md.candles(*BTC, venue="test", fetch=False)) == 1


@in_event_loop
async def test_history_tells_what_a_silent_connection_does_not(opened, time):
    exchange = Exchange(time, None)
    for minute in range(5):
        exchange.trade(T0 + minute * MINUTE, 2.0, 2.0)
    md = opened(exchange)
    stream = Hanging(time, [T0, 2, 2, 2, 2, 2, True], [T0 + MINUTE, 2, 2, 2, 2, 0.5, False])
    seen = await first(md.follow(*BTC, stream), 5, time)
    assert rows(seen) == truth(exchange)[:5]
    assert md.candles(*BTC, as_="ccxt", fetch=False) == truth(exchange)[:5]


@in_event_loop
async def test_a_stream_of_old_candles_is_given_whole_and_covers_nothing_after_them(opened, time):
    time.set(T0 + 10_000 * MINUTE)
    exchange = Exchange(time, None)
    old = [[T0 + minute * MINUTE, 1, 1, 1, 1, 1, True] for minute in range(5)]
    for source in (None, exchange):
        md = opened(source)
        seen = await first(md.follow(*BTC, Hanging(time, *old), venue="test"), 5, time)
        assert rows(seen) == [message[:6] for message in old]
        assert md.coverage(*BTC, venue="test") == [(T0, T0 + 5 * MINUTE)]
        assert exchange.asked == []
        md.delete(*BTC, venue="test")
