"""Tiers on the shared Redis, and servers that a test may ill-treat."""

from __future__ import annotations

import pytest

from ohlcache.cache.redis import RedisTier
from redis_server import RedisServer


@pytest.fixture
def open_tier(namespace):
    """Open tiers, all of one namespace; they are closed after the test."""
    opened: list[RedisTier] = []

    def open_(url: str, **options) -> RedisTier:
        opened.append(RedisTier(url, **{"namespace": namespace, **options}))
        return opened[-1]

    yield open_
    for tier in opened:
        tier.close()


@pytest.fixture
def server(redis_server) -> RedisServer:
    """A server of the test's own."""
    return redis_server()


@pytest.fixture
def tier(open_tier, server) -> RedisTier:
    return open_tier(server.url)


@pytest.fixture
def other(open_tier, server) -> RedisTier:
    return open_tier(server.url)


@pytest.fixture
def data_key(namespace):
    """Where the value of a key lies in Redis."""
    return lambda key: f"{{ohlcache:1:{namespace}:0}}:d:{key}"
