"""A process that counts and reports: ``fleet_member.py URL NAMESPACE SEED`` (or ``fork`` for SEED).

It says what it is and what it counted, as JSON, and goes on reporting until its input ends.
With ``fork`` it counts 100 hits and forks; the child counts 7 more and is who reports.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time

from ohlcache.cache import CacheManager
from ohlcache.telemetry import Counters, Histogram, Readings, vocabulary
from ohlcache.telemetry.fleet import Fleet
from ohlcache.telemetry.process import this_process


def durations(seed):
    """The times that a member records."""
    chance = random.Random(seed)
    return [10 ** chance.uniform(-6, -1) for _ in range(500)]


class Work:
    """What a member counts."""

    def __init__(self):
        self.counters = Counters()
        self.times = Histogram()

    def readings(self):
        readings = Readings()
        for name, count in self.counters.snapshot().items():
            readings.add(vocabulary.CACHE_HITS, count, "l1", name)
        readings.add(vocabulary.CACHE_READ_SECONDS, self.times.distribution(), "l1")
        readings.add(vocabulary.CACHE_BYTES, os.getpid(), "default")
        readings.add(vocabulary.MEMORY_USED_RATIO, os.getpid() / 1e9)
        return readings


def settings_of(url, namespace):
    tier = {"l2": {"redis_url": url}} if url.startswith("redis") else {"l3": {"url": url}}
    return {"cache": {"namespace": namespace, **tier}}


def report(cache, work):
    fleet = Fleet(lambda: cache.board, errors=Counters())
    fleet.post(work.readings(), time.monotonic())
    said = {"name": this_process().name, "pid": os.getpid(), "stats": fleet.stats()}
    print(json.dumps({**said, "counts": work.counters.snapshot()}), flush=True)
    sys.stdin.read()
    fleet.close()


def count(work, seed):
    for duration in durations(seed):
        work.times.record(duration)
        work.counters.count("default")
    work.counters.count("features", int(seed))


def count_in_child(work):
    """Count in this process and then in a child; False in this one."""
    work.counters.count("default", 100)
    if os.fork():
        os.wait()
        return False
    work.counters.count("default", 7)
    return True


def main(url, namespace, seed):
    work = Work()
    if seed != "fork":
        count(work, seed)
    elif not count_in_child(work):
        return
    with CacheManager(settings_of(url, namespace)) as cache:
        report(cache, work)


if __name__ == "__main__":
    main(*sys.argv[1:])
