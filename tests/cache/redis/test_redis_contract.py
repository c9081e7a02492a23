"""The Redis tier does what every shared tier does: on one server and spread over a cluster."""

from __future__ import annotations

import time
from contextlib import closing

import pytest
import redis

from cache.shared_tier import PATIENCE, SharedTierContract
from ohlcache.cache.tiers import Change
from redis_server import RedisServer


@pytest.fixture(scope="session")
def cluster():
    """The URL of a cluster of one node that owns every slot."""
    server = RedisServer("cluster-enabled yes").start()
    with closing(server), server.client() as client:
        client.execute_command("CLUSTER", "ADDSLOTS", *range(16384))
        deadline = time.monotonic() + PATIENCE
        while client.cluster("INFO")["cluster_state"] != "ok":
            assert time.monotonic() < deadline, "the cluster never came up"
            time.sleep(0.02)
        yield f"redis+cluster://127.0.0.1:{server.port}"


class TestRedisTier(SharedTierContract):
    @pytest.fixture
    def tier(self, redis_url, open_tier):
        return open_tier(redis_url)

    @pytest.fixture
    def other(self, redis_url, open_tier):
        return open_tier(redis_url)


class TestRedisTierInACluster(SharedTierContract):
    @pytest.fixture
    def tier(self, cluster, open_tier):
        return open_tier(cluster)

    @pytest.fixture
    def other(self, cluster, open_tier):
        return open_tier(cluster)

    def test_keys_are_spread_over_slots(self, perform, cluster, tier, namespace):
        perform(tier.write([Change(f"{n}", b"x", None) for n in range(200)]))
        held = {name.split(":")[3] for name in _names(cluster, namespace)}
        assert len(held) == 16


def _names(url: str, namespace: str) -> list[str]:
    with redis.Redis(port=int(url.rpartition(":")[2])) as client:
        return [name.decode() for name in client.keys(f"{{ohlcache:1:{namespace}:*:d:*")]
