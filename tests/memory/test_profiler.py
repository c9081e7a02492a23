"""``@memory_profiler``: what it measures, and that it changes nothing."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import inspect
import os
import subprocess
import sys
import threading
import tracemalloc
import types
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory.alone import alone
from ohlcache.errors import InvalidArgument
from ohlcache.memory import census, profiler
from ohlcache.memory.profiler import memory_profiler, profile_figures, profiles
from ohlcache.memory.profiling import measuring as measuring_module
from ohlcache.memory.profiling.growth import Growth
from ohlcache.memory.profiling.tracing import tracing

MB = 1 << 20


@pytest.fixture(autouse=True, scope="module")
def _alone():
    """Nothing of other tests is looked at."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _small_samples(monkeypatch):
    """The test run holds very many objects."""
    monkeypatch.setattr(census, "SAMPLE", 1_000)


def take(megabytes):
    """Memory that is really used."""
    return np.ones(megabytes * MB // 8)


class Resident:
    """RSS as a number that the test sets."""

    def __init__(self) -> None:
        self.rss = 100 * MB
        self.highest = 100 * MB

    def grow(self, nbytes):
        self.rss += nbytes
        self.highest = max(self.highest, self.rss)


@pytest.fixture
def resident(monkeypatch):
    """The memory of the process, told instead of read."""
    told = Resident()
    monkeypatch.setattr(measuring_module, "rss_bytes", lambda: told.rss)
    monkeypatch.setattr(measuring_module, "highest_rss_bytes", lambda: told.highest)
    return told


# -- nothing changes ------------------------------------------------------------------------------


@pytest.fixture(params=[False, True], ids=["plain", "track_objects"])
def decorate(request):
    return memory_profiler(track_objects=request.param)


def test_a_function_keeps_what_it_is(decorate):
    def load(symbol: str, *, limit: int = 5) -> str:
        """Load."""
        return f"{symbol} {limit}"

    profiled = decorate(load)
    assert profiled("BTC", limit=3) == "BTC 3"
    assert inspect.signature(profiled) == inspect.signature(load)
    assert (profiled.__name__, profiled.__doc__) == ("load", "Load.")
    assert profiled.profile.calls == 1


def test_exceptions_pass_and_are_measured(decorate):
    error = KeyError("BTC")

    @decorate
    def load():
        raise error

    with pytest.raises(KeyError) as raised:
        load()
    assert raised.value is error
    assert load.profile.calls == 1
    assert not tracemalloc.is_tracing()


def test_methods(decorate):
    class Feed:
        def __init__(self, name):
            self.name = name

        @decorate
        def load(self, suffix):
            return self.name + suffix

        @classmethod
        @decorate
        def make(cls):
            return cls("made")

        @staticmethod
        @decorate
        def add(one, two):
            return one + two

    assert Feed("a").load("b") == "ab"
    assert Feed.make().name == "made"
    assert Feed.add(1, 2) == 3
    assert [Feed.load.profile.calls, Feed.make.profile.calls, Feed.add.profile.calls] == [1, 1, 1]


def test_without_and_with_parentheses():
    @memory_profiler
    def one():
        return 1

    @memory_profiler()
    def two():
        return 2

    assert (one(), two()) == (1, 2)
    assert one.profile.calls == two.profile.calls == 1


@pytest.mark.parametrize(
    "wrong", [5, staticmethod(len), property(len), int], ids=["int", "static", "property", "type"]
)
def test_what_is_no_function_is_refused(wrong):
    with pytest.raises(InvalidArgument, match=r"memory_profiler decorates .*give it a function"):
        memory_profiler()(wrong)


def test_a_partial_is_decorated():
    profiled = memory_profiler(functools.partial(int, base=2))
    assert profiled("101") == 5
    assert profiled.profile.name == "functools.partial"


def averages():
    """A generator that uses all of its protocol."""
    total, count = 0.0, 0
    average = None
    while True:
        try:
            value = yield average
        except ZeroDivisionError:
            average = -1
            continue
        if value is None:
            return total
        total, count = total + value, count + 1
        average = total / count


def test_a_generator_is_driven_as_before(decorate):
    profiled = decorate(averages)
    assert inspect.isgeneratorfunction(profiled)
    for run in (averages, profiled):
        generator = run()
        assert next(generator) is None
        assert generator.send(10) == 10
        assert generator.throw(ZeroDivisionError()) == -1
        assert generator.send(20) == 15
        with pytest.raises(StopIteration) as done:
            next(generator)
        assert done.value.value == 30
    assert profiled.profile.calls == 1


def test_a_generator_that_is_closed_runs_its_end(decorate):
    ended = []

    @decorate
    def pages():
        try:
            yield 1
            yield 2
        finally:
            ended.append(True)

    generator = pages()
    assert next(generator) == 1
    generator.close()
    assert ended == [True]
    assert list(pages()) == [1, 2]


def test_a_generator_that_refuses_to_close_is_told_so(decorate):
    @decorate
    def stubborn():
        for _ in range(2):
            with contextlib.suppress(GeneratorExit):
                yield

    generator = stubborn()
    next(generator)
    with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
        generator.close()


def test_coroutines_and_their_cancellation(decorate):
    cancelled = []

    @decorate
    async def load(symbol):
        try:
            await asyncio.sleep(0 if symbol == "BTC" else 60)
        except asyncio.CancelledError:
            cancelled.append(symbol)
            raise
        return symbol

    async def run():
        assert await load("BTC") == "BTC"
        task = asyncio.create_task(load("ETH"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert inspect.iscoroutinefunction(load)
    asyncio.run(run())
    assert cancelled == ["ETH"]
    assert load.profile.calls == 2


async def aaverages():
    total, count = 0.0, 0
    average = None
    while True:
        await asyncio.sleep(0)
        try:
            value = yield average
        except ZeroDivisionError:
            average = -1
            continue
        if value is None:
            return
        total, count = total + value, count + 1
        average = total / count


def test_an_async_generator_is_driven_as_before(decorate):
    profiled = decorate(aaverages)
    ended = []

    @decorate
    async def pages():
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    async def run():
        for make in (aaverages, profiled):
            generator = make()
            assert await anext(generator) is None
            assert await generator.asend(10) == 10
            assert await generator.athrow(ZeroDivisionError()) == -1
            assert await generator.asend(20) == 15
            with pytest.raises(StopAsyncIteration):
                await anext(generator)
        closing = pages()
        assert await anext(closing) == 1
        await closing.aclose()
        assert ended == [True]
        assert [page async for page in pages()] == [1, 2]

    assert inspect.isasyncgenfunction(profiled)
    asyncio.run(run())
    assert profiled.profile.calls == 1


# -- what is measured -----------------------------------------------------------------------------


def test_memory_that_is_kept_and_its_peak_are_seen():
    kept = []

    @memory_profiler
    def load():
        kept.append(take(40))

    load()
    assert load.profile.growth_bytes == pytest.approx(40 * MB, rel=0.2)
    assert load.profile.peak_rise_bytes >= 0.8 * 40 * MB
    assert load.profile.peak_rss_bytes > 40 * MB


def test_a_peak_within_a_call_is_seen_when_it_is_the_highest_ever(resident):
    @memory_profiler
    def work():
        resident.grow(50 * MB)
        resident.grow(-50 * MB)

    work()
    assert work.profile.peak_rise_bytes == 50 * MB
    assert work.profile.growth_bytes == 0


def test_growth_that_persists_is_told(resident):
    @memory_profiler
    def leaking():
        resident.grow(4_096)

    for _ in range(9):
        leaking()
    assert leaking.profile.growth_per_call_bytes is None
    assert "too few calls" in leaking.profile.judgement
    for _ in range(20):
        leaking()
    assert leaking.profile.growth_per_call_bytes == 4_096
    assert leaking.profile.growth_persists
    assert "grows by 4,096 bytes a call" in leaking.profile.judgement


def test_a_function_that_frees_what_it_takes_is_not_suspected():
    @memory_profiler
    def work():
        return float(take(3).sum())

    for _ in range(200):
        work()
    assert work.profile.growth_persists is False
    assert work.profile.judgement == "no persistent growth"


LEAKING = """
import numpy as np
from ohlcache.memory import memory_profiler

kept = []

@memory_profiler
def leak():
    kept.append(np.ones(2**20 // 8))

for _ in range(60):
    leak()
print(leak.profile.growth_persists, leak.profile.growth_per_call_bytes)
"""


def test_a_leak_of_real_memory_is_told():
    # In a process of its own: one that has given memory back takes no more for a while.
    done = subprocess.run([sys.executable, "-c", LEAKING], check=True, capture_output=True)
    persists, per_call = done.stdout.decode().split()
    assert persists == "True"
    assert float(per_call) == pytest.approx(MB, rel=0.2)


def test_a_generator_is_measured_while_it_runs_not_while_it_is_suspended(resident):
    @memory_profiler
    def pages():
        for _ in range(3):
            resident.grow(MB)
            yield

    for _ in pages():
        resident.grow(100 * MB)
    assert pages.profile.growth_bytes == 3 * MB
    assert pages.profile.calls == 1


def test_a_coroutine_is_measured_while_it_runs_not_while_others_do(resident):
    @memory_profiler
    async def load():
        resident.grow(MB)
        await asyncio.sleep(0)
        resident.grow(MB)

    async def other():
        for _ in range(5):
            resident.grow(100 * MB)
            await asyncio.sleep(0)

    async def run():
        await asyncio.gather(load(), other(), load())

    asyncio.run(run())
    assert load.profile.growth_bytes == 4 * MB
    assert load.profile.calls == 2


def test_recursion_counts_growth_once(resident):
    @memory_profiler
    def deep(level):
        resident.grow(MB)
        if level:
            deep(level - 1)

    deep(4)
    assert deep.profile.growth_bytes == 5 * MB
    assert deep.profile.calls == 5


def test_overlapping_calls_in_threads_count_growth_once(resident):
    together = threading.Barrier(4)

    @memory_profiler
    def load():
        together.wait()
        resident.grow(MB)
        together.wait()

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert load.profile.growth_bytes == 4 * MB
    assert load.profile.calls == 4


def test_calls_that_overlap_without_end_are_counted_all_the_same(resident):
    noted = []

    @memory_profiler
    def call(is_outer):
        if not is_outer:
            resident.grow(1_000)
            return
        for _ in range(2_000):
            call(False)
        noted.append(call.profile.growth_persists)

    call(True)
    assert call.profile.growth_bytes == 2_000_000
    assert noted == [True]


def test_memory_that_cannot_be_read_is_counted_and_harms_nothing(monkeypatch):
    monkeypatch.setattr(measuring_module, "rss_bytes", lambda: None)

    @memory_profiler
    def load():
        return 5

    assert load() == 5
    assert load.profile.as_dict()["unread_parts"] == 1
    assert load.profile.growth_bytes == 0


# -- track_objects --------------------------------------------------------------------------------


class Order:
    def __init__(self, number):
        self.number = number


def test_types_and_lines_are_named(monkeypatch):
    monkeypatch.setattr(census, "SAMPLE", 10**9)
    kept = []

    @memory_profiler(track_objects=True)
    def place():
        kept.extend(Order(number) for number in range(3_000))
        kept.append(bytearray(2_000_000))

    place()
    types = {suspect.type_name: suspect for suspect in place.profile.types}
    assert types["bytearray"].bytes_growth == pytest.approx(2_000_000, rel=0.1)
    assert place.profile.lines[0].file == __file__
    assert place.profile.python_retained_bytes >= 2_000_000
    assert not tracemalloc.is_tracing()


def test_garbage_in_cycles_is_not_named():
    @memory_profiler(track_objects=True)
    def place():
        order = Order(1)
        order.me = order
        order.filled = bytearray(5_000_000)

    place()
    assert not any("Order" in each.type_name for each in place.profile.types)
    assert place.profile.python_peak_bytes >= 5_000_000


def test_nested_calls_have_each_its_own_peak():
    @memory_profiler(track_objects=True)
    def inner():
        return bytearray(1_000_000) and None

    @memory_profiler(track_objects=True)
    def outer():
        first = bytearray(5_000_000)
        del first
        inner()

    outer()
    assert 1_000_000 <= inner.profile.python_peak_bytes < 2_000_000
    assert 5_000_000 <= outer.profile.python_peak_bytes < 6_000_000


def test_tracing_that_others_started_goes_on():
    @memory_profiler(track_objects=True)
    def load():
        assert tracemalloc.is_tracing()

    tracemalloc.start()
    try:
        load()
        assert tracemalloc.is_tracing()
    finally:
        tracemalloc.stop()


def test_a_function_that_stops_tracing_itself_harms_nothing():
    @memory_profiler(track_objects=True)
    def load():
        tracemalloc.stop()
        return 5

    assert [load(), load(), load()] == [5, 5, 5]
    assert load.profile.python_retained_bytes == 0


def test_tracing_ends_with_the_last_of_overlapping_threads():
    together = threading.Barrier(3)
    traced = []

    @memory_profiler(track_objects=True)
    def load(number):
        together.wait()
        if number == 0:
            return
        together_late.wait()
        traced.append(tracemalloc.is_tracing())

    together_late = threading.Barrier(2)
    threads = [threading.Thread(target=load, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert traced == [True, True]
    assert not tracemalloc.is_tracing()


def test_a_look_that_fails_is_counted_and_harms_nothing(monkeypatch):
    def fail():
        raise MemoryError

    monkeypatch.setattr(measuring_module.Look, "begin", fail)

    @memory_profiler(track_objects=True)
    def load():
        return 5

    assert load() == 5
    assert load.profile.as_dict()["failed_looks"] == 1


@pytest.mark.parametrize(
    ("make", "nbytes"),
    [
        (lambda: [f"{number}x" for number in range(2_000)], 120_000),
        (lambda: bytes(100_000), 100_000),
    ],
    ids=["many small", "one large"],
)
def test_with_objects_tracked_what_is_kept_is_told(make, nbytes):
    kept = []

    @memory_profiler(track_objects=True)
    def leak():
        kept.append(make())

    for _ in range(30):
        leak()
    assert leak.profile.growth_persists
    assert leak.profile.growth_per_call_bytes == pytest.approx(nbytes, rel=0.1)


@pytest.mark.parametrize("nbytes", [0, 100_000])
def test_with_objects_tracked_what_is_returned_and_dropped_is_no_growth(nbytes):
    @memory_profiler(track_objects=True)
    def load():
        return bytearray(nbytes) or None

    for _ in range(40):
        load()
    assert load.profile.growth_persists is False
    assert load.profile.growth_per_call_bytes == 0


def test_the_profiler_itself_is_not_seen(monkeypatch):
    monkeypatch.setattr(census, "SAMPLE", 10**9)

    @memory_profiler(track_objects=True)
    def nothing():
        pass

    nothing()
    nothing()
    assert not nothing.profile.types
    # A library that counts collections may allocate a little of its own meanwhile.
    assert not [line for line in nothing.profile.lines if "ohlcache" in Path(line.file).parts]
    assert abs(nothing.profile.growth_bytes) < MB
    assert abs(nothing.profile.python_retained_bytes) < 1_000


# -- all of the process ---------------------------------------------------------------------------


def test_profiles_of_the_process():
    @memory_profiler
    def load():
        return 1

    name = f"{__name__}.{load.__qualname__}"
    assert name not in profiles()
    load()
    assert profiles()[name]["calls"] == 1
    assert profile_figures()[name] == {
        "calls": 1,
        "peak_rise_bytes": load.profile.peak_rise_bytes,
        "growth_bytes": load.profile.growth_bytes,
        "growth_per_call_bytes": None,
        "growth_persists": None,
    }
    assert f"{name}: 1 calls" in str(load.profile)
    del load
    gc.collect()
    assert name not in profiles()


def test_their_number_is_bounded(monkeypatch):
    monkeypatch.setattr(profiler, "MOST_PROFILES", len(profiler._reports) + 2)
    made = []
    for number in range(5):

        def load():
            return 1

        load.__qualname__ = f"made_{number}"
        made.append(memory_profiler(load))
        made[-1]()
    listed = [name for name in profiles() if ".made_" in name]
    assert listed == [f"{__name__}.made_0", f"{__name__}.made_1"]
    assert made[4].profile.calls == 1


# -- growth over calls ----------------------------------------------------------------------------


def grown(gains):
    growth = Growth()
    for calls, gain in enumerate(gains, 1):
        growth.add(calls, gain)
    return growth


@pytest.mark.parametrize(
    ("gains", "persists"),
    [
        ([4_096] * 12, True),
        ([0] * 100, False),
        (([0] * 999 + [MB]) * 100, True),  # 1 kB a call, as RSS shows it
        (([MB] * 9 + [-9 * MB]) * 20, False),  # sawtooth
        ([50 * MB] + [0] * 99, False),  # warm-up
        ([MB] * 50 + [0] * 150, False),  # a cache that has filled
        ([MB, -MB] * 100, False),
        ([-4_096] * 50, False),
    ],
    ids=["leak", "steady", "small leak", "sawtooth", "warm-up", "filled", "noise", "shrinking"],
)
def test_only_growth_that_goes_on_persists(gains, persists):
    assert grown(gains).persists() is persists


@given(st.lists(st.integers(-MB, MB), max_size=300))
def test_growth_adds_up_in_fixed_memory(gains):
    growth = grown(gains)
    assert growth.total == sum(gains)
    assert len(growth._after_warm_up()) <= 65
    assert (growth.per_call() is None) == (growth.calls < 10)


@given(st.integers(1, MB), st.integers(10, 500))
def test_a_steady_leak_is_told_exactly(nbytes, calls):
    growth = grown([nbytes] * calls)
    assert growth.per_call() == nbytes
    assert growth.persists()


# -- forks and coroutines of the old kind ----------------------------------------------------------


def test_generators_that_can_be_awaited_still_can():
    @memory_profiler
    @types.coroutine
    def step():
        yield
        return 5

    async def use():
        return await step()

    assert asyncio.run(use()) == 5
    assert step.profile.calls == 1


@alone
def test_a_forked_child_traces_no_more_and_waits_for_no_thread_of_its_parent():
    in_call, go_on = threading.Event(), threading.Event()

    @memory_profiler(track_objects=True)
    def call(go_on):
        in_call.set()
        go_on.wait()

    thread = threading.Thread(target=call, args=(go_on,), daemon=True)
    thread.start()
    assert in_call.wait(10)
    with contextlib.ExitStack() as locks:
        for lock in (call.profile._of._lock, tracing._lock, profiler._lock):
            locks.enter_context(lock)
        assert tracemalloc.is_tracing()
        child = os.fork()
        if child == 0:
            done = threading.Thread(target=lambda: (call(in_call), profiles()), daemon=True)
            is_idle = not tracemalloc.is_tracing()
            done.start()
            done.join(10)
            os._exit(0 if is_idle and not done.is_alive() and not tracemalloc.is_tracing() else 1)
    _, status = os.waitpid(child, 0)
    go_on.set()
    thread.join(10)
    assert status == 0
    assert not tracemalloc.is_tracing()
