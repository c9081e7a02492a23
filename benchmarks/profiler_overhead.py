"""What does ``@memory_profiler`` add to a call, without and with ``track_objects``?

The same functions, bare and decorated, called by turns. One does nothing, so that only the
decorator is seen; one makes many small objects, which tracemalloc makes dearer; one works with
arrays, as code on candles does. The peer is what one would write by hand: psutil before and after,
or a start and stop of tracemalloc.
"""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import numpy as np
import psutil

from benchmarks.common import Figure, Options, as_time, at_most, best_by_turns, figure, seconds
from ohlcache.memory.profiler import memory_profiler

TITLE = "Memory profiler"

_CALLS = 2_000


def measure(options: Options) -> Iterator[Figure]:
    yield from _calls_of_nothing(options)
    yield from _tracked(options)
    yield from _looks()


def _nothing() -> None:
    pass


async def _async_nothing() -> None:
    pass


def _small_objects() -> list[dict[str, int]]:
    return [{"open": number} for number in range(5_000)]


def _arrays() -> float:
    closes = np.linspace(1, 2, 500_000)
    return float(np.diff(closes).std())


def _by_psutil(function: Callable[[], Any]) -> Callable[[], Any]:
    process = psutil.Process()

    @wraps(function)
    def call() -> Any:
        before = process.memory_info().rss
        try:
            return function()
        finally:
            call.grown += process.memory_info().rss - before

    call.grown = 0
    return call


def _by_tracemalloc(function: Callable[[], Any]) -> Callable[[], Any]:
    @wraps(function)
    def call() -> Any:
        tracemalloc.start()
        try:
            return function()
        finally:
            call.peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()

    return call


def _calls_of_nothing(options: Options) -> Iterator[Figure]:
    contestants = {"ours": memory_profiler(_nothing), "psutil": _by_psutil(_nothing)}
    runs = {who: _timed(function, _CALLS) for who, function in contestants.items()}
    with asyncio.Runner() as runner:
        profiled = memory_profiler(_async_nothing)
        runs["async"] = lambda: seconds(lambda: runner.run(_awaited(profiled))) / _CALLS
        best = best_by_turns(runs, options.turns(20))
    target = at_most(30e-6, as_time)
    yield figure("a call", best["ours"], as_time, ("psutil by hand", best["psutil"]), target)
    yield figure("an async call", best["async"], as_time, target=target)


async def _awaited(function: Callable[[], Any]) -> None:
    for _ in range(_CALLS):
        await function()


def _tracked(options: Options) -> Iterator[Figure]:
    for name, function, calls in (
        ("5,000 small objects", _small_objects, 20),
        ("arrays of 500,000", _arrays, 20),
    ):
        tracked = memory_profiler(track_objects=True)(function)
        for _ in range(_LOOKS_DONE):
            tracked()
        contestants = {
            "bare": function,
            "plain": memory_profiler(function),
            "ours": tracked,
            "tracemalloc": _by_tracemalloc(function),
        }
        runs = {who: _timed(each, calls) for who, each in contestants.items()}
        best = best_by_turns(runs, options.turns(12))
        bare = ("bare", best["bare"])
        yield figure(f"{name}, without track_objects", best["plain"], as_time, bare)
        yield figure(f"{name}, with track_objects, between looks", best["ours"], as_time, bare)
        yield figure(
            f"{name}, with track_objects, between looks",
            best["ours"],
            as_time,
            ("tracemalloc by hand", best["tracemalloc"]),
        )


_LOOKS_DONE = 1_025  # calls; the next look comes at twice as many, which the runs do not reach


def _looks() -> Iterator[Figure]:
    for objects in (0, 500_000):
        held = [[number] for number in range(objects)]
        first = min(seconds(memory_profiler(track_objects=True)(_nothing)) for _ in range(3))
        yield figure(f"a look, {len(held):,} more objects alive", first, as_time)


def _timed(function: Callable[[], Any], calls: int) -> Callable[[], float]:
    def work() -> None:
        for _ in range(calls):
            function()

    return lambda: seconds(work) / calls
