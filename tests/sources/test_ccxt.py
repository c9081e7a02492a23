"""ccxt against a real HTTP server that imitates exchanges: nothing of ccxt itself is replaced."""

import asyncio
import sys
import threading
from types import SimpleNamespace

import pytest

from exchange_server import MINUTE, FakeExchange
from ohlcache.errors import (
    InvalidArgument,
    MissingExtra,
    SourceError,
    SourceUnavailable,
    UnknownSymbol,
    UnsupportedBySource,
)
from ohlcache.sources import ccxt as module
from ohlcache.sources.ccxt import CcxtSource
from ohlcache.sources.protocol import Source

ccxt = pytest.importorskip("ccxt")

HOUR, DAY = 60 * MINUTE, 1440 * MINUTE
NOW = 1_704_890_096_000  # 2024-01-10T12:34:56Z
MINUTE_NOW = NOW - NOW % MINUTE
LISTED = NOW - NOW % DAY - 20 * DAY
ONLY_SPOT = {"fetchMarkets": {"types": ["spot"]}}


@pytest.fixture
def exchange():
    fake = FakeExchange(NOW, LISTED)
    yield fake
    fake.close()


class Clock:
    """This machine's clock, which only moves when told to."""

    def __init__(self, ms):
        self.ms = ms

    def __call__(self):
        return self.ms


@pytest.fixture
def open_source(exchange):
    """Sources of the fake exchange, closed at the end."""
    sources = []

    def open_source(name="binance", clock=None, **options):
        url = exchange.url + ("/api/v3" if name == "binance" else "")
        options = {"options": ONLY_SPOT, **options} if name == "binance" else options
        source = CcxtSource(
            name,
            clock=clock or Clock(NOW),
            urls={"api": {"public": url}},
            rateLimit=0.01,
            **options,
        )
        sources.append(source)
        return source

    yield open_source
    for source in sources:
        source.close()


def expected(exchange, start, end, interval="1m"):
    return [row[0] for row in exchange.rows(interval) if start <= row[0] < end]


def opens(rows):
    return [row[0] for row in rows]


class TestFetching:
    def test_rows(self, exchange, open_source):
        start = NOW - NOW % DAY
        rows = open_source().fetch("BTC/USDT", "1m", start, start + 3 * MINUTE)
        assert opens(rows) == [start, start + MINUTE, start + 2 * MINUTE]
        price = start / 1e9
        assert rows[0] == [start, price, price + 1, price - 1, price, 1.0]

    def test_what_is_asked_of_the_exchange(self, exchange, open_source):
        start = NOW - NOW % DAY
        open_source().fetch("BTC/USDT", "1h", start, start + 5 * HOUR)
        assert exchange.requests[-1] == (
            "/api/v3/klines",
            {
                "symbol": "BTCUSDT",
                "interval": "1h",
                "startTime": str(start),
                "endTime": str(start + 5 * HOUR - 1),
                "limit": "5",
            },
        )

    def test_page_after_page(self, exchange, open_source):
        source = open_source()
        exchange.holes = [(LISTED + 3 * HOUR, LISTED + 3 * HOUR + 7 * MINUTE)]
        start, end = LISTED, LISTED + 2_500 * MINUTE
        found, at = [], start
        while at < end:
            page = source.fetch("BTC/USDT", "1m", at, min(end, at + 1000 * MINUTE))
            found += opens(page)
            at = found[-1] + MINUTE
        assert found == expected(exchange, start, end)
        assert exchange.counts()["klines"] == 3
        assert exchange.counts()["exchangeInfo"] == 1

    def test_an_exchange_that_gives_less_than_asked(self, exchange, open_source):
        exchange.most_rows = 100
        rows = open_source().fetch("BTC/USDT", "1m", LISTED, LISTED + DAY)
        assert opens(rows) == expected(exchange, LISTED, LISTED + 100 * MINUTE)

    def test_a_page_without_trades_does_not_hide_the_next_one(self, exchange, open_source):
        """More is asked for than a page holds: the answer must not be taken for the whole."""
        exchange.holes = [(LISTED + HOUR, LISTED + 2 * DAY)]
        rows = open_source().fetch("BTC/USDT", "1m", LISTED + HOUR, LISTED + 3 * DAY)
        assert rows[0][0] == LISTED + 2 * DAY

    def test_null_fields_are_passed_on(self, exchange, open_source):
        exchange.null_at = LISTED + MINUTE
        rows = open_source().fetch("BTC/USDT", "1m", LISTED, LISTED + 3 * MINUTE)
        assert [row[3] is None for row in rows] == [False, True, False]

    def test_an_empty_range_asks_nothing(self, exchange, open_source):
        assert open_source().fetch("BTC/USDT", "1m", NOW, NOW) == []
        assert exchange.counts()["klines"] == 0

    def test_several_at_once_from_copies_with_the_same_markets(self, exchange, open_source):
        source = open_source(concurrency=3)
        exchange.barrier = threading.Barrier(3)  # lets them go only when all three are there
        answers = {}

        def fetch(hour):
            start = LISTED + hour * HOUR
            answers[hour] = opens(source.fetch("BTC/USDT", "1m", start, start + HOUR))

        threads = [threading.Thread(target=fetch, args=(hour,)) for hour in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert answers == {
            hour: expected(exchange, LISTED + hour * HOUR, LISTED + (hour + 1) * HOUR)
            for hour in range(3)
        }
        assert exchange.counts()["exchangeInfo"] == 1

    def test_an_exchange_object(self, exchange):
        binance = ccxt.binance({"options": ONLY_SPOT, "rateLimit": 0.01})
        binance.urls["api"]["public"] = exchange.url + "/api/v3"
        source = CcxtSource(binance, clock=Clock(NOW))
        rows = source.fetch("BTC/USDT", "1m", LISTED, LISTED + MINUTE)
        assert opens(rows) == [LISTED]
        source.close()
        assert binance.fetch_ohlcv("BTC/USDT", "1m", LISTED, 1)[0][0] == LISTED  # still of use


class TestErrors:
    start, end = NOW - NOW % DAY, NOW - NOW % DAY + HOUR

    def fetch(self, source, symbol="BTC/USDT", timeframe="1m"):
        return source.fetch(symbol, timeframe, self.start, self.end)

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (429, '{"code":-1003,"msg":"Too many requests"}'),
            (418, '{"code":-1003,"msg":"Way too many requests"}'),
            (503, "<html>Service Unavailable</html>"),
            (500, "{}"),
            (502, "Bad gateway\nsecond line"),
        ],
    )
    def test_what_passes_is_worth_another_try(self, exchange, open_source, status, body):
        source = open_source()
        self.fetch(source)
        exchange.faults["klines"] = [(status, body)]
        with pytest.raises(SourceUnavailable) as caught:
            self.fetch(source)
        assert str(caught.value).startswith(f"binance {status if status == 418 else ''}")
        assert "\n" not in str(caught.value)
        assert len(self.fetch(source)) == 60

    @pytest.mark.parametrize("path", ["exchangeInfo", "time"])
    def test_also_on_the_way_to_the_candles(self, exchange, open_source, path):
        source = open_source()
        exchange.faults[path] = [(503, "")]
        with pytest.raises(SourceUnavailable):
            self.fetch(source)
        assert len(self.fetch(source)) == 60

    def test_nobody_there(self):
        gone = FakeExchange(NOW, LISTED)
        gone.close()
        source = CcxtSource("binance", urls={"api": {"public": gone.url}}, options=ONLY_SPOT)
        with pytest.raises(SourceUnavailable, match="binance GET http://127.0.0.1"):
            self.fetch(source)
        source.close()

    @pytest.mark.parametrize(
        ("path", "status", "body", "message"),
        [
            ("klines", 400, '{"code":-1100,"msg":"Illegal characters"}', "Illegal characters"),
            ("time", 200, "{}", "binance gave an answer that ccxt cannot read"),
            ("exchangeInfo", 200, '{"symbols": [5]}', "binance parseMarket"),
            # ccxt takes these for no candles at all; those of a longer timeframe say otherwise
            ("klines", 200, '{"klines": 5}', "binance gives 1m candles of BTC/USDT only from"),
            ("klines", 200, '[[1, 2, 3], 5, "x"]', "binance gives 1m candles of BTC/USDT only"),
        ],
    )
    def test_what_does_not_pass(self, exchange, open_source, path, status, body, message):
        source = open_source()
        exchange.faults[path] = [(status, body)]
        with pytest.raises(SourceError, match=message) as caught:
            self.fetch(source)
        assert not isinstance(caught.value, SourceUnavailable)

    def test_unknown_symbol(self, open_source):
        with pytest.raises(UnknownSymbol, match=r"symbol 'BTC/USDC' is not known at binance: did "
                                                r"you mean BTC/USDT or ETH/USDT\?"):  # fmt: skip
            self.fetch(open_source(), "BTC/USDC")
        with pytest.raises(UnknownSymbol, match="symbols are written as in BTC/USDT"):
            self.fetch(open_source(), "?")

    def test_unknown_timeframe(self, open_source):
        with pytest.raises(UnsupportedBySource, match=r"timeframe 7m is not offered by binance: "
                                                      r"use one of .*15m.*1d"):  # fmt: skip
            self.fetch(open_source(), timeframe="7m")


class TestTime:
    def test_the_exchange_decides(self, exchange, open_source):
        clock = Clock(NOW + 90_000)  # this machine is a minute and a half ahead
        source = open_source(clock=clock)
        assert source.now() == NOW
        clock.ms += 1_000
        assert source.now() == NOW + 1_000
        assert exchange.counts()["time"] == 1

    def test_it_is_asked_again_after_some_minutes(self, exchange, open_source):
        clock = Clock(NOW)
        source = open_source(clock=clock)
        assert source.now() == NOW
        clock.ms += 5 * MINUTE
        exchange.now += 5 * MINUTE - 700
        assert source.now() == NOW + 5 * MINUTE - 700
        assert exchange.counts()["time"] == 2

    def test_the_way_of_the_answer_counts_as_late_never_as_early(self, exchange, open_source):
        ticks = iter(range(NOW, NOW + 10_000, 400))  # each look at the clock takes 400 ms
        source = open_source(clock=lambda: next(ticks))
        for _ in range(3):
            assert source.now() - next(ticks) < 0

    def test_a_passing_failure_keeps_the_last_measure(self, exchange, open_source):
        clock = Clock(NOW + 90_000)
        source = open_source(clock=clock)
        source.now()
        clock.ms += 6 * MINUTE
        exchange.faults["time"] = [(503, ""), (503, "")]
        assert source.now() == NOW + 6 * MINUTE
        assert source.now() == NOW + 6 * MINUTE  # and is not asked at every look
        assert exchange.counts()["time"] == 2

    def test_unreachable_from_the_start_this_machine_stands_in(self, exchange, open_source):
        exchange.faults["time"] = [(503, "")] * 9
        source = open_source(clock=Clock(NOW - 3_000))
        assert source.now() == NOW - 3_000
        assert source.now() == NOW - 3_000
        assert exchange.counts()["time"] == 1

    def test_but_nothing_is_fetched_on_a_guess(self, exchange, open_source):
        exchange.faults["time"] = [(503, ""), (503, "")]
        source = open_source(clock=Clock(NOW - 3_000))
        source.now()
        with pytest.raises(SourceUnavailable):
            source.fetch("BTC/USDT", "1m", LISTED, LISTED + HOUR)
        assert len(source.fetch("BTC/USDT", "1m", LISTED, LISTED + HOUR)) == 60
        assert source.now() == NOW

    def test_a_guess_that_was_ahead_is_refused_once(self, exchange, open_source):
        exchange.faults["time"] = [(503, "")]
        source = open_source(clock=Clock(NOW + 90_000))
        assert source.now() == NOW + 90_000
        with pytest.raises(SourceError, match=r"clock is 90\.0 s ahead of binance's") as caught:
            source.fetch("BTC/USDT", "1m", LISTED, LISTED + HOUR)
        assert not isinstance(caught.value, SourceUnavailable)  # trying on with that time is wrong
        assert source.now() == NOW
        assert len(source.fetch("BTC/USDT", "1m", LISTED, LISTED + HOUR)) == 60

    def test_an_exchange_that_tells_no_time(self, exchange, open_source):
        source = open_source(clock=Clock(NOW + 5), has={"fetchTime": False})
        assert source.now() == NOW + 5
        assert len(source.fetch("BTC/USDT", "1m", LISTED, LISTED + HOUR)) == 60
        assert exchange.counts()["time"] == 0

    def test_the_clocks_of_this_machine(self, exchange):
        source = CcxtSource("binance", has={"fetchTime": False})
        assert source.now() > NOW
        assert module._steady_clock()() == pytest.approx(source.now(), abs=60_000)
        source.close()


class TestDepth:
    def test_kraken_refuses_what_it_no_longer_has(self, exchange, open_source):
        source = open_source("kraken")
        oldest = MINUTE_NOW - 699 * MINUTE
        with pytest.raises(UnsupportedBySource, match=r"kraken gives 1m candles of BTC/USD only "
                                                      r"from 2024-01-10T00:55Z on: start there, "
                                                      r"or import older ones"):  # fmt: skip
            source.fetch("BTC/USD", "1m", oldest - MINUTE, oldest + HOUR)
        assert exchange.counts()["OHLC"] == 0
        rows = source.fetch("BTC/USD", "1m", oldest, oldest + HOUR)
        assert opens(rows)[:60] == expected(exchange, oldest, oldest + HOUR)
        assert source.capabilities.page_size == 700

    def test_longer_timeframes_of_kraken_reach_further_back(self, exchange, open_source):
        rows = open_source("kraken").fetch("BTC/USD", "1h", LISTED, LISTED + DAY)
        assert opens(rows)[:24] == expected(exchange, LISTED, LISTED + DAY, "1h")

    def test_any_exchange_that_gives_only_its_newest_candles(self, exchange, open_source):
        exchange.newest_only = 300
        source = open_source()
        with pytest.raises(UnsupportedBySource, match="gives 1m candles of BTC/USDT only from"):
            source.fetch("BTC/USDT", "1m", LISTED, LISTED + 10 * HOUR)
        recent = MINUTE_NOW - 200 * MINUTE
        rows = source.fetch("BTC/USDT", "1m", recent, recent + 200 * MINUTE)
        assert opens(rows) == expected(exchange, recent, MINUTE_NOW + MINUTE)

    def test_an_exchange_that_counts_back_from_now(self, exchange, open_source):
        """Asked for n candles since some moment, it gives the n newest, of which one forms."""
        exchange.newest_only = 300
        source = open_source()
        for ago in (1, 2, 3, 4, 9, 13, 14, 20, 33):
            start = MINUTE_NOW - ago * MINUTE
            end = start + min(3, ago) * MINUTE
            try:
                rows = source.fetch("BTC/USDT", "1m", start, end)
            except UnsupportedBySource:
                continue
            assert [t for t in opens(rows) if t < end] == expected(exchange, start, end), ago

    def test_the_edge_of_what_is_left_within_a_page(self, exchange, open_source):
        exchange.newest_only = 300
        start = MINUTE_NOW - 500 * MINUTE
        with pytest.raises(UnsupportedBySource, match="only from 2024-01-10T07:35Z on"):
            open_source().fetch("BTC/USDT", "1m", start, MINUTE_NOW + MINUTE)

    def test_before_the_listing_there_is_nothing(self, exchange, open_source):
        source = open_source()
        assert source.fetch("BTC/USDT", "1m", LISTED - 5 * DAY, LISTED - 4 * DAY) == []
        asked = exchange.counts()["klines"]
        for day in range(5, 1, -1):  # known from the first answer
            start = LISTED - day * DAY
            assert source.fetch("BTC/USDT", "1m", start, start + DAY - MINUTE) == []
        assert exchange.counts()["klines"] == asked
        rows = source.fetch("BTC/USDT", "1m", LISTED - HOUR, LISTED + MINUTE)
        assert opens(rows) == [LISTED]

    def test_an_outage_is_a_hole_of_its_own(self, exchange, open_source):
        exchange.holes = [(LISTED + DAY, LISTED + 2 * DAY)]
        source = open_source()
        start = LISTED + DAY
        assert source.fetch("BTC/USDT", "1m", start, start + 10 * HOUR) == []
        rows = source.fetch("BTC/USDT", "1m", start + 20 * HOUR, start + 25 * HOUR)
        assert opens(rows) == expected(exchange, start, start + 25 * HOUR)

    def test_a_hole_behind_a_candle_is_believed(self, exchange, open_source):
        exchange.holes = [(LISTED + DAY, LISTED + DAY + 9 * MINUTE)]
        source, start = open_source(), LISTED + DAY
        rows = source.fetch("BTC/USDT", "1m", start, start + HOUR)
        assert opens(rows) == expected(exchange, start, start + HOUR)
        assert exchange.counts()["klines"] == 2
        assert source.fetch("BTC/USDT", "1m", start, start + 9 * MINUTE) == []
        assert exchange.counts()["klines"] == 2  # known

    def test_a_few_candles_before_the_listing(self, exchange, open_source):
        start = LISTED - 3 * MINUTE
        rows = open_source().fetch("BTC/USDT", "1m", start, start + HOUR)
        assert opens(rows) == expected(exchange, start, start + HOUR)

    def test_silence_of_just_now_is_not_remembered(self, exchange, open_source):
        start = MINUTE_NOW - 30 * MINUTE
        exchange.holes = [(start, NOW)]
        source = open_source()
        assert source.fetch("BTC/USDT", "1m", start, MINUTE_NOW) == []
        exchange.holes = []  # published late
        assert len(source.fetch("BTC/USDT", "1m", start, MINUTE_NOW)) == 30

    def test_the_longest_timeframe_cannot_be_checked(self, exchange, open_source):
        exchange.newest_only = 2
        rows = open_source(timeframes={"1w": "1w"}).fetch(
            "BTC/USDT", "1w", LISTED - 90 * DAY, LISTED - 2 * DAY
        )
        assert rows == [] or rows[0][0] > LISTED - 90 * DAY


class TestMaking:
    def test_capabilities(self, open_source):
        capabilities = open_source(concurrency=2).capabilities
        assert capabilities.page_size == 1000
        assert capabilities.concurrency == 2
        assert {"1m", "1h", "1d", "1w", "1M"} <= capabilities.timeframes
        assert CcxtSource("binance").capabilities.requests_per_second == pytest.approx(20)
        swap = CcxtSource("binance", options={"defaultType": "swap"})
        assert swap.capabilities.page_size == 500

    def test_names(self, exchange):
        binance = ccxt.binance()
        assert CcxtSource(binance).venue == "binance"
        binance.set_sandbox_mode(True)
        assert CcxtSource(binance).venue == "binance-sandbox"
        assert isinstance(CcxtSource(binance), Source)

    def test_timeframes_of_other_names(self):
        class Odd(ccxt.binance):
            def describe(self):
                return {**super().describe(), "timeframes": None}

        odd = Odd()
        odd.timeframes = {"60m": "60", "1h": "1", "24h": "d", "1y": "y", "tick": "t"}
        assert CcxtSource(odd)._timeframes == {"1h": "60m", "1d": "24h"}

    @pytest.mark.parametrize(
        ("name", "hint"),
        [("binanse", "did you mean .*binance"), ("Kraken", "did you mean .*kraken"),
         ("zzzzqqqq", "see ccxt.exchanges")],
    )  # fmt: skip
    def test_unknown_names(self, name, hint):
        with pytest.raises(
            InvalidArgument, match=f"exchange '{name}' is not known to ccxt: {hint}"
        ):
            CcxtSource(name)

    @pytest.mark.parametrize("thing", [None, 5, object(), ccxt.binance])
    def test_what_is_no_exchange(self, thing):
        with pytest.raises(InvalidArgument, match="give a name such as 'binance', or an object"):
            CcxtSource(thing)

    def test_an_asynchronous_exchange(self):
        async def make():
            import ccxt.async_support

            binance = ccxt.async_support.binance()
            try:
                with pytest.raises(InvalidArgument, match=r"the synchronous ccxt\.binance\(\)"):
                    CcxtSource(binance)
            finally:
                await binance.close()

        asyncio.run(make())

    def test_options_belong_to_a_name(self):
        with pytest.raises(InvalidArgument, match="options timeout are for an exchange given by"):
            CcxtSource(ccxt.binance(), timeout=5)

    def test_concurrency(self):
        with pytest.raises(InvalidArgument, match="concurrency is 0"):
            CcxtSource("binance", concurrency=0)

    def test_an_exchange_without_candles(self):
        with pytest.raises(UnsupportedBySource, match="coinmate gives no candles"):
            CcxtSource("coinmate")

    def test_every_exchange_with_candles_can_be_made(self):
        """Nothing of this needs a network: limits, timeframes and copies of all of them."""
        for name in ccxt.exchanges:
            if getattr(ccxt, name)().has.get("fetchOHLCV") is True:
                source = CcxtSource(name)
                assert source.capabilities.page_size > 0
                assert source.capabilities.timeframes
                source.close()
        assert set(module._NEWEST_ONLY) <= set(ccxt.exchanges)

    def test_without_ccxt(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "ccxt", None)
        with pytest.raises(MissingExtra, match=r"pip install 'ohlcache\[ccxt\]'"):
            CcxtSource("binance")


def test_requests_of_all_copies_keep_their_distance(monkeypatch):
    now, slept = [100.0], []
    clock = SimpleNamespace(monotonic=lambda: now[0], sleep=slept.append)
    monkeypatch.setattr(module, "time", clock)
    throttle = module._Throttle(200)
    throttle()  # at once
    throttle()  # 0.2 s later
    throttle(2)  # another 0.2 s, and takes two turns
    throttle()
    assert slept == pytest.approx([0.2, 0.4, 0.8])
    now[0] += 5
    throttle()
    assert len(slept) == 3
