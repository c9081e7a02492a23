"""Does a process stay within its memory while it loads four times as much, and what does it cost?

A process that may take 512 MB loads 2 GB, one after the other, chosen by Zipf's law, into caches
that are not limited themselves. Once 40 histories of 50 MB of decoded candles, once 400 frames of
5 MB through the cache. Without the manager, the same process is the peer.

The system enforces it with RLIMIT_DATA: what a process asks beyond that fails with MemoryError.
That also counts what is reserved and not in use (64 MB of OpenBLAS, 8 MB for each thread's stack,
pools of the allocators), so it is 768 MB where the manager is told of 512 MB of RSS. In the lines
with "strict" it is 512 MB and the manager is told nothing: it has to find the limit and to stay
clear of it, with the less RSS the more is reserved. These runs take a fifth of the time.

RSS is looked at from outside, every 50 ms. The hit rate stands beside that of an LRU of as much
room as was used at most. "Slowest" is the slowest read.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import ROOT, Figure, Options, Target, as_time, at_least, at_most, figure

TITLE = "Memory pressure"

_MB = 2**20
_LIMIT_MB, _CRITICAL_MB, _BACKSTOP_MB = 512, 0.9 * 512, 768
_SECONDS, _QUICK_SECONDS = 600.0, 60.0
_PEER_SECONDS = 60.0  # it has failed long before
_LOOK_SECONDS = 0.05
_T0, _MINUTE = 1_577_836_800_000, 60_000
_ROWS = 936_000  # of 56 bytes: 50 MB decoded
_SERIES, _FRAMES = 40, 400
_FRAME_ROWS = 5 * _MB // 40
_UNLIMITED_MB = 100_000


def measure(options: Options) -> Iterator[Figure]:
    store = options.scratch / "pressure"
    write_store(store)
    seconds = _QUICK_SECONDS if options.quick else _SECONDS
    for what in ("histories", "values"):
        for is_strict in (False, True):
            asked = seconds / 5 if is_strict else seconds
            managed = watched(what, store, asked, with_manager=True, is_strict=is_strict)
            alone = watched(
                what, store, min(asked, _PEER_SECONDS), with_manager=False, is_strict=is_strict
            )
            yield from _figures(f"{what}, strict" if is_strict else what, managed, alone)


def _figures(name: str, managed: Run, alone: Run) -> Iterator[Figure]:
    peer = f"alone, {alone.outcome} after {alone.lived:.0f} s:"
    yield figure(
        f"{name}: highest RSS",
        managed.highest_mb,
        as_mb,
        (peer, alone.highest_mb),
        Target(f"< {_CRITICAL_MB:.0f} MB", lambda ours, _: ours < _CRITICAL_MB),
    )
    no_look = at_most(0, as_percent)
    yield figure(f"{name}: looks above critical", managed.above, as_percent, None, no_look)
    lived = at_least(managed.asked, as_time)
    yield figure(f"{name}: lived", managed.lived, as_time, ("alone", alone.lived), lived)
    yield figure(f"{name}: reads", managed.reads, as_count, ("alone", alone.reads))
    yield figure(f"{name}: hit rate", managed.hit_rate, as_percent, ("LRU", managed.lru_hit_rate))
    yield figure(f"{name}: slowest", managed.slowest, as_time)
    yield figure(f"{name}: share of the time held up", managed.held_up, as_percent)


def as_count(value: float) -> str:
    return f"{value:,.0f}"


def as_mb(value: float) -> str:
    return f"{value:,.0f} MB"


def as_percent(value: float) -> str:
    return f"{value:.2%}"


# -- what is loaded -------------------------------------------------------------------------------


def write_store(store: Path) -> None:
    """40 series of the same candles."""
    import ohlcache

    steps = np.random.default_rng(1).integers(-50, 51, _ROWS)
    closes = (1_000_000 + steps.cumsum()) / 100
    opens = np.concatenate([closes[:1], closes[:-1]])
    rows = {
        "timestamp": _T0 + np.arange(_ROWS, dtype=np.int64) * _MINUTE,
        "open": opens,
        "high": np.round(np.maximum(opens, closes) + 0.05, 2),
        "low": np.round(np.minimum(opens, closes) - 0.05, 2),
        "close": closes,
        "volume": np.ones(_ROWS),
    }
    with ohlcache.open(store) as md:
        for number in range(_SERIES):
            md.write(symbol_of(number), "1m", rows)


def symbol_of(number: int) -> str:
    return f"S{number}/USDT"


def keys(count: int) -> Iterator[int]:
    """Numbers below ``count`` for ever: n with weight 1 / (n + 1)."""
    chance = random.Random(7)
    weights = list(accumulate(1 / (number + 1) for number in range(count)))
    while True:
        yield chance.choices(range(count), cum_weights=weights)[0]


def lru_hit_rate(what: str, room_mb: float, reads: int) -> float:
    """Of an LRU with so much room, for as many reads of the same keys."""
    count, size = (_SERIES, 50.0) if what == "histories" else (_FRAMES, 5.0)
    held: OrderedDict[int, None] = OrderedDict()
    hits = 0
    for _, key in zip(range(reads), keys(count), strict=False):
        if key in held:
            hits += 1
            held.move_to_end(key)
        else:
            held[key] = None
            if len(held) * size > room_mb:
                held.popitem(last=False)
    return hits / reads


# -- the parent -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """What was seen of a process. above: share of the looks at or above the critical mark."""

    what: str
    asked: float
    lived: float
    outcome: str
    highest_mb: float
    above: float
    told: dict[str, Any]

    @property
    def reads(self) -> int:
        return int(self.told.get("reads", 0))

    @property
    def hit_rate(self) -> float:
        return self.told.get("hits", 0) / max(1, self.reads)

    @property
    def slowest(self) -> float:
        return float(self.told.get("slowest", 0.0))

    @property
    def held_up(self) -> float:
        return self.told.get("held_up_seconds", 0.0) / self.lived

    @property
    def lru_hit_rate(self) -> float:
        room = self.highest_mb - self.told.get("base_mb", 0.0)
        return lru_hit_rate(self.what, room, self.reads) if self.reads else 0.0


def watched(what: str, store: Path, seconds: float, *, with_manager: bool, is_strict: bool) -> Run:
    """Run the process and look at its RSS until it ends."""
    command = [sys.executable, "-m", "benchmarks.memory_pressure", what, str(store), str(seconds)]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    began = time.monotonic()
    child = subprocess.Popen(
        [*command, str(int(with_manager)), str(int(is_strict))],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    sizes = []
    while child.poll() is None:
        if size := _rss_mb(child.pid):
            sizes.append(size)
        time.sleep(_LOOK_SECONDS)
    lived = time.monotonic() - began
    output, errors = child.communicate()
    told = json.loads(output.splitlines()[-1]) if output.strip() else {}
    outcome = told.get("failed") or ("lived on" if child.returncode == 0 else _last_line(errors))
    above = sum(size >= _CRITICAL_MB for size in sizes) / max(1, len(sizes))
    return Run(what, seconds, lived, outcome, max(sizes), above, told)


def _last_line(errors: str) -> str:
    lines = errors.strip().splitlines()
    return lines[-1][:60] if lines else "killed"


def _rss_mb(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / _MB


# -- the process ----------------------------------------------------------------------------------


def main() -> None:
    what, store, seconds, *flags = sys.argv[1:]
    with_manager, is_strict = (flag == "1" for flag in flags)
    import resource

    import pandas as pd

    from ohlcache.memory import get_memory_manager
    from ohlcache.memory.usage import read_usage

    most = (_LIMIT_MB if is_strict else _BACKSTOP_MB) * _MB
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    manager = get_memory_manager(memory_limit_mb=None if is_strict else _LIMIT_MB)
    if with_manager:
        manager.start()
    read, count = _reader(what, Path(store), pd)
    told: dict[str, Any] = {"reads": 0, "hits": 0, "slowest": 0.0}
    told["base_mb"] = read_usage().rss / _MB
    try:
        _load(read, count, float(seconds), told)
    except (MemoryError, RuntimeError) as error:  # numpy's, or a thread that cannot be started
        told["failed"] = type(error).__name__
    stats = manager.stats()
    told["held_up_seconds"] = stats["announcements"]["seconds"]
    told["stats"] = {name: stats[name] for name in ("announcements", "limit_bytes", "limit_source")}
    told["pressure"] = {key: one for key, one in stats["pressure"].items() if key != "steps"}
    print(json.dumps(told), flush=True)
    os._exit(0)  # without cleaning up in what memory is left


def _load(read: Callable[[int], bool], count: int, seconds: float, told: dict[str, Any]) -> None:
    end = time.monotonic() + seconds
    for key in keys(count):
        began = time.monotonic()
        if began >= end:
            return
        told["hits"] += read(key)
        told["reads"] += 1
        took = time.monotonic() - began
        told["slowest"] = max(told["slowest"], took)
        time.sleep(0.001)


def _reader(what: str, store: Path, pd: Any) -> tuple[Callable[[int], bool], int]:
    """What reads the value of a key and tells whether it was held already; how many there are."""
    if what == "histories":
        import ohlcache

        md = ohlcache.open(store, settings={"history": {"memory_mb": _UNLIMITED_MB}})

        def candles(key: int) -> bool:
            before = md.stats()["reads"].get("hits", 0)
            frame = md.candles(symbol_of(key), "1m", _T0, _T0 + _ROWS * _MINUTE)
            assert len(frame) == _ROWS
            return bool(md.stats()["reads"].get("hits", 0) > before)

        return candles, _SERIES

    from ohlcache.cache import CacheManager

    cache = CacheManager(
        {
            "cache": {
                "l1": {"max_size_mb": _UNLIMITED_MB},
                "categories": {"frames": {"max_size_mb": _UNLIMITED_MB}},
            }
        }
    )
    steps = np.random.default_rng(1).integers(-50, 51, (_FRAME_ROWS, 5)).cumsum(axis=0)

    def value(key: int) -> bool:
        loaded = []

        def load(_: str = "") -> Any:
            loaded.append(key)
            return pd.DataFrame((1_000_000 + steps) / 100, columns=list("ohlcv"))

        frame = cache.get_or_load(f"frame:{key}", load, "frames", ttl=None)
        assert len(frame) == _FRAME_ROWS
        return not loaded

    return value, _FRAMES


if __name__ == "__main__":
    main()
