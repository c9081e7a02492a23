"""How many accesses hit, beside the eviction policies of the field, at 1% and 10% of the keys?

Every miss is followed by a set of its key. The peers are libcachesim's, with its own settings; the
traces are the synthetic ones below and those of a folder (``OHLCACHE_TRACES``, by default
``../shared/data/traces``). The target is the best of all peers, less one point; the last line is
the mean over all traces and sizes beside S3-FIFO's.
"""

from __future__ import annotations

import gzip
import lzma
import os
import random
import struct
from collections.abc import Callable, Iterator
from itertools import accumulate, count, cycle, islice
from pathlib import Path

from benchmarks.common import ROOT, Figure, Options, Target, figure
from ohlcache.cache.memory import MemoryTier

TITLE = "Hit ratio"

PEERS = ("LRU", "LFU", "ARC", "Sieve", "S3FIFO", "WTinyLFU", "LIRS")
_SHARES = (0.01, 0.10)
_TOLERANCE = 0.01
_LENGTH, _QUICK_LENGTH = 60_000, 15_000

Trace = list[int]


def measure(options: Options) -> Iterator[Figure]:
    try:
        import libcachesim
    except ImportError:
        yield Figure("needs the libcachesim package", "")
        return
    ours_everywhere, theirs_everywhere = [], []
    for name, trace in traces(_QUICK_LENGTH if options.quick else _LENGTH):
        for share in _SHARES:
            size = max(1, int(share * len(set(trace))))
            ours = our_ratio(trace, size)
            peers = {peer: peer_ratio(getattr(libcachesim, peer), trace, size) for peer in PEERS}
            best = max(peers, key=lambda peer: peers[peer])
            ours_everywhere.append(ours)
            theirs_everywhere.append(peers["S3FIFO"])
            line = f"{name}, {size:,} entries ({share:.0%})"
            yield figure(line, ours, as_percent, (best, peers[best]), _no_worse(_TOLERANCE))
    mean = sum(ours_everywhere) / len(ours_everywhere)
    theirs = sum(theirs_everywhere) / len(theirs_everywhere)
    yield figure("mean of all", mean, as_percent, ("S3FIFO", theirs), _no_worse(0.0))


def as_percent(value: float) -> str:
    return f"{value:.2%}"


def _no_worse(tolerance: float) -> Target:
    text = f"≥ peer − {tolerance:.0%}" if tolerance else "≥ peer"
    return Target(text, lambda ours, peer: ours >= peer - tolerance)


def our_ratio(trace: Trace, size: int, policy: str = "hybrid") -> float:
    tier = MemoryTier(max_entries=size, policy=policy)
    hits = 0
    for key in trace:
        if tier.get(key) is None:
            tier.set(key, True)
        else:
            hits += 1
    return hits / len(trace)


def peer_ratio(policy: Callable, trace: Trace, size: int) -> float:
    import libcachesim

    cache = policy(cache_size=size, hashpower=16)
    request = libcachesim.Request()
    request.obj_size = 1
    hits = 0
    for key in trace:
        request.obj_id = key
        hits += cache.get(request)
    return hits / len(trace)


# -- traces ---------------------------------------------------------------------------------------


def traces(length: int) -> Iterator[tuple[str, Trace]]:
    """Recorded traces, if their folder is there, and synthetic ones."""
    folder = Path(os.environ.get("OHLCACHE_TRACES", ROOT.parent / "shared" / "data" / "traces"))
    recorded = sorted(folder.glob("*.trace.*")) if folder.is_dir() else []
    if not recorded:
        print(f"no recorded traces in {folder}: synthetic ones only")
    for path in recorded:
        yield path.name.partition(".")[0], numbered(_accesses(path))
    for maker in SYNTHETIC:
        keys = islice(maker(random.Random(1)), length)
        yield (maker.__doc__ or "").rstrip("."), numbered(keys)


def _accesses(path: Path) -> list:
    if path.suffix == ".xz":
        data = lzma.decompress(path.read_bytes())
        return list(struct.unpack(f">{len(data) // 4}i", data))
    lines = gzip.decompress(path.read_bytes()).split()
    return [line for line in lines if line != b"*"]


def numbered(keys) -> Trace:
    numbers: dict = {}
    return [numbers.setdefault(key, len(numbers)) for key in keys]


def zipf(draw: random.Random, keys: int = 5000, power: float = 1.0) -> Iterator[int]:
    """Zipf."""
    weights = list(accumulate(rank**-power for rank in range(1, keys + 1)))
    while True:
        yield from draw.choices(range(keys), cum_weights=weights, k=1000)


def drifting(draw: random.Random) -> Iterator[int]:
    """Zipf with drift."""
    return (key + number // 20 for number, key in enumerate(zipf(draw)))


def changing(draw: random.Random) -> Iterator[int]:
    """Zipf, other keys every 15,000 accesses."""
    return (key + number // 15_000 * 5000 for number, key in enumerate(zipf(draw, power=0.9)))


def scanned(draw: random.Random) -> Iterator[object]:
    """Zipf with scans."""
    keys, cold = zipf(draw, power=0.9), count(10**6)
    while True:
        yield from islice(keys, draw.randrange(200, 2000))
        yield from islice(cold, draw.randrange(100, 1500))


def one_timers(draw: random.Random) -> Iterator[int]:
    """Zipf, 60% of accesses to keys used once."""
    cold = count(10**6)
    return (next(cold) if draw.random() < 0.6 else key for key in zipf(draw, 3000, 0.9))


def loop(draw: random.Random) -> Iterator[int]:  # noqa: ARG001
    """Loop over 3,000 keys."""
    return cycle(range(3000))


def loops(draw: random.Random) -> Iterator[int]:
    """Loops of many lengths."""
    lengths = (40, 80, 160, 250, 300, 400, 500, 700, 900, 1200, 1600, 2500)
    while True:
        number = draw.randrange(len(lengths))
        for _ in range(draw.randrange(1, 4)):
            yield from range(10_000 * number, 10_000 * number + lengths[number])


def noisy_loop(draw: random.Random) -> Iterator[int]:
    """Loop over 2,500 keys with noise."""
    keys = cycle(range(2500))
    return (next(keys) if draw.random() < 0.8 else draw.randrange(10**5, 120_000) for _ in count())


def two_pools(draw: random.Random) -> Iterator[int]:
    """Index and records by turns."""
    while True:
        yield draw.randrange(300)
        yield draw.randrange(1000, 21_000)


def recent(draw: random.Random, depth: int = 300) -> Iterator[int]:
    """Temporal locality."""
    stack: list[int] = []
    new = count()
    while True:
        back = int(draw.lognormvariate(0, 1.5) * depth)
        is_new = back >= len(stack) or draw.random() < 0.15
        stack.append(next(new) if is_new else stack.pop(-1 - back))
        yield stack[-1]
        if len(stack) > 20_000:
            del stack[:10_000]


def short_recent(draw: random.Random) -> Iterator[int]:
    """Strong temporal locality."""
    return recent(draw, 40)


def mixed(draw: random.Random) -> Iterator[object]:
    """Loop, Zipf, scan and locality by turns."""
    popular, cold, local = zipf(draw, 3000), count(10**6), recent(draw, 80)
    while True:
        yield from islice(cycle(range(800)), 5000)
        yield from ((1, key) for key in islice(popular, 5000))
        yield from islice(cold, 3000)
        yield from ((2, key) for key in islice(local, 4000))


def uniform(draw: random.Random) -> Iterator[int]:
    """Uniform."""
    return (draw.randrange(5000) for _ in count())


def market_data(draw: random.Random) -> Iterator[object]:
    """Zipf symbols, five timeframes, moving windows."""
    for number, symbol in enumerate(zipf(draw, 300, 0.9)):
        timeframe, lag = draw.randrange(5), int(draw.expovariate(0.7))
        yield symbol, timeframe, number // (50 * 4**timeframe) - lag


SYNTHETIC = (
    zipf,
    drifting,
    changing,
    scanned,
    one_timers,
    loop,
    loops,
    noisy_loop,
    two_pools,
    recent,
    short_recent,
    mixed,
    uniform,
    market_data,
)
