"""The breaker: one failure opens it, requests never probe, probes come at growing distances."""

from __future__ import annotations

import pytest

from cache_doors import FakeClock
from ohlcache.cache.links.breaker import Breaker


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def breaker(clock):
    return Breaker(clock.monotonic)


def until_probe(breaker, clock):
    """Seconds until a probe is due, which has begun then."""
    waited = breaker.wait()
    assert not breaker.probe_due()
    clock.advance(waited)
    assert breaker.probe_due()
    return waited


def test_it_is_closed_until_something_fails(breaker, clock):
    assert breaker.is_closed
    assert not breaker.probe_due()
    assert breaker.fail()
    assert (breaker.is_closed, breaker.state, breaker.openings) == (False, "open", 1)


def test_of_many_that_fail_one_opens_it(breaker, clock):
    assert [breaker.fail() for _ in range(3)] == [True, False, False]
    assert breaker.openings == 1


def test_one_probe_at_a_time(breaker, clock):
    breaker.fail()
    until_probe(breaker, clock)
    assert breaker.state == "half-open"
    assert not breaker.is_closed
    clock.advance(100)
    assert not breaker.probe_due()
    breaker.fail()  # a request that was under way when it opened
    assert breaker.state == "half-open"


def test_probes_that_fail_come_less_and_less_often(breaker, clock):
    breaker.fail()
    waits = []
    for _ in range(8):
        waits.append(until_probe(breaker, clock))
        breaker.probe_failed()
    limits = [0.05, 0.1, 0.2, 0.4, 0.5, 0.5, 0.5, 0.5]
    assert all(0.75 * most <= wait <= most for wait, most in zip(waits, limits, strict=True))


def test_a_probe_that_succeeds_closes_it_and_the_next_outage_begins_anew(breaker, clock):
    breaker.fail()
    for _ in range(5):
        until_probe(breaker, clock)
        breaker.probe_failed()
    until_probe(breaker, clock)
    breaker.close()
    assert (breaker.is_closed, breaker.state) == (True, "closed")
    assert not breaker.probe_due()
    assert breaker.fail()
    assert breaker.openings == 2
    assert until_probe(breaker, clock) <= 0.05
