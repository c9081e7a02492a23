"""Whatever happens on the way, the stored history is the venue's."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import aclosing
from pathlib import Path

import stamina
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from live_exchange import GRID, MINUTE, T0, Exchange, Time, in_event_loop, passing

from ohlcache.candles import to_frame
from ohlcache.history import MarketData, SQLiteEngine, Store

BTC = ("BTC/USDT", "1m")

# What becomes of a trade on its way: it may be sent twice, be overtaken by the next one, be the
# last before the connection is lost, or happen while nobody listens; history may fail for a while.
fates = st.sampled_from(["sent"] * 6 + ["twice", "overtaken", "last", "unheard", "history fails"])
trades = st.lists(
    st.tuples(
        fates,
        st.sampled_from([0, 0, 1, 900, 5_000, 20_000, 59_000, 61_000, 200_000]),
        st.integers(1, 9),
        st.integers(1, 8),
    ),
    min_size=1,
    max_size=40,
)

OVERTAKEN_WITHIN_A_MILLISECOND = [
    ("sent", 59_000, 4, 2),
    ("overtaken", 5_000, 3, 6),
    ("sent", 0, 5, 2),
    ("sent", 61_000, 4, 1),
]

TWO_HOLES_THAT_HISTORY_HAS_NOT_YET = [
    ("sent", 0, 2, 8),
    ("sent", 0, 2, 2),
    ("unheard", 200_000, 3, 8),
    ("twice", 200_000, 8, 1),
]


class Scripted:
    """Plays a script of trades over as many connections as it takes."""

    def __init__(self, script, *, as_candles):
        self.left = list(script)
        self.as_candles = as_candles
        self.time = T0
        self.is_played = False

    async def __call__(self, exchange, connection):
        held = []
        while self.left:
            fate, wait, price, quarters = self.left.pop(0)
            self.time += wait
            trade = exchange.trade(self.time, float(price), quarters / 4)
            if fate == "unheard":
                self.skip(exchange)
                return
            if fate == "history fails":
                exchange.failures = 3
            messages = [self.message(exchange, trade)] * (2 if fate == "twice" else 1)
            if fate == "overtaken":
                held += messages
                continue
            for message in (*messages, *held):
                await connection.send(message)
            held = []
            if fate == "last":
                return
        for message in held:
            await connection.send(message)
        self.is_played = True
        await connection.stay()

    def skip(self, exchange):
        """Trades go on while the connection is down."""
        while self.left and self.left[0][0] != "sent":
            _, wait, price, quarters = self.left.pop(0)
            self.time += wait
            exchange.trade(self.time, float(price), quarters / 4)

    def message(self, exchange, trade):
        if not self.as_candles:
            return trade
        block = exchange.candles(closed_until=GRID.next(trade["timestamp"]))
        return [int(block.times[-1]), *block.values[:, -1].tolist()]


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(script=trades, as_candles=st.booleans())
@example(script=OVERTAKEN_WITHIN_A_MILLISECOND, as_candles=False)
@example(script=TWO_HOLES_THAT_HISTORY_HAS_NOT_YET, as_candles=False)
def test_the_stored_history_is_the_venues_whatever_happens_to_the_stream(script, as_candles):
    with tempfile.TemporaryDirectory() as folder, stamina.set_testing(True, attempts=10_000):
        follow_to_the_end(Path(folder), script, as_candles)


@in_event_loop
async def follow_to_the_end(folder, script, as_candles):
    time = Time(T0)
    scripted = Scripted(script, as_candles=as_candles)
    exchange = Exchange(time, scripted)
    store = Store(SQLiteEngine(folder / "store.sqlite", 5.0))
    md = MarketData(store, exchange, clock=time, sleep=time.sleep)
    given_times = []

    async def follow():
        async with aclosing(md.follow(*BTC, exchange.stream())) as candles:
            async for candle in candles:
                given_times.append(candle["timestamp"])  # noqa: PERF401  # each as it comes

    async with exchange.serving():
        following = asyncio.create_task(follow())
        end = GRID.next(scripted.time + sum(wait for _, wait, _, _ in script))
        # Until then time is that of the messages: no trade happens in a past that history has told.
        async for _ in passing(time, begins=lambda: scripted.is_played):
            if following.done():
                break
            if scripted.is_played and time.now > end + 3 * MINUTE and is_whole(md, exchange, end):
                break
        following.cancel()
        await asyncio.wait([following])
    assert following.cancelled(), following.exception()
    assert given_times == sorted(set(given_times))
    assert stored(md, end, fetch=True) == truth(exchange, end)
    assert md.verify().ok
    md.close()


def is_whole(md, exchange, end):
    return stored(md, end, fetch=True) == truth(exchange, end)


def stored(md, end, *, fetch):
    return md.candles(*BTC, T0, end, as_="ccxt", fetch=fetch)


def truth(exchange, end):
    block = exchange.candles(closed_until=end)
    return to_frame(block, "ccxt")
