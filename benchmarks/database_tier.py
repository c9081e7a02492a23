"""How long do single operations of the database tier take, on SQLite and PostgreSQL?

PostgreSQL is measured on the server that ``OHLCACHE_TEST_POSTGRES_URL`` names, if any.
"""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import count

from benchmarks.common import (
    Figure,
    Options,
    Run,
    as_time,
    at_most,
    best_by_turns,
    figure,
    seconds,
)
from ohlcache.cache.database import DatabaseTier
from ohlcache.cache.tiers import Change

TITLE = "Database tier"

_CALLS = 300  # in one measurement: one of them is too short for the clock
_KEYS = 1000
_VALUE = os.urandom(500)


def measure(options: Options) -> Iterator[Figure]:
    yield from _sqlite(options)
    url = os.environ.get("OHLCACHE_TEST_POSTGRES_URL")
    if url:
        yield from _postgres(options, url)


def _sqlite(options: Options) -> Iterator[Figure]:
    url = f"sqlite:///{options.scratch / 'tier.db'}"
    tier = DatabaseTier(url)
    runs = _runs(tier)
    if find_spec("diskcache"):
        import diskcache

        peer = diskcache.Cache(options.scratch / "diskcache")
        for number in range(_KEYS):
            peer.set(f"key {number}", _VALUE, expire=600)
        runs["peer read"] = _many(lambda number: peer.get(f"key {number}"))
        runs["peer write"] = _many(lambda number: peer.set(f"key {number}", _VALUE, expire=600))
    best = best_by_turns(runs, options.turns(10))
    bounds = {"read": at_most(60e-6, as_time), "write": at_most(300e-6, as_time)}
    for name in ("read", "read of 20 keys", "write", "claim"):
        peer_name = f"peer {name}"
        beside = ("diskcache", best[peer_name]) if peer_name in best else None
        yield figure(f"SQLite, {name}", best[name], as_time, beside, bounds.get(name))
    yield figure(
        "SQLite, until another process knows (median)",
        _until_known(tier, DatabaseTier(url), options.turns(100)),
        as_time,
        target=at_most(50e-3, as_time),
    )


def _postgres(options: Options, url: str) -> Iterator[Figure]:
    import psycopg

    tier = DatabaseTier(url, namespace="benchmark")
    runs = _runs(tier)
    bare = psycopg.connect(url, autocommit=True)
    runs["peer read"] = _many(
        lambda number: bare.execute("SELECT %s", (number,), binary=True).fetchone()
    )
    best = best_by_turns(runs, options.turns(10))
    bare.close()
    beside = ("a psycopg round trip", best["peer read"])
    for name in ("read", "read of 20 keys", "write", "claim"):
        yield figure(f"PostgreSQL, {name}", best[name], as_time, beside)
    yield figure(
        "PostgreSQL, until another process knows (median)",
        _until_known(tier, DatabaseTier(url, namespace="benchmark"), options.turns(100)),
        as_time,
        target=at_most(50e-3, as_time),
    )


def _runs(tier: DatabaseTier) -> dict[str, Run]:
    tier.write([Change(f"key {number}", _VALUE, 600_000) for number in range(_KEYS)])()
    return {
        "read": _many(lambda number: tier.read([f"key {number}"])()),
        "read of 20 keys": _many(
            lambda number: tier.read([f"key {number + step}" for step in range(20)])()
        ),
        "write": _many(lambda number: tier.write([Change(f"key {number}", _VALUE, 600_000)])()),
        "claim": _many(lambda number: tier.claim([f"absent {number}"], "lease", 1000)()),
    }


def _many(call) -> Run:
    numbers = count()

    def some() -> None:
        for _ in range(_CALLS):
            call(next(numbers) % _KEYS)

    return lambda: seconds(some) / _CALLS


class _Ear:
    """Notes how long ago a change was made when it is told."""

    def __init__(self) -> None:
        self.live_event = threading.Event()
        self.told = threading.Event()
        self.took: list[float] = []

    def changed(self, changes) -> None:
        self.took += [time.time() - stamp / 1e6 for _, stamp in changes]
        self.told.set()

    def bumped(self, versions) -> None:
        pass

    def lost(self) -> None:
        pass

    def live(self) -> None:
        self.live_event.set()


def _until_known(tier: DatabaseTier, other: DatabaseTier, times: int) -> float:
    ear = _Ear()
    other.listen(ear)
    ear.live_event.wait(10)
    for _ in range(times):
        ear.told.clear()
        tier.write([Change("news", b"", 600_000)])()
        ear.told.wait(10)
    other.close()
    tier.close()
    return statistics.median(ear.took)
