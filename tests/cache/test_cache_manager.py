"""The cache as programs use it, over every combination of tiers and through both doors."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

from cache_doors import FakeClock, until_live, wait_until
from ohlcache import reclaim
from ohlcache.cache import CacheCategory, CacheManager
from ohlcache.errors import CacheError, InvalidArgument, LoadTimeout, NotFound, RecursiveLoad
from ohlcache.telemetry import Readings
from ohlcache.telemetry import vocabulary as metrics


def is_shared(cache):
    return not {"l2", "l3"}.isdisjoint(cache.stats())


def failing():
    raise OSError("no")


def forget(cache, *keys, category="default"):
    """Have the next read go to the shared tiers."""
    cache.forget(keys, category)


class TestValues:
    def test_what_was_set_is_there_until_it_is_deleted(self, cache, door):
        assert door(cache, "get", "k") is None
        assert door(cache, "get", "k", default=7) == 7
        door(cache, "set", "k", {"price": 1.5, "side": ("buy", None)})
        assert door(cache, "get", "k") == {"price": 1.5, "side": ("buy", None)}
        door(cache, "delete", "k")
        assert door(cache, "get", "k") is None

    def test_types_come_back_as_they_went_in_from_every_tier(self, cache, door):
        values = {"t": (1, 2), "i": 2**70, "b": b"x", "s": {1, 2}, "n": None, "f": float("inf")}
        door(cache, "set_many", values)
        for _ in range(2):
            found = door(cache, "get_many", values)
            assert found == values
            assert {key: type(value) for key, value in found.items()} == {
                key: type(value) for key, value in values.items()
            }
            if is_shared(cache):
                forget(cache, *values)

    def test_none_is_a_value(self, cache, door):
        door(cache, "set", "k", None)
        assert door(cache, "get", "k", default="nothing") is None

    def test_keys_of_different_types_are_different(self, cache, door):
        keys = [1, 1.0, True, "1", (1,), b"1"]
        for number, key in enumerate(keys):
            door(cache, "set", key, number)
        assert [door(cache, "get", key) for key in keys] == list(range(len(keys)))

    def test_categories_keep_their_values_apart(self, cache, door):
        door(cache, "set", "k", 1, CacheCategory.FEATURES)
        door(cache, "set", "k", 2, "market_data")
        assert door(cache, "get", "k", "features") == 1
        assert door(cache, "get", "k", CacheCategory.MARKET_DATA) == 2
        assert door(cache, "get", "k") is None

    def test_frames_survive_what_their_users_do(self, cache, door):
        frame = pd.DataFrame({"close": [1.0, 2.0]}, index=pd.date_range("2024", periods=2))
        expected = frame.copy()
        door(cache, "set", "k", frame)
        frame.iloc[0, 0] = 99.0
        for _ in range(2):
            found = door(cache, "get", "k")
            found["more"] = 1
            found.iloc[0, 0] = -1.0
            pd.testing.assert_frame_equal(door(cache, "get", "k"), expected)
            if is_shared(cache):
                forget(cache, "k")

    def test_arrays_are_read_only(self, cache, door):
        array = np.arange(3.0)
        door(cache, "set", "k", array)
        array[0] = 99.0
        found = door(cache, "get", "k")
        assert found.tolist() == [0.0, 1.0, 2.0]
        with pytest.raises(ValueError, match="read-only"):
            found[0] = 1.0

    def test_ttl_zero_removes(self, cache, door):
        door(cache, "set", "k", 1)
        door(cache, "set", "k", 2, ttl=0)
        assert door(cache, "get", "k") is None

    def test_a_long_key_works(self, cache, door):
        key = "symbol/" * 1000
        door(cache, "set", key, 1)
        forget(cache, key) if is_shared(cache) else None
        assert door(cache, "get", key) == 1


class TestTime:
    def test_a_value_lives_for_its_ttl(self, make_cache, tiers, door):
        clock = FakeClock()
        cache = make_cache(tiers.replace("redis+", ""), clock=clock)
        if "redis" in tiers:
            pytest.skip("Redis expires by its own clock")
        door(cache, "set", "short", 1, ttl=10)
        door(cache, "set", "long", 2, ttl=100)
        clock.advance(9.9)
        assert door(cache, "get_many", ["short", "long"]) == {"short": 1, "long": 2}
        clock.advance(0.2)
        assert door(cache, "get_many", ["short", "long"]) == {"long": 2}

    def test_a_filled_copy_has_the_remaining_ttl(self, make_cache, door):
        clock = FakeClock()
        first, second = make_cache("sqlite", clock=clock), make_cache("sqlite", clock=clock)
        until_live(first, second)
        door(first, "set", "k", 1, ttl=10)
        clock.advance(8)
        assert door(second, "get", "k") == 1
        clock.advance(3)
        assert door(second, "get", "k") is None

    def test_jitter_shortens_and_never_lengthens(self, make_cache):
        clock = FakeClock()
        cache = make_cache("memory", clock=clock, categories={"default": {"jitter": 0.5}})
        cache.set_many({str(number): 1 for number in range(400)}, ttl=100)
        clock.advance(75)
        half = len(cache.get_many(map(str, range(400))))
        assert 100 < half < 300
        clock.advance(25.1)
        assert cache.get_many(map(str, range(400))) == {}


class TestLoading:
    def test_a_missing_value_is_loaded_once(self, cache, door):
        calls = []
        load = door.loader(lambda: calls.append(1) or "value")
        for _ in range(3):
            assert door(cache, "get_or_load", "k", load) == "value"
        assert len(calls) == 1

    def test_a_loader_may_take_the_key(self, cache, door):
        assert door(cache, "get_or_load", "BTC", door.loader(lambda key: key.lower())) == "btc"

    def test_an_error_reaches_the_caller_and_leaves_the_key_free(self, cache, door):
        def fail():
            raise KeyError("exchange")

        for _ in range(2):
            with pytest.raises(KeyError, match="exchange"):
                door(cache, "get_or_load", "k", door.loader(fail))
        assert door(cache, "get_or_load", "k", door.loader(lambda: 1)) == 1

    def test_nothing_found_is_remembered_for_a_while(self, make_cache, tiers, door):
        clock = FakeClock()
        cache = make_cache("memory", clock=clock)
        calls = []

        def find():
            calls.append(1)
            raise NotFound("no such symbol")

        for _ in range(3):
            with pytest.raises(NotFound):
                door(cache, "get_or_load", "k", door.loader(find))
        assert door(cache, "get_or_load", "n", door.loader(lambda: calls.append(1))) is None
        assert door(cache, "get_or_load", "n", door.loader(lambda: calls.append(1))) is None
        assert len(calls) == 2
        assert door(cache, "get", "k", default="nothing") == "nothing"
        clock.advance(5.1)
        assert door(cache, "get_or_load", "k", door.loader(lambda: 3)) == 3
        assert door(cache, "get_or_load", "n", door.loader(lambda: 4)) == 4

    def test_what_is_not_found_is_remembered_in_shared_tiers(self, cache, door, make_cache, tiers):
        if tiers == "memory":
            pytest.skip("nothing is shared")

        def find():
            raise NotFound("no such symbol")

        with pytest.raises(NotFound):
            door(cache, "get_or_load", "k", door.loader(find))
        with pytest.raises(NotFound, match="found nothing"):
            door(make_cache(tiers), "get_or_load", "k", door.loader(lambda: 1))

    def test_ttl_zero_loads_every_time(self, cache, door):
        numbers = iter(range(10))
        load = door.loader(lambda: next(numbers))
        assert [door(cache, "get_or_load", "k", load, ttl=0) for _ in range(3)] == [0, 1, 2]
        assert door(cache, "get", "k") is None

    def test_only_missing_keys_reach_a_bulk_loader_once(self, cache, door):
        asked = []

        def load(keys):
            asked.append(sorted(keys))
            return {key: key.lower() for key in keys if key != "X"}

        door(cache, "set", "A", "held")
        found = door(cache, "get_or_load_many", ["A", "B", "C", "X"], door.loader(load))
        assert found == {"A": "held", "B": "b", "C": "c"}
        again = door(cache, "get_or_load_many", ["A", "B", "X", "D"], door.loader(load))
        assert again == {"A": "held", "B": "b", "D": "d"}
        assert asked == [["B", "C", "X"], ["D"]]

    def test_a_bulk_loader_has_to_give_a_mapping(self, cache, door):
        with pytest.raises(InvalidArgument, match="return a mapping"):
            door(cache, "get_or_load_many", ["a"], door.loader(lambda keys: [1]))

    def test_refresh_loads_whatever_is_there(self, cache, door):
        door(cache, "set", "k", 1)
        assert door(cache, "refresh", "k", door.loader(lambda: 2)) == 2
        assert door(cache, "get", "k") == 2

    def test_a_loader_that_asks_for_its_own_key_is_told(self, make_cache):
        cache = make_cache("memory")
        with pytest.raises(RecursiveLoad, match="'default:k' is being loaded"):
            cache.get_or_load("k", lambda: cache.get_or_load("k", lambda: 1))
        assert cache.get_or_load("k", lambda: cache.get_or_load("other", lambda: 1)) == 1

    def test_a_loader_that_hangs_is_cut(self, make_cache, door):
        cache = make_cache("memory", categories={"default": {"load_timeout_seconds": 0.05}})
        release = threading.Event()
        try:
            for _ in range(2):
                with pytest.raises(LoadTimeout, match="load_timeout_seconds=0.05"):
                    door(cache, "get_or_load", "k", lambda: release.wait(30))
            assert door(cache, "get_or_load", "k", door.loader(lambda: 5)) == 5
        finally:
            release.set()

    def test_hanging_loaders_do_not_keep_others_from_running(self, make_cache):
        cache = make_cache("memory", categories={"default": {"load_timeout_seconds": 0.05}})
        release = threading.Event()
        try:
            with ThreadPoolExecutor(100) as threads:
                hung = [
                    threads.submit(cache.get_or_load, f"h{number}", lambda: release.wait(30))
                    for number in range(100)
                ]
                assert all(isinstance(one.exception(), LoadTimeout) for one in hung)
            cache.configure_category("default", load_timeout_seconds=30)
            assert cache.get_or_load("k", lambda: 5) == 5
        finally:
            release.set()


STALE = {"default": {"ttl_seconds": 10, "stale_seconds": 100}}


class TestStaleness:
    def test_stale_is_served_while_it_is_loaded_anew(self, make_cache, door):
        clock = FakeClock()
        cache = make_cache("memory", clock=clock, categories=STALE)
        assert door(cache, "get_or_load", "k", door.loader(lambda: "old")) == "old"
        clock.advance(11)
        assert door(cache, "get", "k") is None  # nobody could load it anew
        release = threading.Event()

        def load():
            release.wait(30)
            return "new"

        assert door(cache, "get_or_load", "k", load) == "old"
        assert door(cache, "get_or_load", "k", load) == "old"
        release.set()
        wait_until(lambda: door(cache, "get", "k") == "new")
        assert cache.stats()["loads"]["refreshes"] == 1

    def test_stale_is_served_when_loading_fails_until_the_window_ends(self, make_cache, door):
        clock = FakeClock()
        cache = make_cache("memory", clock=clock, categories=STALE)
        door(cache, "get_or_load", "k", door.loader(lambda: "old"))

        def fail():
            raise OSError("exchange is down")

        clock.advance(11)
        assert door(cache, "get_or_load", "k", door.loader(fail)) == "old"
        wait_until(lambda: cache.stats()["loads"]["errors"] == {"OSError": 1})
        assert door(cache, "get_or_load", "k", door.loader(fail)) == "old"
        clock.advance(100)
        with pytest.raises(OSError, match="down"):
            door(cache, "get_or_load", "k", door.loader(fail))

    def test_what_was_slow_to_load_is_refreshed_before_it_expires(self, make_cache):
        clock = FakeClock()
        cache = make_cache("memory", clock=clock)

        def slow():
            threading.Event().wait(0.02)
            return 1

        for number in range(200):
            cache.get_or_load(f"k{number}", lambda: 1, ttl=0.1)
        cache.get_or_load_many(
            [f"s{number}" for number in range(200)],
            lambda keys: slow() and dict.fromkeys(keys, 1),
            ttl=0.1,
        )
        clock.advance(0.0905)
        for number in range(200):
            cache.get_or_load(f"s{number}", lambda: 2, ttl=0.1)
        # Each had drawn its own moment, within the last tenth of the TTL.
        assert 100 < cache.stats()["loads"]["refreshes"] <= 200


class TestInvalidation:
    def test_a_tag_takes_its_values_along(self, cache, door):
        door(cache, "set", "a", 1, tags=["btc"])
        door(cache, "set", "b", 2, "features", tags=["btc", "daily"])
        door(cache, "set", "c", 3)
        door(cache, "invalidate_tag", "btc")
        assert door(cache, "get", "a") is None
        assert door(cache, "get", "b", "features") is None
        assert door(cache, "get", "c") == 3
        door(cache, "set", "a", 4, tags=["btc"])
        assert door(cache, "get", "a") == 4

    def test_clear_takes_a_category_or_everything(self, cache, door):
        door(cache, "set", "k", 1)
        door(cache, "set", "k", 2, "features")
        door(cache, "clear", "features")
        assert door(cache, "get", "k", "features") is None
        assert door(cache, "get", "k") == 1
        door(cache, "clear")
        assert door(cache, "get", "k") is None

    @pytest.mark.parametrize("how", ["delete", "tag", "clear", "set"])
    def test_an_invalidation_during_a_load_wins(self, cache, door, how):
        def load():
            if how == "delete":
                cache.delete("k")
            elif how == "tag":
                cache.invalidate_tag("t")
            elif how == "clear":
                cache.clear()
            else:
                cache.set("k", "set meanwhile", tags=["t"])
            return "loaded before"

        assert door(cache, "get_or_load", "k", load, tags=["t"]) == "loaded before"
        expected = "set meanwhile" if how == "set" else None
        assert door(cache, "get", "k") == expected
        if is_shared(cache):
            forget(cache, "k")
            assert door(cache, "get", "k") == expected

    @pytest.mark.parametrize("how", ["delete", "tag", "clear", "set"])
    def test_so_does_one_of_another_process(self, make_cache, tiers, door, how):
        if tiers == "memory":
            pytest.skip("nothing is shared")
        cache, other = make_cache(tiers), make_cache(tiers)
        until_live(cache, other)

        def load():
            if how == "delete":
                other.delete("k")
            elif how == "tag":
                other.invalidate_tag("t")
            elif how == "clear":
                other.clear()
            else:
                other.set("k", "set meanwhile", tags=["t"])
            return "loaded before"

        assert door(cache, "get_or_load", "k", load, tags=["t"]) == "loaded before"
        expected = "set meanwhile" if how == "set" else None
        wait_until(lambda: door(cache, "get", "k") == expected)
        assert door(other, "get", "k") == expected


class TestTwoProcesses:
    def test_they_share_values(self, make_cache, tiers, door):
        if tiers == "memory":
            pytest.skip("nothing is shared")
        first, second = make_cache(tiers), make_cache(tiers)
        door(first, "set", "k", {"a": 1}, tags=["t"])
        assert door(second, "get", "k") == {"a": 1}

    @pytest.mark.parametrize("how", ["set", "delete", "tag", "clear"])
    def test_a_change_removes_the_copy_of_the_other(self, make_cache, tiers, door, how):
        if tiers == "memory":
            pytest.skip("nothing is shared")
        first, second = make_cache(tiers), make_cache(tiers)
        until_live(first, second)
        door(first, "set", "k", 1, tags=["t"])
        wait_until(lambda: door(second, "get", "k") == 1)
        if how == "set":
            door(first, "set", "k", 2)
        elif how == "delete":
            door(first, "delete", "k")
        elif how == "tag":
            door(first, "invalidate_tag", "t")
        else:
            door(first, "clear")
        wait_until(lambda: door(second, "get", "k") == (2 if how == "set" else None))

    def test_one_loads_and_the_other_waits(self, make_cache, tiers, door):
        if tiers == "memory":
            pytest.skip("nothing is shared")
        caches = [make_cache(tiers) for _ in range(3)]
        begun, release, calls = threading.Event(), threading.Event(), []

        def load():
            calls.append(1)
            begun.set()
            release.wait(30)
            return "value"

        with ThreadPoolExecutor(3) as threads:
            futures = [threads.submit(door, caches[0], "get_or_load", "k", load)]
            assert begun.wait(10)
            futures += [threads.submit(door, one, "get_or_load", "k", load) for one in caches[1:]]
            wait_until(lambda: all(one.stats()["loads"]["lease_waits"] for one in caches[1:]))
            release.set()
            assert [future.result(10) for future in futures] == ["value"] * 3
        assert len(calls) == 1


class TestBadInput:
    @pytest.mark.parametrize("ttl", [-1, float("nan"), float("inf"), "5", True])
    def test_a_wrong_ttl_is_named(self, cache, door, ttl):
        with pytest.raises(InvalidArgument, match="ttl is"):
            door(cache, "set", "k", 1, ttl=ttl)

    @pytest.mark.parametrize("method", ["get", "delete", "clear"])
    def test_an_unknown_category_is_named(self, cache, door, method):
        arguments = ["marketdata"] if method == "clear" else ["k", "marketdata"]
        with pytest.raises(InvalidArgument, match="category 'marketdata' is not known: use one of"):
            door(cache, method, *arguments)

    def test_what_cannot_be_serialised_is_named_and_changes_nothing(self, cache, door, tiers):
        if tiers == "memory":
            pytest.skip("memory holds anything")
        door(cache, "set", "k", "before")
        with pytest.raises(TypeError, match="Thread"):
            door(cache, "set", "k", threading.Thread())
        with pytest.raises(TypeError, match="Thread"):
            door(cache, "set_many", {"k": 1, "other": threading.Thread()})
        with pytest.raises(TypeError, match="Thread"):
            door(cache, "get_or_load", "loaded", door.loader(threading.Thread))
        assert door(cache, "get_many", ["k", "other", "loaded"]) == {"k": "before"}
        assert door(cache, "get_or_load", "loaded", door.loader(lambda: 1)) == 1

    @pytest.mark.parametrize(
        ("tree", "message"),
        [
            ({"l2": {"redis_url": "http://x"}}, "redis_url"),
            ({"l3": {"url": "mysql://x"}}, "l3.url"),
            ({"l1": {"max_size_mb": -1}}, "cache.l1.max_size_mb is -1"),
            ({"categories": {"x": {"ttl_seconds": -1}}}, "cache.categories.x.ttl_seconds is -1"),
            ({"categories": {"x": {"tiers": ["l4"]}}}, "cache.categories.x.tiers"),
        ],
    )
    def test_settings_that_cannot_be_used_are_named(self, tree, message):
        with pytest.raises(InvalidArgument, match=message):
            CacheManager({"cache": tree})

    def test_a_closed_cache_says_so(self, make_cache, tiers, door):
        cache = make_cache(tiers)
        door(cache, "set", "k", 1)
        door(cache, "close")
        for call in (("get", "k"), ("set", "k", 1), ("invalidate_tag", "t")):
            with pytest.raises(CacheError, match="closed"):
                door(cache, *call)
        door(cache, "close")


class TestCategories:
    def test_a_category_is_changed_while_it_is_in_use(self, make_cache):
        clock = FakeClock()
        cache = make_cache("memory", clock=clock)
        cache.set("old", 1, "market_data")
        cache.configure_category("market_data", ttl_seconds=1000)
        cache.set("new", 2, "market_data")
        clock.advance(31)
        assert cache.get_many(["old", "new"], "market_data") == {"new": 2}
        cache.configure_category("market_data", max_entries=1)
        cache.set("newer", 3, "market_data")
        assert len(cache.get_many(["new", "newer"], "market_data")) == 1

    def test_a_category_is_added(self, make_cache):
        cache = make_cache("memory")
        cache.configure_category("signals", ttl_seconds=5)
        cache.set("k", 1, "signals")
        assert cache.get("k", "signals") == 1
        with pytest.raises(InvalidArgument, match="category a:b"):
            cache.configure_category("a:b")
        with pytest.raises(InvalidArgument, match="ttl_seconds is -1"):
            cache.configure_category("signals", ttl_seconds=-1)
        with pytest.raises(InvalidArgument, match="tiers of category signals"):
            cache.configure_category("signals", tiers=("l1",))

    def test_defaults_are_those_of_the_design(self, make_cache):
        cache = make_cache("memory", categories={"features": {"jitter": 0.1}})
        found = {
            name: (cache.policy(name).ttl_seconds, cache.policy(name).max_size_mb)
            for name in (
                "market_data_ohlcv",
                "historical_data",
                "strategy_results",
                "api_responses",
            )
        }
        assert found == {
            "market_data_ohlcv": (300, 50),
            "historical_data": (3600, 200),
            "strategy_results": (1800, 100),
            "api_responses": (60, 50),
        }
        assert cache.policy("market_data").ttl_seconds == 30
        assert (cache.policy("features").ttl_seconds, cache.policy("features").jitter) == (300, 0.1)

    def test_a_category_stays_out_of_tiers_that_it_does_not_use(self, make_cache):
        tiers = {"private": {"tiers": ["l1"]}, "shared": {"tiers": ["l3"]}}
        first = make_cache("sqlite", categories=tiers)
        second = make_cache("sqlite", categories=tiers)
        first.set("k", threading.Thread, "private")
        first.set("k", 1, "shared")
        assert second.get("k", "private") is None
        assert second.get("k", "shared") == 1
        assert first.get("k", "private") is threading.Thread
        assert first.stats()["categories"]["shared"]["l1"]["entries"] == 0


class TestMemoryBound:
    def test_all_categories_together_keep_to_the_limit(self, make_cache):
        cache = make_cache("memory", l1={"max_size_mb": 1})
        for number in range(300):
            cache.set(f"k{number}", bytes(10_000), "features")
            cache.set(f"k{number}", bytes(5_000), "workflow")
            assert cache.stats()["l1"]["bytes"] <= 2**20
        held = cache.stats()["categories"]
        assert held["features"]["l1"]["entries"] > 10
        assert held["workflow"]["l1"]["entries"] > 10

    def test_what_is_too_large_to_be_held_takes_nobodys_place(self, make_cache):
        cache = make_cache("memory", l1={"max_size_mb": 1})
        cache.configure_category("features", max_size_mb=0.5)
        cache.set_many({f"k{number}": bytes(10_000) for number in range(30)})
        cache.set("large", bytes(900_000), "features")
        assert cache.get("large", "features") is None
        assert len(cache.get_many(f"k{number}" for number in range(30))) == 30

    def test_shrink_frees_what_is_asked_for(self, make_cache):
        cache = make_cache("memory")
        cache.set_many({f"k{number}": bytes(10_000) for number in range(100)})
        before = cache.stats()["l1"]["bytes"]
        freed = cache.shrink(300_000)
        assert freed >= 300_000
        assert cache.stats()["l1"]["bytes"] == before - freed

    def test_the_category_of_the_lowest_priority_gives_way_first(self, make_cache):
        cache = make_cache("memory")
        cache.configure_category("features", priority=10)
        for category in ("default", "features", "strategy_results"):
            cache.set_many({f"k{number}": bytes(10_000) for number in range(50)}, category)
        cache.shrink(300_000)
        held = {name: one["l1"]["entries"] for name, one in cache.stats()["categories"].items()}
        assert held["features"] < 50
        assert held["default"] == held["strategy_results"] == 50
        cache.shrink(500_000)
        held = {name: one["l1"]["entries"] for name, one in cache.stats()["categories"].items()}
        assert held["features"] == 0
        assert held["default"] < 50
        assert held["strategy_results"] == 50

    def test_a_large_value_is_announced_before_it_is_held(self, make_cache):
        cache, announced = make_cache("memory"), []
        reclaim.watch(announced.append)
        try:
            cache.set("small", bytes(1000))
            assert not announced
            cache.set("large", bytes(3_000_000))
            (size,) = announced
            assert size >= 3_000_000
        finally:
            reclaim.unwatch(announced.append)

    def test_a_cache_offers_to_free_memory_until_it_is_gone(self, make_cache):
        cache = make_cache("memory")
        cache.set_many({f"k{number}": bytes(10_000) for number in range(100)})
        ways = [way for way in reclaim.offers() if way.free.__self__ is cache]
        assert [way.order for way in ways] == [reclaim.COMPRESS, reclaim.EVICT]
        assert ways[1].free(300_000) >= 300_000


class TestTelemetry:
    def test_counts_of_all_tiers_are_reported(self, make_cache):
        cache = make_cache("redis+sqlite")
        until_live(cache)
        cache.set("k", 1)
        for _ in range(10):
            cache.get("k")
        cache.get("missing")
        with pytest.raises(OSError, match="no"):
            cache.get_or_load("bad", failing)
        cache.forget(["k"])
        cache.get("k")
        told = Readings()
        cache.report(told)
        values = told.values
        assert values[metrics.CACHE_HITS, ("l1", "default")] == 10
        assert values[metrics.CACHE_HITS, ("l2", "default")] == 1
        assert values[metrics.CACHE_MISSES, ("l1", "default")] == 3
        assert values[metrics.CACHE_MISSES, ("l2", "default")] == 2
        assert values[metrics.CACHE_LOAD_ERRORS, ("default", "OSError")] == 1
        assert values[metrics.CACHE_ENTRIES, ("default",)] == 1
        assert values[metrics.CACHE_BREAKER_OPEN, ("l2",)] == 0
        assert values[metrics.CACHE_READ_SECONDS, ("l2",)].count >= 2

    def test_one_hit_in_64_is_timed_whichever_way_it_comes(self, make_cache):
        cache = make_cache("memory")
        load = cache.cached()(lambda number: number)
        cache.set("k", 1)
        for _ in range(640):
            cache.get("k")
            load(5)
        seconds = cache.stats()["categories"]["default"]["l1"]["seconds"]
        assert seconds["count"] == (640 + 639) // 64
        assert cache.stats()["l1"]["hits"] == 640 + 639


class TestStats:
    def test_what_compression_saves_is_counted(self, make_cache):
        cache = make_cache("sqlite", categories={"features": {"compression": False}})
        cache.set("k", "x" * 100_000)
        cache.set("k", "x" * 100_000, "features")
        values = {name: one["values"] for name, one in cache.stats()["categories"].items()}
        assert values["default"]["saved_bytes"] > 0.9 * values["default"]["encoded_bytes"] > 90_000
        assert values["features"]["saved_bytes"] == 0
        assert cache.stats()["values"]["saved_bytes"] == values["default"]["saved_bytes"]

    def test_every_access_is_counted_where_it_was_answered(self, cache, door, tiers):
        door(cache, "get_or_load", "k", door.loader(lambda: 1))
        door(cache, "get", "k")
        stats = cache.stats()
        assert stats["l1"]["hits"] == 1
        assert stats["loads"]["loads"] == 1
        nearest = {"memory": None, "sqlite": "l3"}.get(tiers, "l2")
        if nearest:
            forget(cache, "k")
            door(cache, "get", "k")
            after = cache.stats()
            assert after[nearest]["hits"] == stats[nearest]["hits"] + 1
            assert after["categories"]["default"][nearest]["hits"] == 1
            assert after[nearest]["errors"] == {}
            assert after[nearest]["latency"]["count"] > 0
