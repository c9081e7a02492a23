"""What a user may give as ``redis_url``, and what a wrong one is answered."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
import redis

from cache.shared_tier import alone
from ohlcache.cache.redis import RedisTier
from ohlcache.drive import drive
from ohlcache.errors import InvalidArgument


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://user:secret@localhost:6380/3",
        "rediss://:secret@localhost?ssl_cert_reqs=none",
        "unix:///run/redis.sock?db=2",
        "redis+sentinel://:secret@one:26379,two/service/1",
        "redis+cluster://one,two:7000",
        "redis+cluster://[::1]:7000",
    ],
)
def test_a_good_url_needs_no_server(url):
    RedisTier(url).close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "unknown scheme"),
        ("localhost:6379", "unknown scheme"),
        ("http://localhost", "unknown scheme"),
        ("redis+magic://localhost", "unknown scheme"),
        ("redis://", "names no host"),
        ("redis://localhost:notaport", "port"),
        ("redis://localhost:99999", "out of range"),
        ("redis://localhost/trading", "database 'trading'"),
        ("redis://localhost?colour=blue", "colour"),
        ("unix://", "names no socket"),
        ("redis+sentinel://one:26379", "names no service"),
        ("redis+sentinel://one:26379,/service", "''"),
        ("redis+cluster://one:99999", "one:99999"),
        ("redis+cluster://one/3", "only one"),
    ],
)
def test_a_bad_url_is_refused_at_once(url, said):
    with pytest.raises(InvalidArgument, match="redis_url") as refused:
        RedisTier(url)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:hunter2@localhost/x",
        "http://:hunter2@localhost",
        "redis://user:hunter2@local@host:bad",
        "redis://localhost/x?password=hunter2",
    ],
)
def test_passwords_are_masked(url):
    with pytest.raises(InvalidArgument) as refused:
        RedisTier(url)
    assert "hunter2" not in str(refused.value)
    assert "***" in str(refused.value)


@pytest.mark.parametrize("namespace", ["", "a b", "a{b}", "a:b", "ключ"])
def test_a_namespace_that_cannot_be_part_of_a_key(namespace):
    with pytest.raises(InvalidArgument, match="namespace"):
        RedisTier("redis://localhost", namespace=namespace)


@pytest.mark.parametrize("option", ["max_bytes", "timeout_seconds"])
def test_a_bound_that_is_none(option):
    with pytest.raises(InvalidArgument, match=option):
        RedisTier("redis://localhost", **{option: 0})


def test_what_is_unreachable_is_told_when_it_is_used():
    tier = RedisTier("redis://127.0.0.1:1")
    with pytest.raises(redis.ConnectionError):
        drive(alone(tier.read(["a"])))
    with pytest.raises(redis.ConnectionError):
        asyncio.run(tier.read(["a"]).arun())
    assert tier.stats()["errors"] == {"ConnectionError": 2}
    tier.close()


def test_without_redis_the_extra_is_named():
    code = (
        "import sys; sys.modules['redis'] = None\n"
        "from ohlcache.errors import MissingExtra\n"
        "try:\n    import ohlcache.cache.redis\n"
        "except MissingExtra as missing:\n    print(missing)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'ohlcache[redis]'" in done.stdout
