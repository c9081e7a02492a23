"""Warming: what to warm can be said in four ways; progress, limits, schedules and errors."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from cache_doors import until_live, wait_until
from ohlcache.cache import CacheManager
from ohlcache.errors import InvalidArgument, UnknownTimeframe


@pytest.fixture
def memory(make_cache):
    return make_cache("memory")


def numbers(count):
    return [f"key {number}" for number in range(count)]


class TestWhatToWarm:
    def test_keys_with_a_loader(self, cache, tiers):
        asked = []

        def load(keys):
            asked.extend(keys)
            return {key: key.upper() for key in keys if key != "key 3"}

        cache.set("key 0", "held")
        report = cache.warm(numbers(5), load)
        assert (report.warmed, report.absent, report.failed) == (4, 1, {})
        assert not report.is_stopped
        assert sorted(asked) == numbers(5)[1:]
        loads = cache.stats()["loads"]["loads"]
        found = [cache.get_or_load(key, lambda: "loaded again") for key in numbers(3)]
        assert found == ["held", "KEY 1", "KEY 2"]
        assert cache.stats()["loads"]["loads"] == loads

    def test_keys_that_a_shared_tier_has(self, make_cache, tiers):
        if tiers == "memory":
            pytest.skip("nothing is shared")
        first, second = make_cache(tiers), make_cache(tiers)
        until_live(first, second)
        first.set_many(dict.fromkeys(numbers(250), 1))
        report = second.warm([*numbers(250), "absent"])
        assert (report.warmed, report.absent) == (250, 1)
        misses = second.stats()["l1"]["misses"]
        assert len(second.get_many(numbers(250))) == 250
        assert second.stats()["l1"]["misses"] == misses

    def test_a_mapping(self, cache):
        report = cache.warm({"a": 1, ("b", 2): 2}, category="features", ttl=100)
        assert report.warmed == 2
        assert cache.get_many(["a", ("b", 2)], "features") == {"a": 1, ("b", 2): 2}

    @pytest.mark.parametrize("gives", [dict, list])
    def test_a_callable_that_gives_either(self, memory, gives):
        chosen = {"a": 1, "b": 2} if gives is dict else iter(["a", "b"])
        report = memory.warm(lambda: chosen, lambda keys: dict.fromkeys(keys, 3))
        assert report.warmed == 2
        assert memory.get("a") == (1 if gives is dict else 3)

    @pytest.mark.parametrize("closes", ["close", "aclose"])
    def test_what_was_used_most_before(self, make_cache, tiers, closes):
        if tiers == "memory":
            pytest.skip("memory remembers nothing")
        before = make_cache(tiers)
        until_live(before)
        before.set_many(dict.fromkeys([*numbers(5), "unused"], 1), "features")
        for number, key in enumerate(numbers(5)):
            for _ in range(number + 1):
                before.get(key, "features")
        before.get(("no", "text"), "features")
        if closes == "close":
            before.close()
        else:
            asyncio.run(before.aclose())

        after = make_cache(tiers)
        until_live(after)
        assert after.warming.most_used("features") == numbers(5)[::-1]
        assert after.warm(category="features").warmed == 5
        misses = after.stats()["l1"]["misses"]
        assert [after.get(key, "features") for key in numbers(5)] == [1] * 5
        assert after.stats()["l1"]["misses"] == misses

    def test_nothing_is_known_to_be_used(self, cache):
        report = cache.warm()
        assert (report.warmed, report.absent, report.is_stopped) == (0, 0, False)


class TestProgress:
    def test_every_batch_is_told(self, memory):
        told = []
        report = memory.warm(
            numbers(250),
            lambda keys: dict.fromkeys(keys, 1),
            progress=lambda done, total: told.append((done, total)),
            concurrency=1,
        )
        assert told == [(100, 250), (200, 250), (250, 250)]
        assert report.warmed == 250

    def test_a_key_that_is_named_twice_counts_once(self, memory):
        report = memory.warm(["a", "a"], lambda keys: dict.fromkeys(keys, 1))
        assert report.warmed == 1

    @pytest.mark.parametrize("concurrency", [1, 3])
    def test_no_more_than_so_many_batches_at_once(self, memory, concurrency):
        now, most, lock = [0], [0], threading.Lock()
        full = threading.Event()

        def load(keys):
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
                if now[0] == concurrency:
                    full.set()
            assert full.wait(10)
            time.sleep(0.005)
            with lock:
                now[0] -= 1
            return dict.fromkeys(keys, 1)

        memory.warm(numbers(1000), load, concurrency=concurrency)
        assert most[0] == concurrency

    def test_stop_lets_the_batch_under_way_end(self, memory):
        stop = threading.Event()

        def load(keys):
            stop.set()
            return dict.fromkeys(keys, 1)

        report = memory.warm(numbers(500), load, concurrency=1, stop=stop)
        assert report.is_stopped
        assert (report.warmed, report.absent) == (100, 0)
        assert len(memory.get_many(numbers(500))) == 100

    def test_who_is_stopped_before_does_nothing(self, memory):
        stop = threading.Event()
        stop.set()
        report = memory.warm(["a"], lambda keys: pytest.fail("was called"), stop=stop)
        assert report.is_stopped
        assert report.warmed == 0


class TestErrors:
    @pytest.mark.parametrize("error", [OSError("exchange is down"), UnknownTimeframe("1x")])
    def test_an_error_of_the_loader_is_told_for_its_keys(self, memory, error):
        def load(keys):
            if "key 150" in keys:
                raise error
            return dict.fromkeys(keys, 1)

        report = memory.warm(numbers(300), load)
        assert report.failed == dict.fromkeys(numbers(300)[100:200], error)
        assert (report.warmed, report.absent, report.is_stopped) == (200, 0, False)

    def test_so_is_a_value_that_cannot_be_stored(self, make_cache):
        report = make_cache("sqlite").warm({"a": threading.Lock()})
        assert isinstance(report.failed["a"], TypeError)

    def test_a_loader_that_gives_no_mapping(self, memory):
        report = memory.warm(["a"], lambda keys: [1])
        assert isinstance(report.failed["a"], InvalidArgument)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"concurrency": 0}, "concurrency is 0"),
            ({"concurrency": 1.5}, "concurrency is 1.5"),
            ({"concurrency": True}, "concurrency is True"),
            ({"keys": "BTC/USDT"}, "keys is 'BTC/USDT'"),
            ({"keys": 5}, "keys is 5"),
            ({"keys": lambda: "BTC/USDT"}, "keys is 'BTC/USDT'"),
            ({"category": "marketdata"}, "category 'marketdata'"),
            ({"ttl": -1}, "ttl is -1"),
        ],
    )
    def test_arguments_that_cannot_be_used_are_named(self, memory, arguments, message):
        given = {"keys": ["a"], "loader": lambda keys: dict.fromkeys(keys, 1), **arguments}
        with pytest.raises(InvalidArgument, match=message):
            memory.warm(**given)

    @pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), "5", True, None])
    def test_a_schedule_needs_a_time(self, memory, seconds):
        with pytest.raises(InvalidArgument, match="seconds is"):
            memory.warming.every(seconds, ["a"])


class TestSchedule:
    def test_it_warms_until_it_is_stopped(self, memory):
        schedule = memory.warming.every(0.001, ["a"], lambda keys: {"a": 1})
        wait_until(lambda: schedule.runs > 2)
        assert schedule.last.warmed == 1
        schedule.stop()
        runs = schedule.runs
        assert schedule.failure is None
        memory.delete("a")
        time.sleep(0.01)
        assert schedule.runs == runs
        assert memory.get("a") is None

    def test_a_failure_is_told_and_the_next_run_may_succeed(self, memory):
        is_up = threading.Event()

        def choose():
            if not is_up.is_set():
                raise OSError("exchange is down")
            return {"a": 1}

        schedule = memory.warming.every(0.001, choose)
        wait_until(lambda: isinstance(schedule.failure, OSError))
        is_up.set()
        wait_until(lambda: memory.get("a") == 1)
        wait_until(lambda: schedule.failure is None)
        schedule.stop()

    def test_stop_ends_the_run_under_way_after_its_batch(self, memory):
        begun, release = threading.Event(), threading.Event()

        def load(keys):
            begun.set()
            assert release.wait(10)
            return dict.fromkeys(keys, 1)

        schedule = memory.warming.every(60, numbers(500), load, concurrency=1)
        assert begun.wait(10)
        stopping = threading.Thread(target=schedule.stop)
        stopping.start()
        wait_until(schedule._stopped.is_set)
        release.set()
        stopping.join(10)
        assert not stopping.is_alive()
        assert schedule.last.is_stopped
        assert schedule.last.warmed == 100

    def test_it_ends_with_its_cache(self):
        cache = CacheManager({})
        schedule = cache.warming.every(0.001, ["a"], lambda keys: {"a": 1})
        wait_until(lambda: schedule.runs)
        cache.close()
        schedule._thread.join(10)
        assert not schedule._thread.is_alive()
