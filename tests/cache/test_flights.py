"""Single-flight under threads, tasks and loops that come and go: one load, and nobody hangs."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from cache_doors import until_live, wait_until
from ohlcache.errors import CacheError, LoadTimeout, RecursiveLoad

WAIT = 20  # seconds: a test that would hang fails instead

symbol = contextvars.ContextVar("symbol", default="")


class Loads:
    """A loader that counts its calls and returns when it is told to."""

    def __init__(self, value="value"):
        self.calls = 0
        self.begun = threading.Event()
        self.release = threading.Event()
        self._value = value
        self._lock = threading.Lock()

    def __call__(self):
        with self._lock:
            self.calls += 1
        self.begun.set()
        assert self.release.wait(WAIT)
        return self._value

    async def in_loop(self):
        return await asyncio.to_thread(self)


@pytest.fixture
def memory(make_cache):
    return make_cache("memory")


@pytest.fixture
def cache_of(make_cache):
    def make(tiers, **settings):
        made = make_cache(tiers, **settings)
        until_live(made)
        return made

    return make


def in_threads(*calls):
    """What each call gave, or the error that it raised; all at once, each in a thread."""
    with ThreadPoolExecutor(len(calls)) as threads:
        futures = [threads.submit(call) for call in calls]
        return [future.exception(WAIT) or future.result() for future in futures]


def starting(loads, *calls):
    """Calls in threads of their own, once the load is under way; then it may end."""
    threads = ThreadPoolExecutor(len(calls))
    futures = [threads.submit(call) for call in calls]
    assert loads.begun.wait(WAIT)
    return threads, futures


class TestManyCallers:
    @pytest.mark.parametrize("tiers", ["memory", "sqlite", "redis"])
    def test_threads_and_tasks_of_several_loops_load_once(self, cache_of, tiers):
        cache = cache_of(tiers)
        loads = Loads()
        ready = threading.Barrier(9)

        def in_thread():
            ready.wait(WAIT)
            return [cache.get_or_load("k", loads)]

        def in_loop(loader):
            async def main():
                ready.wait(WAIT)
                return await asyncio.gather(*[cache.aget_or_load("k", loader) for _ in range(20)])

            return asyncio.run(main())

        with ThreadPoolExecutor(8) as threads:
            futures = [threads.submit(in_thread) for _ in range(4)]
            futures += [threads.submit(in_loop, loads) for _ in range(2)]
            futures += [threads.submit(in_loop, loads.in_loop) for _ in range(2)]
            ready.wait(WAIT)
            assert loads.begun.wait(WAIT)
            loads.release.set()
            found = [future.result(WAIT) for future in futures]
        assert {value for values in found for value in values} == {"value"}
        assert loads.calls == 1
        assert cache.stats()["flights"] == 0

    def test_an_error_wakes_all_and_leaves_the_key_free(self, memory):
        begun, release = threading.Event(), threading.Event()

        def fail():
            begun.set()
            release.wait(WAIT)
            raise OSError("exchange is down")

        async def tasks():
            calls = [memory.aget_or_load("k", fail) for _ in range(20)]
            return await asyncio.gather(*calls, return_exceptions=True)

        with ThreadPoolExecutor(4) as threads:
            futures = [threads.submit(memory.get_or_load, "k", fail) for _ in range(3)]
            assert begun.wait(WAIT)
            in_loop = threads.submit(asyncio.run, tasks())
            release.set()
            errors = [future.exception(WAIT) for future in futures] + in_loop.result(WAIT)
        assert {str(error) for error in errors} == {"exchange is down"}
        assert memory.stats()["flights"] == 0
        assert memory.get_or_load("k", lambda: 1) == 1

    def test_a_loader_that_hangs_is_cut_for_all_who_wait(self, make_cache):
        limits = {"default": {"load_timeout_seconds": 0.2}}
        cache = make_cache("memory", categories=limits)
        release = threading.Event()

        async def tasks():
            calls = [cache.aget_or_load("k", lambda: release.wait(WAIT)) for _ in range(10)]
            return await asyncio.gather(*calls, return_exceptions=True)

        def wait_for_it():
            return cache.get_or_load("k", lambda: release.wait(WAIT))

        try:
            *found, in_loop = in_threads(*[wait_for_it] * 3, lambda: asyncio.run(tasks()))
        finally:
            release.set()
        assert {type(error) for error in found + in_loop} == {LoadTimeout}
        assert cache.get_or_load("k", lambda: 1) == 1

    def test_bulk_loads_with_common_keys_load_each_key_once(self, cache_of, door):
        cache = cache_of("sqlite")
        asked, lock, ready = [], threading.Lock(), threading.Barrier(6)

        def load(keys):
            with lock:
                asked.extend(keys)
            return {key: key * 2 for key in keys if key % 7}

        def call(number):
            wanted = range(5 * number, 5 * number + 30)
            ready.wait(WAIT)
            return door(cache, "get_or_load_many", wanted, door.loader(load))

        found = in_threads(*[lambda number=number: call(number) for number in range(6)])
        for number, values in enumerate(found):
            wanted = range(5 * number, 5 * number + 30)
            assert values == {key: key * 2 for key in wanted if key % 7}
        assert sorted(asked) == list(range(55))

    def test_bulk_and_single_loads_share_flights(self, memory):
        loads = Loads()
        threads, futures = starting(loads, lambda: memory.get_or_load("a", loads))
        with threads:
            with ThreadPoolExecutor(1) as more:
                many = more.submit(
                    memory.get_or_load_many, ["a", "b"], lambda keys: dict.fromkeys(keys, "bulk")
                )
                wait_until(lambda: memory.get("b") == "bulk")
                loads.release.set()
                assert many.result(WAIT) == {"a": "value", "b": "bulk"}
            assert futures[0].result(WAIT) == "value"
        assert loads.calls == 1


class TestCancelling:
    @pytest.mark.parametrize("tiers", ["memory", "sqlite", "redis"])
    @pytest.mark.parametrize("seed", range(3))
    def test_a_storm_leaves_the_survivors_their_value(self, cache_of, tiers, seed):
        cache = cache_of(tiers)
        dice = random.Random(seed)
        calls = []

        async def load():
            calls.append(1)
            await asyncio.sleep(0.05)
            return "value"

        async def main():
            tasks = [asyncio.create_task(cache.aget_or_load("k", load)) for _ in range(200)]
            await asyncio.sleep(0)
            doomed = {0, *dice.sample(range(200), 120)}
            for number in doomed:
                if dice.random() < 0.3:
                    await asyncio.sleep(0)
                tasks[number].cancel()
            found = await asyncio.gather(*tasks, return_exceptions=True)
            survivors = [found[number] for number in range(200) if number not in doomed]
            assert set(survivors) == {"value"}
            assert isinstance(found[0], asyncio.CancelledError)
            assert await cache.aget("k") == "value"
            await cache.aclose()

        asyncio.run(main())
        assert len(calls) == 1

    def test_when_all_are_cancelled_the_load_is_kept_all_the_same(self, memory):
        loads = Loads()

        async def main():
            tasks = [asyncio.create_task(memory.aget_or_load("k", loads)) for _ in range(5)]
            await asyncio.to_thread(loads.begun.wait, WAIT)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            loads.release.set()
            while memory.get("k") is None:
                await asyncio.sleep(0.001)

        asyncio.run(asyncio.wait_for(main(), WAIT))
        assert memory.get("k") == "value"

    @pytest.mark.parametrize("tiers", ["sqlite", "redis"])
    @pytest.mark.parametrize("seed", range(3))
    def test_cancelled_writes_leave_nobody_with_an_older_value(self, cache_of, tiers, seed):
        cache, other = cache_of(tiers), cache_of(tiers)
        dice = random.Random(seed)

        async def main():
            for number in range(40):
                task = asyncio.create_task(cache.aset("k", number))
                for _ in range(dice.randrange(4)):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                await cache.aget("k")  # holds what there is at that moment
            await asyncio.sleep(0.05)
            await cache.aget("k")
            await cache.aset("last", 1)
            values = {await cache.aget("k"), await other.aget("k")}
            await cache.aclose()
            await other.aclose()
            return values

        assert len(asyncio.run(main())) == 1

    def test_a_loader_that_awaits_something_cancelled_is_an_error(self, memory):
        calls = []

        async def load():
            calls.append(1)
            if len(calls) > 5:
                return "called again and again"
            gone = asyncio.get_running_loop().create_future()
            gone.cancel()
            return await gone

        async def main():
            both = [memory.aget_or_load("k", load) for _ in range(2)]
            return await asyncio.gather(*both, return_exceptions=True)

        errors = asyncio.run(main())
        assert [type(error) for error in errors] == [CacheError] * 2
        assert len(calls) == 1


class TestLoopsThatEnd:
    @pytest.mark.parametrize("tiers", ["memory", "sqlite"])
    def test_who_waits_for_a_loop_that_ended_loads_himself(self, cache_of, tiers):
        cache = cache_of(tiers, lease_seconds=0.2)
        begun = threading.Event()

        async def forever():
            begun.set()
            await asyncio.sleep(60)

        async def main():
            waiting.append(asyncio.create_task(cache.aget_or_load("k", forever)))
            await asyncio.to_thread(begun.wait, WAIT)
            waiting.append(threads.submit(cache.get_or_load, "k", lambda: "mine"))
            waiting.append(threads.submit(asyncio.run, other_loop()))
            await asyncio.sleep(0.05)

        async def other_loop():
            return await cache.aget_or_load("k", lambda: "mine")

        waiting = []
        with ThreadPoolExecutor(2) as threads:
            asyncio.run(main())
            assert [one.result(WAIT) for one in waiting[1:]] == ["mine"] * 2
        assert cache.get("k") == "mine"
        assert cache.stats()["flights"] == 0

    @pytest.mark.parametrize("is_closed", [False, True])
    def test_a_loop_that_was_left_with_a_load_under_way(self, memory, is_closed, caplog):
        async def forever():
            await asyncio.sleep(60)

        async def from_other_loop():
            return await memory.aget_or_load("other", lambda: "mine")

        loop = asyncio.new_event_loop()
        for key in ("k", "other"):
            with pytest.raises(TimeoutError):
                loop.run_until_complete(
                    asyncio.wait_for(memory.aget_or_load(key, forever), timeout=0.01)
                )
        if is_closed:
            loop.close()
        found = in_threads(
            lambda: memory.get_or_load("k", lambda: "mine"),
            lambda: asyncio.run(from_other_loop()),
        )
        assert found == ["mine"] * 2
        assert memory.get_many(["k", "other"]) == {"k": "mine", "other": "mine"}
        if not is_closed:
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()
        assert memory.get("k") == "mine"
        gc.collect()  # the tasks of the closed loop say so in the log here, not later

    def test_a_sync_call_in_the_loop_that_loads_the_key_does_not_wait_for_it(self, memory):
        async def load():
            await asyncio.sleep(0.01)
            return "async"

        async def main():
            task = asyncio.create_task(memory.aget_or_load("k", load))
            await asyncio.sleep(0)
            inside = memory.get_or_load("k", lambda: "sync")
            return inside, await task, memory.get("k")

        assert asyncio.run(asyncio.wait_for(main(), WAIT)) == ("sync", "async", "async")


class TestLoaders:
    def test_contextvars_are_visible_in_the_loader(self, memory, door):
        def load():
            return symbol.get()

        async def set_and_load():
            symbol.set("ETH")
            return await memory.aget_or_load("async", door.loader(load))

        token = symbol.set("BTC")
        try:
            assert memory.get_or_load("sync", load) == "BTC"
        finally:
            symbol.reset(token)
        assert asyncio.run(set_and_load()) == "ETH"

    def test_an_interrupt_concerns_one_caller(self, memory):
        begun, release = threading.Event(), threading.Event()

        def interrupted():
            begun.set()
            release.wait(WAIT)
            raise KeyboardInterrupt

        with ThreadPoolExecutor(2) as threads:
            leader = threads.submit(memory.get_or_load, "k", interrupted)
            assert begun.wait(WAIT)
            waiter = threads.submit(memory.get_or_load, "k", lambda: "mine")
            release.set()
            assert isinstance(leader.exception(WAIT), KeyboardInterrupt)
            assert waiter.result(WAIT) == "mine"
        assert memory.get("k") == "mine"

    def test_loaders_may_wait_for_as_many_loaders(self, make_cache):
        limits = {"default": {"load_timeout_seconds": 5}}
        cache = make_cache("memory", categories=limits)
        many = 64  # as many threads as loaders have
        ready = threading.Barrier(many)

        def outer(number):
            ready.wait(WAIT)
            return cache.get_or_load(f"inner {number}", lambda: number)

        def call(number):
            return lambda: cache.get_or_load(f"outer {number}", lambda: outer(number))

        assert in_threads(*map(call, range(many))) == list(range(many))

    def test_what_a_loader_leaves_behind_may_ask_for_its_key(self, memory):
        left = []

        async def heartbeat():
            await asyncio.sleep(0.01)
            return await memory.aget_or_load("k", lambda: "again")

        async def connect():
            left.append(asyncio.create_task(heartbeat()))
            return "connected"

        async def main():
            assert await memory.aget_or_load("k", connect, ttl=0) == "connected"
            return await left[0]

        assert asyncio.run(main()) == "again"

    def test_recursion_is_told_through_both_doors(self, memory):
        async def load():
            return await memory.aget_or_load("k", load)

        with pytest.raises(RecursiveLoad):
            asyncio.run(memory.aget_or_load("k", load))
        with pytest.raises(RecursiveLoad):
            memory.get_or_load_many(["a", "k"], lambda keys: {"a": memory.get_or_load("k", int)})

    def test_a_refresh_does_not_wait_for_the_load_under_way(self, memory):
        old = Loads("old")
        threads, futures = starting(old, lambda: memory.get_or_load("k", old))
        with threads:
            assert memory.refresh("k", lambda: "new") == "new"
            old.release.set()
            assert futures[0].result(WAIT) == "old"
        assert memory.get("k") == "new"

    @pytest.mark.parametrize("tiers", ["sqlite", "redis"])
    def test_a_refresh_counts_more_than_the_load_under_way(self, cache_of, tiers):
        cache = cache_of(tiers)
        old = Loads("old")
        threads, futures = starting(old, lambda: cache.get_or_load("k", old))
        with threads, ThreadPoolExecutor(1) as more:
            refreshed = more.submit(cache.refresh, "k", lambda: "new")
            wait_until(lambda: cache.stats()["loads"]["lease_waits"])
            old.release.set()
            assert refreshed.result(WAIT) == "new"
            assert futures[0].result(WAIT) == "old"
        assert cache.get("k") == "new"
        cache.forget(["k"])
        assert cache.get("k") == "new"

    def test_a_batch_of_any_size_is_kept(self, memory):
        many = [f"symbol {number}" for number in range(12_000)]
        memory.get_or_load_many(many, lambda keys: dict.fromkeys(keys, 1))
        assert len(memory.get_many(many)) == len(many)
        memory.delete_many(many)
        assert memory.get_many(many) == {}
        memory.set_many(dict.fromkeys(many, 2))
        assert memory.get_many(many) == dict.fromkeys(many, 2)
