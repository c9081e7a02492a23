"""Redis stopped and started while processes that share candles through it are killed."""

from __future__ import annotations

import random
import time

import pytest

import ohlcache

from .accounts import Accounts, at_work, check_staleness, seconds
from .crew import Plan
from .marked import SHARED, TIMEFRAME

_SECONDS_FOR_A_STOP = 1.5
_MOST_STOPS = 20
_RECOVERY = 2.0  # seconds
_SLACK = 1.0  # nine busy processes on two cores


@pytest.fixture
def plan(location, redis_server, namespace, tmp_path):
    server = redis_server()
    tree = {
        "history": {"share_chunks": True},
        "cache": {"namespace": namespace, "l2": {"redis_url": server.url}},
    }
    return server, Plan(str(location), tree, str(tmp_path), seconds(5), kills_per_second=4)


def test_an_outage_of_redis_is_felt_by_nobody(plan):
    server, plan = plan
    random_ = random.Random(3)
    stops = min(_MOST_STOPS, int(plan.seconds / _SECONDS_FOR_A_STOP))
    began = time.monotonic()
    recoveries = []
    with at_work(plan), ohlcache.open(plan.location, settings=plan.settings) as md:
        for stop in range(stops):
            _reads_until(began + (stop + 0.5) * plan.seconds / stops, md)
            server.kill()
            _read(md)
            assert not md.stats()["shared"]["works"]
            time.sleep(random_.uniform(0, 0.3))
            server.start()
            recoveries.append(_until_in_use(md))
        _reads_until(began + plan.seconds, md)
        assert md.stats()["shared"]["hits"] > 0
    accounts = Accounts(plan)
    check_staleness(accounts, plan)
    with ohlcache.open(plan.location) as md:
        accounts.check_store(md)
    print(f"{stops} stops, in use again after {max(recoveries):.2f} s at most; {accounts}")
    assert max(recoveries) <= _RECOVERY + _SLACK


def _read(md):
    md.drop_decoded(2**40)
    for symbol in SHARED:
        md.candles(symbol, TIMEFRAME)


def _reads_until(moment, md):
    while time.monotonic() < moment:
        _read(md)


def _until_in_use(md):
    """Seconds until reads go through Redis again."""
    began = time.monotonic()
    while not md.stats()["shared"]["works"]:
        _read(md)
    return time.monotonic() - began
