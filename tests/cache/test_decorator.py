"""``@cached``: keys, methods, async functions, lists of keys, and what the function gets."""

from __future__ import annotations

import asyncio
import functools
import inspect
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
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
        with pytest.raises(InvalidArgument, match="'{symbl}'.*use symbol"):

            @cache.cached(key="{symbl}")
            def price(symbol): ...

        @cache.cached(key="{symbol.name}")
        def named(symbol): ...

        with pytest.raises(InvalidArgument, match="'{symbol.name}'.*named do not fill"):
            named("BTC")

    @pytest.mark.parametrize("key", ["price", "{}", "{0}", "{symbol", "{quote}:{symbol:{width}}"])
    def test_a_template_has_to_name_parameters(self, cache, key):
        with pytest.raises(InvalidArgument, match="key"):

            @cache.cached(key=key)
            def price(symbol, quote="USDT"): ...

    def test_a_function_without_parameters_may_have_a_fixed_key(self, cache):
        @cache.cached(key="symbols")
        def symbols():
            return ["BTC"]

        assert symbols() == cache.get("symbols") == ["BTC"]

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


def scaled(cache, factor, runs):
    """A function that another call of this one makes under the same name."""

    @cache.cached()
    def scale(value):
        runs()
        return factor * value

    return scale


class Count:
    """Counts calls; has no content, as a connection has none."""

    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1


def nothing():
    pass


class TestFunctionsOfOneName:
    def test_closures_over_other_values_are_apart(self, cache):
        two, three = scaled(cache, 2, nothing), scaled(cache, 3, nothing)
        assert [two(5), three(5), two(5), three(5)] == [10, 15, 10, 15]

    def test_closures_over_equal_values_share(self, cache):
        scaled(cache, 2, nothing)(5)
        again = scaled(cache, 2, nothing)
        assert again(5) == 10
        assert again.cache_info() == (1, 0, 0)

    def test_closures_over_what_has_no_content_are_apart(self, cache):
        one, other = Count(), Count()
        first, second = scaled(cache, 2, one), scaled(cache, 2, other)
        assert [first(5), second(5), first(5), second(5)] == [10] * 4
        assert (one.calls, other.calls) == (1, 1)
        first.invalidate(5)
        assert first(5) == 10
        assert (one.calls, other.calls) == (2, 1)

    def test_lambdas_are_apart(self, cache):
        double, triple = (cache.cached()(one) for one in (lambda x: 2 * x, lambda x: 3 * x))
        assert [double(5), triple(5), double(5), triple(5)] == [10, 15, 10, 15]

    def test_a_function_may_close_over_itself_and_over_helpers_defined_later(self, cache):
        def make(step):
            @cache.cached()
            def down(n):
                return n if n <= 0 else down(less(n))

            if step == 1:

                def less(n):
                    return n - 1

            else:

                def less(n):
                    return n - 2

            return down

        assert [make(1)(5), make(2)(5)] == [0, -1]
        again = make(2)
        assert again(5) == -1
        assert again.cache_info().loads == 0


SCRIPT = """
import sys
import ohlcache

cache = ohlcache.CacheManager({"cache": {"l3": {"url": sys.argv[1]}}})

@cache.cached()
def fee(amount):
    return amount * RATE

@cache.cached()
def applied(function, amount):
    return function(amount)

def rule(amount):
    return amount * RATE

print(fee(10), applied(rule, 10), fee.cache_info().loads + applied.cache_info().loads)
cache.close()
"""


class TestScripts:
    @staticmethod
    def run(script, code, store):
        script.parent.mkdir(exist_ok=True)
        script.write_text(code)
        done = subprocess.run(
            [sys.executable, script, f"sqlite:///{store}"],
            env={"PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.split()

    def test_a_script_finds_its_values_and_no_other_script_does(self, tmp_path):
        store = tmp_path / "cache.db"
        one, other = tmp_path / "a" / "bot.py", tmp_path / "b" / "bot.py"
        code = SCRIPT.replace("RATE", "2")
        assert self.run(one, code, store) == ["20", "20", "2"]
        assert self.run(one, "\n# a comment\n" + code, store) == ["20", "20", "0"]
        assert self.run(one, SCRIPT.replace("RATE", "3"), store) == ["30", "30", "2"]
        # The code is the same, but not what the name means.
        assert self.run(one, "RATE = 4\n" + SCRIPT, store) == ["40", "40", "2"]
        assert self.run(other, "RATE = 5\n" + SCRIPT, store)[0] == "50"


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
        assert price.cache_info() == (3, 2, 3)

    def test_another_spelling_of_a_call_is_a_hit(self, cache):
        @cache.cached()
        def price(symbol, days=1, options=()):
            return 1

        price("A")
        for _ in range(2):
            price("A", 1)
            price(symbol="A")
            price("A", days=1)
        assert price.cache_info() == (6, 1, 1)
        for _ in range(3):
            price("A", options=[1])
        assert price.cache_info() == (8, 2, 2)

    def test_a_removed_value_is_a_miss(self, cache):
        @cache.cached()
        def price(symbol):
            return 1

        price("A")
        cache.clear()
        price("A")
        assert price.cache_info() == (0, 2, 2)

    def test_wrong_arguments_name_the_function(self, cache):
        @cache.cached(tags=lambda symbol: symbol)
        def price(symbol): ...

        for call in (price, price.invalidate, price.refresh):
            with pytest.raises(TypeError, match=r"price\(\) missing a required argument: 'symbol'"):
                call()
            with pytest.raises(TypeError, match=r"price\(\) got an unexpected.*'days'"):
                call("A", days=1)

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

    def test_tags_may_be_templates(self, cache, runs):
        @cache.cached(tags=("prices", "symbol:{symbol}", "days:{days}"))
        def price(symbol, days=1):
            runs.append(symbol)
            return 1

        for tag, again in (("symbol:A", ["A"]), ("days:1", ["A", "B"]), ("symbol:", [])):
            price("A"), price("B")
            runs.clear()
            cache.invalidate_tag(tag)
            price("A"), price("B")
            assert runs == again
        cache.invalidate_tag("prices")
        price("B")
        assert runs == ["B"]

    def test_a_generator_is_refused(self, cache):
        with pytest.raises(InvalidArgument, match="generator"):

            @cache.cached()
            def rows():
                yield 1

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"category": 5}, "category is 5"),
            ({"category": len}, r"category is <built-in.*write @cached\(\)"),
            ({"ttl_seconds": "60"}, "ttl_seconds is '60'"),
            ({"ttl_seconds": -1}, "ttl_seconds is -1"),
            ({"ttl_seconds": True}, "ttl_seconds is True"),
            ({"ttl_seconds": float("nan")}, "ttl_seconds is nan"),
            ({"ttl_seconds": timedelta(-1)}, "ttl_seconds is datetime"),
            ({"key": 5}, "key is 5"),
            ({"tags": 5}, "tags is 5"),
            ({"tags": ["a", 5]}, r"tags is \['a', 5\]"),
            ({"tags": "{symbl}"}, "no parameter 'symbl'"),
            ({"tags": "a}"}, "no template"),
        ],
    )
    def test_wrong_options_are_refused_when_decorating(self, cache, arguments, message):
        with pytest.raises(InvalidArgument, match=message):

            @cache.cached(**arguments)
            def price(symbol): ...

    @pytest.mark.parametrize("ttl", [60, 60.0, np.float32(60), np.int64(60), timedelta(minutes=1)])
    def test_the_ttl_is_seconds_or_a_timedelta(self, make_cache, ttl):
        clock = Clock()
        cache = make_cache("memory", clock=clock)

        @cache.cached(ttl_seconds=ttl)
        def price():
            return 1

        price()
        clock.seconds = 59
        price()
        assert price.cache_info().loads == 1
        clock.seconds = 61
        price()
        assert price.cache_info().loads == 2

    def test_what_has_no_name_of_its_own_needs_a_key(self, cache):
        class Api:
            def price(self, symbol):
                return symbol

            def __call__(self, symbol):
                return symbol

        for one in (functools.partial(Api().price, "A"), Api(), Api().price):
            with pytest.raises(InvalidArgument, match="has no name.*key="):
                cache.cached()(one)
        assert cache.cached(key="call:{symbol}")(Api())("A") == "A"
        assert cache.get("call:A") == "A"

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

    def test_classmethods_and_staticmethods(self, cache, runs):
        class A:
            @classmethod
            @cache.cached()
            def c(cls, x):
                runs.append(x)
                return cls.__name__, x

            @staticmethod
            @cache.cached()
            def s(x):
                runs.append(x)
                return x

        class B(A):
            pass

        for _ in range(3):
            assert [A.c(1), B.c(1), A().c(1), A.s(3)] == [("A", 1), ("B", 1), ("A", 1), 3]
        assert runs == [1, 1, 3]
        A.c.invalidate(1)
        assert [A.c(1), B.c(1)] == [("A", 1), ("B", 1)]
        assert A.c.refresh(x=1) == ("A", 1)
        A.s.invalidate(3)
        assert [A.s(3), A.s.refresh(3)] == [3, 3]
        assert runs == [1, 1, 3, 1, 1, 3, 3]
        assert A.c.cache_info() == (8, 3, 4)

    @pytest.mark.parametrize("binder", [classmethod, staticmethod])
    def test_they_stand_above(self, cache, binder):
        with pytest.raises(InvalidArgument, match=f"write @{binder.__name__} above @cached"):

            class A:
                @cache.cached()
                @binder
                def price(x): ...  # noqa: N805

    def test_instances_without_room_for_weak_references_are_named(self, cache):
        class Bare:
            __slots__ = ()

            @cache.cached()
            def price(self):
                return 1

            @cache.cached(key="bare")
            def fixed(self):
                return 1

        with pytest.raises(TypeError, match=r"Bare.*add '__weakref__'.*key="):
            Bare().price()
        assert Bare().fixed() == 1

        class Weak(Bare):
            __slots__ = ("__weakref__",)

        assert Weak().price() == 1

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

    def test_each_key_counts(self, cache):
        @cache.cached(bulk="symbols")
        def prices(symbols):
            return dict.fromkeys(symbols, 1)

        prices(["A", "B"])
        prices(["A", "B", "C"])
        prices.refresh(["A"])
        assert prices.cache_info() == (2, 3, 3)

    def test_a_text_is_no_list_of_keys(self, cache):
        @cache.cached(bulk="symbols")
        def prices(symbols): ...

        for call in (prices, prices.invalidate, prices.refresh):
            with pytest.raises(InvalidArgument, match=r"symbols of .*prices is 'BTC'.*a list"):
                call("BTC")

    def test_a_callable_makes_the_key_of_each(self, cache):
        @cache.cached(bulk="symbols", key=lambda quote, symbols: f"{symbols}/{quote}")
        def prices(quote, symbols, /):
            return dict.fromkeys(symbols, 1)

        assert prices("USDT", ["A", "B"]) == {"A": 1, "B": 1}
        assert cache.get("B/USDT") == 1

    def test_tags_are_of_the_whole_call(self, cache):
        with pytest.raises(InvalidArgument, match="tags name 'symbols'.*another"):

            @cache.cached(bulk="symbols", tags="{symbols}")
            def prices(symbols): ...

    def test_the_parameter_has_to_exist(self, cache):
        with pytest.raises(InvalidArgument, match="bulk is 'symbls'"):

            @cache.cached(bulk="symbls")
            def prices(symbols): ...


class Clock:
    """A clock that goes when the test says so."""

    seconds = 0.0

    def monotonic(self):
        return self.seconds

    def wall(self):
        return 1.7e9 + self.seconds


class TestProcessWide:
    def test_no_parentheses_are_needed(self, runs):
        @ohlcache.cached
        def price(symbol):
            runs.append(symbol)
            return symbol

        try:
            assert price("A") == price(symbol="A") == "A"
            assert runs == ["A"]
            price.invalidate("A")
            assert price("A") == "A"
            assert runs == ["A", "A"]
        finally:
            ohlcache.get_cache_manager().close()

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
