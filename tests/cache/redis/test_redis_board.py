"""The board in Redis."""

from __future__ import annotations

import os
import time

import pytest
import redis

from cache.shared_tier import PATIENCE
from ohlcache.cache.redis import RedisTier
from ohlcache.cache.redis.board import MOST_REPORTS
from ohlcache.cache.tiers import Change
from ohlcache.drive import drive
from redis_server import RedisServer


@pytest.fixture
def root(namespace):
    return f"{{ohlcache:1:{namespace}:0}}"


def write(tier, *changes):
    drive(alone(tier.write(changes)))


def alone(step):
    return (yield step)


def test_the_last_report_of_each_process_is_there(open_tier, redis_url):
    one, other = open_tier(redis_url).board, open_tier(redis_url).board
    assert one.reports() == {}
    assert one.post("a", b"old", 60)
    assert one.post("a", b"new \x00\xff", 60)
    assert other.post("процесс", b"", 60)
    found = other.reports()
    assert {name: posted.report for name, posted in found.items()} == {
        "a": b"new \x00\xff",
        "процесс": b"",
    }
    assert all(0 <= posted.age_seconds < PATIENCE for posted in found.values())
    one.withdraw("a")
    one.withdraw("a")
    assert list(other.reports()) == ["процесс"]


def test_ages_are_those_of_the_servers_clock(open_tier, redis_url, root):
    board = open_tier(redis_url).board
    board.post("a", b"report", 60)
    with redis.Redis.from_url(redis_url) as client:
        seconds, _ = client.time()
        client.hset(f"{root}:r", "a", f"{(seconds - 40) * 10**6:016d}report")
    assert board.reports()["a"].report == b"report"
    assert 40 <= board.reports()["a"].age_seconds < 40 + PATIENCE


def test_a_report_goes_when_its_time_has_passed(open_tier, redis_url, root):
    board = open_tier(redis_url).board
    board.post("a", b"report", 60)
    board.post("b", b"report", 60)
    with redis.Redis.from_url(redis_url) as client:
        client.zincrby(f"{root}:e", -60_000_000, "a")
        assert list(board.reports()) == ["b"]
        assert client.hlen(f"{root}:r") == 2
        board.post("b", b"report", 60)
        assert client.hkeys(f"{root}:r") == client.zrange(f"{root}:e", 0, -1) == [b"b"]


def test_nothing_stays_when_nobody_posts_any_more(open_tier, redis_url, root):
    board = open_tier(redis_url).board
    board.post("a", b"report", 60)
    board.post("b", b"report", 0.05)
    with redis.Redis.from_url(redis_url) as client:
        for key in ("r", "e"):
            assert 59_000 < client.pttl(f"{root}:{key}") <= 60_000
        board.withdraw("a")
        board.post("b", b"report", 0.05)
        deadline = time.monotonic() + PATIENCE
        while client.exists(f"{root}:r", f"{root}:e"):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_there_is_room_for_so_many(open_tier, redis_url):
    board = open_tier(redis_url).board
    for number in range(MOST_REPORTS):
        assert board.post(f"process {number}", b"report", 60)
    assert not board.post("one more", b"report", 60)
    assert board.post("process 0", b"news", 60)
    assert len(board.reports()) == MOST_REPORTS
    board.withdraw("process 1")
    assert board.post("one more", b"report", 60)


def test_namespaces_do_not_see_each_other(open_tier, redis_url, namespace):
    open_tier(redis_url).board.post("a", b"report", 60)
    assert open_tier(redis_url, namespace=f"{namespace}.2").board.reports() == {}


def test_values_and_their_budget_do_not_notice(open_tier, redis_url):
    tier = open_tier(redis_url, max_bytes=10_000)
    write(tier, Change("key", b"value", None))
    used = tier.stats()["used_bytes"]
    tier.board.post("a", os.urandom(20_000), 60)
    write(tier, Change("key", b"value", None))
    assert tier.stats()["used_bytes"] == used
    assert drive(alone(tier.read(["key"])))["key"].data == b"value"
    assert len(tier.board.reports()["a"].report) == 20_000


def test_a_server_that_is_gone_or_hangs_is_told_in_time(server, open_tier):
    board = open_tier(server.url, timeout_seconds=0.1).board
    board.post("a", b"report", 60)
    server.pause()
    with pytest.raises(redis.TimeoutError):
        board.post("a", b"report", 60)
    server.resume()
    assert list(board.reports()) == ["a"]
    server.kill()
    with pytest.raises(redis.ConnectionError):
        board.reports()


def test_a_full_server_refuses_and_keeps_its_values(redis_server, open_tier):
    server = redis_server("maxmemory 3mb", "maxmemory-policy noeviction")
    tier = open_tier(server.url)
    write(tier, Change("key", b"value", None))
    server.config_set(maxmemory=1)
    with pytest.raises(redis.ResponseError, match="OOM"):
        tier.board.post("a", b"report", 60)
    assert tier.board.reports() == {}
    assert drive(alone(tier.read(["key"])))["key"].data == b"value"


def test_through_sentinel(server, redis_server, open_tier):
    sentinel = redis_server(sentinel_of=server)
    board = open_tier(f"redis+sentinel://127.0.0.1:{sentinel.port}/trading/0").board
    board.post("a", b"report", 60)
    assert list(board.reports()) == ["a"]


def test_in_a_cluster(redis_server, namespace):
    server: RedisServer = redis_server("cluster-enabled yes", "cluster-node-timeout 500")
    with server.client() as client:
        client.execute_command("CLUSTER", "ADDSLOTS", *range(16_384))
        deadline = time.monotonic() + PATIENCE
        while b"cluster_state:ok" not in client.execute_command("CLUSTER", "INFO"):
            assert time.monotonic() < deadline
            time.sleep(0.02)
    tier = RedisTier(f"redis+cluster://127.0.0.1:{server.port}", namespace=namespace)
    try:
        assert tier.board.post("a", b"report", 60)
        assert tier.board.reports()["a"].report == b"report"
        tier.board.withdraw("a")
        assert tier.board.reports() == {}
    finally:
        tier.close()


def test_a_forked_child_has_connections_of_its_own(open_tier, redis_url):
    tier = open_tier(redis_url)
    tier.board.post("parent", b"report", 60)
    child = os.fork()
    if not child:
        tier.renew_after_fork()
        tier.board.post("child", b"report", 60)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert set(tier.board.reports()) == {"parent", "child"}
