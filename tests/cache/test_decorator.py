"""``@cached``: keys, methods, async functions, lists of keys, and what the function gets."""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import dataclass
from enum import Enum

import numpy as np
import pandas as pd
import pytest

import ohlcache
from cache_doors import until_live
from ohlcache.errors import InvalidArgument


@pytest.fixture
def cache(make_cache):
    return make_cache("memory")


@pytest.fixture
def shared(make_cache):
    made = make_cache("sqlite")
    until_live(made)
    return made


@pytest.fixture
def runs():
    return []


class Side(Enum):
    BUY = "buy"


@dataclass
class Venue:
    name: str


class TestKeys:
    def test_defaults_and_names_make_no_difference(self, cache, runs):
        @cache.cached()
        def price(symbol, quote="USDT", *, days=1):
            runs.append(symbol)
            return symbol, quote, days

        first = price("BTC")
        assert price("BTC", "USDT") == price(symbol="BTC") == price("BTC", days=1) == first
        assert price(quote="USDT", days=1, symbol="BTC") == first
        assert len(runs) == 1
        price("BTC", days=2)
        assert len(runs) == 2

    def test_equal_arguments_of_other_types_are_others(self, cache, runs):
        @cache.cached()
        def same(value):
            runs.append(value)
            return type(value)

        values = [1, 1.0, True, "1", b"1", (1,), [1], np.float64(1), Side.BUY, "buy", None]
        for _ in range(2):
            assert [same(value) for value in values] == [type(value) for value in values]
        assert len(runs) == len(values)

    def test_zeros_of_either_sign_are_two(self, cache):
        @cache.cached()
        def text(value):
            return repr(value)

        assert [text(0.0), text(-0.0), text(0.0), text(-0.0)] == ["0.0", "-0.0"] * 2

    def test_unhashable_arguments_count_by_content(self, cache, runs):
        @cache.cached()
        def total(data, options=None):
            runs.append(1)
            return float(np.sum(np.asarray(data)))

        frame = pd.DataFrame({"a": [1.0, 2.0]})
        assert total([1, 2], {"x": [1], "y": {2}}) == total([1, 2], {"y": {2}, "x": [1]}) == 3.0
        assert total(frame) == total(frame.copy()) == 3.0
        assert total(np.array([1.0, 2.0])) == total(np.array([1.0, 2.0]))
        assert len(runs) == 3
        frame.loc[0, "a"] = 5.0
        assert total(frame) == 7.0

    def test_a_template_names_the_key(self, cache):
        @cache.cached("features", key="feature:{name}:{days}")
        def feature(name, days=3, verbose=False):
            return name * days

        assert feature("ab", verbose=True) == "ababab"
        assert cache.get("feature:ab:3", "features") == "ababab"
        assert feature("ab") == "ababab"

    def test_a_template_that_does_not_fit_is_named(self, cache):
        @cache.cached(key="{symbl}")
        def price(symbol):
            return 1

        with pytest.raises(InvalidArgument, match="'{symbl}'.*use symbol"):
            price("BTC")

    def test_a_callable_makes_the_key(self, cache, runs):
        @cache.cached(key=lambda connection, symbol: ("price", symbol))
        def price(connection, symbol):
            runs.append(symbol)
            return 1.0

        price(object(), "BTC")
        price(object(), "BTC")
        assert runs == ["BTC"]
        assert cache.get(("price", "BTC")) == 1.0

    def test_what_has_no_content_is_named(self, cache):
        @cache.cached()
        def use(connection):
            return 1

        with pytest.raises(TypeError, match=r"argument connection.*key="):
            use(object())

    def test_functions_of_one_name_in_different_places_are_apart(self, cache):
        def make(value):
            if value:

                @cache.cached()
                def one():
                    return 1

                return one

            @cache.cached()
            def two():
                return 2

            return two

        assert [make(True)(), make(False)()] == [1, 2]


class TestWhatTheFunctionGets:
    def test_the_signature_is_kept(self, cache):
        @cache.cached()
        def price(symbol: str, days: int = 1) -> float:
            """The price."""
            return 1.0

        assert price.__name__ == "price"
        assert inspect.getdoc(price) == "The price."
        assert str(inspect.signature(price)) == "(symbol: 'str', days: 'int' = 1) -> 'float'"

    def test_invalidate_refresh_and_counts(self, cache, runs):
        @cache.cached()
        def price(symbol):
            runs.append(symbol)
            return len(runs)

        assert [price("A"), price("A"), price("A")] == [1, 1, 1]
        assert price.cache_info() == (2, 1, 1)
        price.invalidate("A")
        assert price("A") == 2
        assert price.refresh(symbol="A") == 3
        assert price("A") == 3
        price.invalidate("never asked for")

    def test_none_is_cached(self, cache, runs):
        @cache.cached()
        def find(symbol):
            runs.append(symbol)

        assert find("X") is find("X") is None
        assert len(runs) == 1

    def test_errors_are_not_cached(self, cache, runs):
        @cache.cached()
        def fail():
            runs.append(1)
            raise OSError("down")

        for _ in range(2):
            with pytest.raises(OSError, match="down"):
                fail()
        assert len(runs) == 2

    def test_tags_may_depend_on_the_call(self, cache, runs):
        @cache.cached(tags=lambda symbol: [symbol])
        def price(symbol):
            runs.append(symbol)
            return 1

        price("A")
        price("B")
        cache.invalidate_tag("A")
        price("A")
        price("B")
        assert runs == ["A", "B", "A"]

    def test_a_generator_is_refused(self, cache):
        with pytest.raises(InvalidArgument, match="generator"):

            @cache.cached()
            def rows():
                yield 1

    def test_an_unknown_category_is_named_at_the_call(self, cache):
        @cache.cached("nowhere")
        def price():
            return 1

        with pytest.raises(InvalidArgument, match="'nowhere'"):
            price()


class TestMethods:
    def test_instances_have_their_own_values(self, cache, runs):
        class Api:
            def __init__(self, factor):
                self.factor = factor

            @cache.cached()
            def price(self, amount):
                runs.append(amount)
                return self.factor * amount

        two, three = Api(2), Api(3)
        assert [two.price(5), three.price(5), two.price(5), three.price(5)] == [10, 15, 10, 15]
        assert len(runs) == 2
        two.price.invalidate(5)
        assert [two.price(5), three.price(5)] == [10, 15]
        assert len(runs) == 3
        assert Api.price(two, 5) == 10
        assert two.price.cache_info().loads == 3

    def test_instances_of_equal_content_share(self, cache, runs):
        def fee(self):
            runs.append(self.name)
            return len(self.name)

        Venue.fee = cache.cached()(fee)
        assert Venue("a").fee() == Venue("a").fee() == 1
        assert len(runs) == 1
        venue = Venue("a")
        venue.name = "abc"
        assert venue.fee() == 3

    def test_instances_are_not_kept_alive(self, cache):
        import gc
        import weakref

        class Api:
            @cache.cached()
            def price(self):
                return 1

        api = Api()
        api.price()
        api.price()
        gone = weakref.ref(api)
        del api
        gc.collect()
        assert gone() is None


class TestAsync:
    def test_it_stays_a_coroutine_function(self, cache):
        @cache.cached()
        async def price(symbol):
            return 1

        assert inspect.iscoroutinefunction(price)

    def test_many_tasks_run_it_once(self, cache, runs):
        @cache.cached()
        async def price(symbol):
            runs.append(symbol)
            await asyncio.sleep(0)
            return symbol.lower()

        async def main():
            found = await asyncio.gather(*(price("BTC") for _ in range(50)))
            assert found == ["btc"] * 50
            assert await price("BTC") == "btc"

        asyncio.run(main())
        assert len(runs) == 1

    def test_invalidate_counts_at_once_and_may_be_awaited(self, shared, runs):
        @shared.cached()
        async def price(symbol):
            runs.append(symbol)
            return len(runs)

        async def main():
            assert await price("A") == 1
            await price.invalidate("A")
            assert await price("A") == 2
            price.invalidate("A")
            await asyncio.sleep(0.05)
            assert await price("A") == 3
            assert await price.refresh("A") == 4

        asyncio.run(main())
        price.invalidate("A")  # without an event loop

    def test_async_methods(self, cache, runs):
        class Api:
            @cache.cached()
            async def price(self, symbol):
                runs.append(symbol)
                return symbol

        async def main():
            api = Api()
            assert await api.price("A") == await api.price("A") == "A"
            await api.price.invalidate("A")
            assert await api.price.refresh("A") == "A"

        asyncio.run(main())
        assert len(runs) == 2


class TestBulk:
    def test_only_missing_keys_reach_the_function(self, cache, runs):
        @cache.cached(bulk="symbols")
        def prices(symbols, quote="USDT"):
            runs.append(list(symbols))
            return {symbol: f"{symbol}/{quote}" for symbol in symbols if symbol != "X"}

        assert prices(["A", "B"]) == {"A": "A/USDT", "B": "B/USDT"}
        assert prices(["B", "C", "X"]) == {"B": "B/USDT", "C": "C/USDT"}
        assert prices(["A", "X"], "EUR") == {"A": "A/EUR"}
        assert prices(symbols=("X", "A")) == {"A": "A/USDT"}
        prices.invalidate(["A"])
        assert prices(["A", "B"]) == {"A": "A/USDT", "B": "B/USDT"}
        assert runs == [["A", "B"], ["C", "X"], ["A", "X"], ["A"]]

    def test_async(self, cache, runs):
        @cache.cached(bulk="symbols")
        async def prices(symbols):
            runs.append(list(symbols))
            return dict.fromkeys(symbols, 1)

        async def main():
            await asyncio.gather(prices(["A", "B"]), prices(["B", "C"]))
            assert await prices.refresh(["A"]) == {"A": 1}

        asyncio.run(main())
        assert sorted(symbol for run in runs for symbol in run) == ["A", "A", "B", "C"]

    def test_the_parameter_has_to_exist(self, cache):
        with pytest.raises(InvalidArgument, match="bulk is 'symbls'"):

            @cache.cached(bulk="symbls")
            def prices(symbols): ...


class TestProcessWide:
    def test_the_decorator_uses_the_cache_of_the_process(self, monkeypatch, tmp_path, runs):
        config = tmp_path / "ohlcache.yaml"
        config.write_text("cache: {categories: {signals: {ttl_seconds: 5}}}\n")
        monkeypatch.setenv("OHLCACHE_CONFIG", str(config))
        ohlcache.get_cache_manager().close()
        try:

            @ohlcache.cached(category="signals", ttl_seconds=60)
            def signal(name):
                runs.append(name)
                return 1

            assert signal("a") == signal("a") == 1
            assert len(runs) == 1
            cache = ohlcache.get_cache_manager()
            assert cache is ohlcache.get_cache_manager()
            assert cache.stats()["categories"]["signals"]["l1"]["entries"] == 1
            cache.close()
            assert signal("a") == 1  # the next cache of the process
            assert len(runs) == 2
        finally:
            ohlcache.get_cache_manager().close()
