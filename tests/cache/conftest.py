"""Caches over every combination of tiers, through both doors, as one process or as several."""

from __future__ import annotations

import uuid

import pytest

from cache_doors import AsyncDoor, SyncDoor, until_live
from ohlcache.cache import CacheManager


@pytest.fixture(params=["sync", "async"])
def door(request):
    chosen = SyncDoor() if request.param == "sync" else AsyncDoor()
    yield chosen
    chosen.close()


TIERS = ("memory", "sqlite", "redis", "redis+sqlite")


@pytest.fixture(params=TIERS)
def tiers(request):
    return request.param


@pytest.fixture
def make_cache(request, tmp_path):
    """``make_cache(tiers, clock=None, **settings)``: all of one test share their tiers."""
    made: list[CacheManager] = []
    namespace = f"test-{uuid.uuid4().hex}"

    def make(tiers: str, *, clock=None, redis_url=None, **settings) -> CacheManager:
        tree = {"namespace": namespace, **settings}
        if "redis" in tiers:
            url = redis_url or request.getfixturevalue("redis_url")
            # Tests of outages set a shorter one; the others must not fail on a slow machine.
            tree["l2"] = {"redis_url": url, "timeout_seconds": 2.0, **tree.get("l2", {})}
        if "sqlite" in tiers:
            tree["l3"] = {"url": f"sqlite:///{tmp_path}/cache.db"}
        made.append(CacheManager({"cache": tree}, clock=clock))
        return made[-1]

    yield make
    for cache in made:
        cache.close()


@pytest.fixture
def cache(make_cache, tiers):
    made = make_cache(tiers)
    until_live(made)
    return made
