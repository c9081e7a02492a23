"""What does watching cost: a hit, a count, a look, and a process at rest?

The peer of a hit is the same hit with monitoring off; of a count, ``collections.Counter`` and
prometheus-client's counter.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator

from benchmarks.common import (
    Figure,
    Options,
    as_time,
    at_most,
    best_by_turns,
    figure,
    fresh_process,
)

TITLE = "Cost of telemetry"

_KEYS = 1_000
_REST_SECONDS = 20


def measure(options: Options) -> Iterator[Figure]:
    yield from _hits(options)
    yield from _counts(options)
    rest = fresh_process("telemetry_overhead", 6 if options.quick else _REST_SECONDS)
    yield figure("a look at all metrics", rest["look"], as_time)
    yield figure("series looked at", rest["series"], _as_count)
    share = at_most(0.01, _as_percent)
    yield figure(
        "CPU of a process at rest, all telemetry on", rest["on"], _as_percent, target=share
    )
    yield figure("CPU of the same at rest, nothing on", rest["off"], _as_percent)


def _hits(options: Options) -> Iterator[Figure]:
    import ohlcache

    cache = ohlcache.CacheManager({"cache": {}})
    square = cache.cached()(_squared)
    texts = [f"k{number}" for number in range(_KEYS)]
    cache.set_many({text: text for text in texts}, ttl=3600)
    for text in texts:
        square(text)

    def get() -> None:
        read = cache.get
        for text in texts:
            read(text)

    def call() -> None:
        for text in texts:
            square(text)

    for name, work in {"hit": get, "decorated hit": call}.items():
        took = best_by_turns(
            {"off": _repeated(work, on=False), "on": _repeated(work, on=True)}, options.turns(40)
        )
        on, off = took["on"] / _KEYS, took["off"] / _KEYS
        yield figure(f"{name}, monitoring on", on, as_time)
        yield figure(f"{name}, monitoring off", off, as_time)
        yield figure(f"{name}, on / off", on / off, _as_ratio, target=at_most(1.15, _as_ratio))
    cache.close()


def _repeated(work: Callable[[], None], *, on: bool) -> Callable[[], float]:
    import ohlcache

    def run() -> float:
        if on:
            ohlcache.start_monitoring()
        try:
            began = time.perf_counter()
            for _ in range(50):
                work()
            return (time.perf_counter() - began) / 50
        finally:
            if on:
                ohlcache.stop_monitoring()

    return run


def _squared(text: str) -> str:
    return text + text


def _counts(options: Options) -> Iterator[Figure]:
    import prometheus_client

    from ohlcache.telemetry import Counters, Histogram

    counters, plain, histogram = Counters(), Counter[str](), Histogram()
    peer = prometheus_client.Counter("peer", "peer", registry=prometheus_client.CollectorRegistry())

    def count() -> None:
        add = counters.count
        for _ in range(_KEYS):
            add("hits")

    def counter() -> None:
        for _ in range(_KEYS):
            plain["hits"] += 1

    def prometheus() -> None:
        for _ in range(_KEYS):
            peer.inc()

    def record() -> None:
        add = histogram.record
        for _ in range(_KEYS):
            add(0.001)

    works = {"count": count, "Counter": counter, "prometheus": prometheus, "record": record}
    took = best_by_turns({name: _timed(work) for name, work in works.items()}, options.turns(100))
    each = {name: seconds / _KEYS for name, seconds in took.items()}
    yield figure("one count", each["count"], as_time, target=at_most(100e-9, as_time))
    yield figure("one count, collections.Counter", each["Counter"], as_time)
    yield figure("one count, prometheus-client", each["prometheus"], as_time)
    yield figure("one duration in a histogram", each["record"], as_time)


def _timed(work: Callable[[], None]) -> Callable[[], float]:
    def run() -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    return run


def _at_rest(seconds: float) -> None:
    """In a process of its own: what it uses when nobody asks it anything."""
    import ohlcache

    cache = ohlcache.get_cache_manager()
    for category in cache.categories:
        cache.set_many({f"k{number}": bytes(100) for number in range(5_000)}, category)
        cache.get_many([f"k{number}" for number in range(5_000)], category)
    found = {"off": _share(seconds)}
    monitor = ohlcache.start_monitoring()
    time.sleep(2)
    found["on"] = _share(seconds)
    found["look"] = monitor.stats()["looks"]["p50"]
    found["series"] = len(monitor.readings().values)
    ohlcache.stop_monitoring()
    print(json.dumps(found))


def _share(seconds: float) -> float:
    used = time.process_time()
    time.sleep(seconds)
    return (time.process_time() - used) / seconds


def _as_ratio(value: float) -> str:
    return f"{value:.2f}×"


def _as_percent(value: float) -> str:
    return f"{value:.3%}"


def _as_count(value: float) -> str:
    return f"{value:,.0f}"


if __name__ == "__main__":
    _at_rest(float(sys.argv[1]))
