"""The size budget of a namespace holds after every write, whatever is written."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cache.shared_tier import Recorder
from ohlcache.cache.tiers import Change

BUDGET = 20_000


@pytest.fixture
def used(server, namespace):
    """What all keys of the namespace take in the server, as the server says."""

    def look() -> int:
        with server.client() as client:
            pipeline = client.pipeline(transaction=False)
            for key in client.keys(f"{{ohlcache:1:{namespace}:*"):
                pipeline.memory_usage(key, samples=0)
            return sum(size or 0 for size in pipeline.execute())

    return look


@pytest.fixture
def bounded(open_tier, server):
    return open_tier(server.url, max_bytes=BUDGET)


changes = st.builds(
    Change,
    key=st.integers(0, 40).map(lambda number: f"{number}" * (1 + number % 7)),
    data=st.none() | st.integers(0, 6000).map(bytes),
    ttl_ms=st.sampled_from([None, 1, 60_000]),
    stamp=st.just(0),
    lease=st.just(""),
)


@given(calls=st.lists(st.lists(changes, max_size=12), max_size=15))
@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_the_budget_holds_after_every_write(bounded, used, server, calls):
    with server.client() as client:
        client.flushall()
    for call in calls:
        bounded.write(call).run()
        assert used() <= BUDGET
        assert bounded.stats()["used_bytes"] <= BUDGET


def test_the_account_is_not_below_what_is_held(open_tier, server, used):
    """Many small values: the index takes as much as they do."""
    tier = open_tier(server.url, max_bytes=1 << 30)
    for part in range(4):
        tier.write([Change(f"{part} {n}", b"small", 60_000) for n in range(500)]).run()
        assert used() <= tier.stats()["used_bytes"] + 1024 <= 2 * used()


def test_a_value_beyond_the_budget_is_not_held_and_nor_is_the_old_one(bounded, open_tier, server):
    other = open_tier(server.url)
    told = Recorder()
    other.listen(told)
    told.wait_for("live")
    bounded.write([Change("a", b"old", None)]).run()
    stamp = bounded.write([Change("a", bytes(BUDGET), None)]).run()["a"]
    told.wait_for("changed", ("a", stamp))
    [held] = other.read(["a"]).run().values()
    assert held.data is None
    assert held.stamp < stamp, "another tier that holds the value has the newer state"
    assert bounded.stats()["too_large"] == 1


def test_what_was_used_stays_and_what_was_not_goes(open_tier, server):
    tier = open_tier(server.url, max_bytes=400_000)
    tier.write([Change(f"{n}", bytes(1000), None) for n in range(200)]).run()
    hot, cold = [f"{n}" for n in range(50)], [f"{n}" for n in range(50, 200)]
    time.sleep(2.1)  # the server's clock of use counts seconds
    tier.read(hot).run()
    tier.write([Change(f"new {n}", bytes(1000), None) for n in range(200)]).run()
    assert tier.stats()["trimmed"] > 0
    assert len(tier.read(hot).run()) / 50 > 0.8 > len(tier.read(cold).run()) / 150


@pytest.mark.parametrize("policy", ["allkeys-lfu", "allkeys-lru", "noeviction"])
def test_any_policy_of_the_server_will_do(bounded, used, server, policy):
    server.config_set(maxmemory_policy=policy)
    for number in range(60):
        bounded.write([Change(f"{number}", bytes(1000), None)]).run()
        assert bounded.read([f"{number}"]).run(), "what was just written was dropped"
        assert used() <= BUDGET


def test_dropping_a_value_leaves_the_copies_of_others(bounded, open_tier, server):
    other = open_tier(server.url)
    told = Recorder()
    other.listen(told)
    told.wait_for("live")
    made = {}
    for number in range(60):
        made |= bounded.write([Change(f"{number}", bytes(1000), None)]).run()
    told.wait_for("changed", ("59", made["59"]))
    last = bounded.write([Change("last", None, None)]).run()
    told.wait_for("changed", ("last", last["last"]))
    assert bounded.stats()["trimmed"] > 30
    assert sorted(told.all("changed")) == sorted({**made, **last}.items())


def test_what_expired_leaves_the_account(open_tier, server):
    tier = open_tier(server.url)
    tier.write([Change(f"{n}", bytes(1000), 1) for n in range(100)]).run()
    assert tier.stats()["used_bytes"] > 100_000
    time.sleep(0.01)
    for _ in range(30):
        tier.write([Change(f"{n}", b"", None) for n in range(1000, 1020)]).run()
    assert tier.stats()["used_bytes"] < 50_000
