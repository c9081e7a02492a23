"""A process that reads, writes, loads and invalidates at random, and logs what it saw.

``python mixed_operations.py SETTINGS OPERATIONS SEED LOG``: waits for a line on its input, works,
prints ``done``, waits for another line, reads every key once more and writes its log as JSON: a
list of [kind, key, value, begin, end], times of the machine's monotonic clock in seconds. Values
are unique. ``changed`` ends with its acknowledgement, ``loaded`` is the loader's
run.
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path

from ohlcache.cache import CacheManager

KEYS = [f"k{number}" for number in range(40)]
TAGS = [f"t{number}" for number in range(4)]  # k0, k4, k8 … carry t0, and so on


def tag_of(key):
    return TAGS[int(key[1:]) % len(TAGS)]


class Worker:
    def __init__(self, cache, seed):
        self.cache = cache
        self.random = random.Random(seed)
        self.name = str(seed)
        self.made = 0
        self.log = []

    def new_value(self):
        self.made += 1
        return f"{self.name}:{self.made}"

    def note(self, kind, key, value, begin):
        self.log.append([kind, key, value, begin, time.monotonic()])

    def step(self):
        key = self.random.choice(KEYS)
        chance = self.random.random()
        begin = time.monotonic()
        if chance < 0.80:
            self.note("read", key, self.cache.get(key), begin)
        elif chance < 0.88:
            value = self.new_value()
            self.cache.set(key, value, tags=[tag_of(key)])
            self.note("changed", key, value, begin)
        elif chance < 0.90:
            self.cache.delete(key)
            self.note("changed", key, None, begin)
        elif chance < 0.905:
            tag = self.random.choice(TAGS)
            self.cache.invalidate_tag(tag)
            for one in KEYS:
                if tag_of(one) == tag:
                    self.note("changed", one, None, begin)
        else:
            self.note(
                "read", key, self.cache.get_or_load(key, self.load(key), tags=[tag_of(key)]), begin
            )

    def load(self, key):
        def load():
            begin = time.monotonic()
            value = self.new_value()
            self.note("loaded", key, value, begin)
            return value

        return load


def main(settings, operations, seed, log):
    cache = CacheManager(json.loads(settings))
    worker = Worker(cache, int(seed))
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(int(operations)):
        worker.step()
    print("done", flush=True)
    sys.stdin.readline()
    final = {key: cache.get(key) for key in KEYS}
    stats = cache.stats()
    errors = {name: stats[name]["errors"] for name in ("l2", "l3") if name in stats}
    Path(log).write_text(json.dumps({"log": worker.log, "final": final, "errors": errors}))
    cache.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
