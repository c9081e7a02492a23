"""What does a value cost that is in Redis and not in this process's memory, through the cache?

Redis runs on this machine. The values are dicts of some 500 bytes; ours come decoded, from a
category without memory tier. ``redis`` and ``redis.asyncio`` fetch the same bytes with a plain GET,
as they are or decoded with msgspec. Waits are of each single task while 200 of them read.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from importlib.util import find_spec
from typing import Any

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
from benchmarks.redis_bench_server import redis_server
from ohlcache.cache import CacheManager

TITLE = "Reads of a shared cache, on this machine"

_CATEGORY = "shared"
_KEYS = [f"BTC/USDT {number}" for number in range(1000)]
_VALUE = {
    "symbol": "BTC/USDT",
    "timestamp": 1_700_000_000_000,
    "bids": [[40_000.5 - step, 0.125 * step] for step in range(12)],
    "asks": [[40_001.5 + step, 0.125 * step] for step in range(12)],
    "info": {"venue": "binance", "sequence": 123_456_789},
}
_OURS, _LOADING = "aget", "aget_or_load"
_PLAIN, _DECODED = "redis.asyncio GET", "redis.asyncio GET, decoded"
_READS = {50: 5_000, 200: 10_000}  # in one measurement, by tasks at once
_WATCHED = 40_000  # waits of which the percentiles are

Read = Callable[[str], Awaitable[Any]]


def measure(options: Options) -> Iterator[Figure]:
    with redis_server(options.scratch) as url, _cache(url) as cache:
        cache.set_many(dict.fromkeys(_KEYS, _VALUE), _CATEGORY)
        yield from _sync(options, url, cache)
    with redis_server(options.scratch) as url:
        yield from asyncio.run(_async(options, url))


def _cache(url: str) -> CacheManager:
    category = {"tiers": ["l2"], "ttl_seconds": 600}
    return CacheManager({"cache": {"l2": {"redis_url": url}, "categories": {_CATEGORY: category}}})


def _encoded() -> bytes:
    import msgspec

    return msgspec.msgpack.encode(_VALUE)


# -- one caller -----------------------------------------------------------------------------------


def _sync(options: Options, url: str, cache: CacheManager) -> Iterator[Figure]:
    import msgspec
    import redis

    decode = msgspec.msgpack.decode
    with redis.Redis.from_url(url) as client:
        client.mset(dict.fromkeys(_KEYS, _encoded()))
        reads = {
            "get": lambda key: cache.get(key, _CATEGORY),
            "get_or_load": lambda key: cache.get_or_load(key, _not_loaded, _CATEGORY),
            "redis GET": client.get,
            "redis GET, decoded": lambda key: decode(client.get(key)),
        }
        for name in ("get", "get_or_load", "redis GET, decoded"):
            _check(reads[name](_KEYS[0]))
        runs = {name: lambda read=read: _each(read) for name, read in reads.items()}
        best = best_by_turns(runs, options.turns(20))
    targets = {"redis GET": ratio_at_most(1.25)}
    for peer in ("redis GET", "redis GET, decoded"):
        beside = (peer, best[peer])
        yield figure("one get, sync", best["get"], as_time, beside, targets.get(peer))
    beside = ("redis GET", best["redis GET"])
    yield figure("one get_or_load, sync", best["get_or_load"], as_time, beside)


def _not_loaded() -> Any:
    raise RuntimeError("the value is in Redis: nobody has to load it")


def _check(value: Any) -> None:
    if value != _VALUE:
        raise RuntimeError(f"read {value!r} instead of what was stored")


def _each(read: Callable[[str], Any]) -> float:
    def all_keys() -> None:
        for key in _KEYS:
            read(key)

    return seconds(all_keys) / len(_KEYS)


# -- many tasks -----------------------------------------------------------------------------------


async def _async(options: Options, url: str) -> list[Figure]:
    figures: list[Figure] = []
    async with AsyncExitStack() as stack:
        readers = await _readers(url, stack)
        for read in (one for name, one in readers.items() if name != _PLAIN):
            _check(await read(_KEYS[0]))
        for tasks in _READS:
            best = await _best_at_once(readers, tasks, options.turns(12))
            figures += _figures(tasks, best)
        figures += await _waits(readers, options)
    return figures


async def _readers(url: str, stack: AsyncExitStack) -> dict[str, Read]:
    """How each cache reads a key; every one of them holds all keys."""
    import msgspec
    import redis.asyncio

    cache = await stack.enter_async_context(_cache(url))
    await cache.aset_many(dict.fromkeys(_KEYS, _VALUE), _CATEGORY)
    client = await stack.enter_async_context(
        redis.asyncio.Redis.from_url(url, max_connections=max(_READS))
    )
    await client.mset(dict.fromkeys(_KEYS, _encoded()))
    decode = msgspec.msgpack.decode

    async def decoded(key: str) -> Any:
        return decode(await client.get(key))

    found: dict[str, Read] = {
        _OURS: lambda key: cache.aget(key, _CATEGORY),
        _LOADING: lambda key: cache.aget_or_load(key, _not_loaded, _CATEGORY),
        _PLAIN: client.get,
        _DECODED: decoded,
    }
    for peer, make in {"aiocache": _aiocache, "cashews": _cashews}.items():
        if find_spec(peer):
            found[peer] = await make(url, stack)
        else:
            print(f"without {peer}: not installed")
    return found


async def _aiocache(url: str, stack: AsyncExitStack) -> Read:
    from urllib.parse import urlsplit

    from aiocache import RedisCache
    from aiocache.serializers import JsonSerializer

    address = urlsplit(url)
    cache = RedisCache(
        endpoint=address.hostname,
        port=address.port,
        namespace="aiocache:",
        serializer=JsonSerializer(),
        pool_max_size=max(_READS),
    )
    stack.push_async_callback(cache.close)
    await cache.multi_set([(key, _VALUE) for key in _KEYS])
    return cache.get


async def _cashews(url: str, stack: AsyncExitStack) -> Read:
    from cashews import Cache

    cache = Cache()
    cache.setup(url, max_connections=max(_READS), suppress=False)
    stack.push_async_callback(cache.close)
    for key in _KEYS:
        await cache.set(f"cashews:{key}", _VALUE)
    return lambda key: cache.get(f"cashews:{key}")


async def _best_at_once(readers: dict[str, Read], tasks: int, turns: int) -> dict[str, float]:
    took: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(turns):
        for name, read in readers.items():
            took[name].append(await _at_once(read, tasks, _READS[tasks], []))
    return {name: min(ones) for name, ones in took.items()}


async def _at_once(read: Read, tasks: int, reads: int, waits: list[float]) -> float:
    """Seconds for each of the reads; how long each one took for its task goes into ``waits``."""
    share = reads // tasks

    async def some(task: int) -> None:
        for turn in range(share):
            began = time.perf_counter()
            await read(_KEYS[(task + 7 * turn) % len(_KEYS)])
            waits.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(some(task) for task in range(tasks)))
    return (time.perf_counter() - began) / (tasks * share)


def _figures(tasks: int, best: dict[str, float]) -> Iterator[Figure]:
    for name in (_OURS, _LOADING):
        for peer in (peer for peer in best if peer not in (_OURS, _LOADING)):
            is_aim = name == _OURS and peer == _PLAIN and tasks == 50
            target = times_faster(5) if is_aim else None
            line = f"{name}, {tasks} tasks, each"
            yield figure(line, best[name], as_time, (peer, best[peer]), target)


async def _waits(readers: dict[str, Read], options: Options) -> list[Figure]:
    tasks = max(_READS)
    reads = options.turns(12) * _WATCHED // 12
    waits: dict[str, list[float]] = {_OURS: [], _PLAIN: []}
    for name, ones in waits.items():
        await _at_once(readers[name], tasks, reads, ones)
    figures = []
    for share, text in ((0.5, "p50"), (0.99, "p99"), (0.999, "p99.9")):
        target = at_most(10e-3, as_time) if share == 0.999 else None
        ours, plain = (percentile(waits[name], share) for name in (_OURS, _PLAIN))
        line = f"wait of {tasks} tasks, {text}"
        figures.append(figure(line, ours, as_time, (_PLAIN, plain), target))
    return figures
