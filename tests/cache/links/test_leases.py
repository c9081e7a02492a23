"""Leases are kept while a load lasts, and only then."""

from __future__ import annotations

import pytest

from cache.links.fake_tier import FakeTier, linked
from ohlcache.cache.links import Leases


@pytest.fixture
def tier():
    return FakeTier()


def test_what_is_held_is_renewed_for_its_full_time(tier):
    leases, link = Leases(5.0), linked(tier)
    with leases.held("first", link, ["a", "b"]), leases.held("second", link, ["c"]):
        leases.renew()
    assert tier.renewed == [({"a": "first", "b": "first"}, 5000), ({"c": "second"}, 5000)]
    leases.renew()
    assert len(tier.renewed) == 2


def test_a_load_that_fails_holds_nothing(tier):
    leases = Leases(5.0)
    with pytest.raises(OSError), leases.held("lease", linked(tier), ["a"]):  # noqa: PT011
        raise OSError
    leases.renew()
    assert tier.renewed == []


def test_without_a_tier_there_is_nothing_to_renew():
    leases = Leases(5.0)
    with leases.held("lease", None, ["a"]):
        leases.renew()


def test_a_tier_that_fails_is_counted_and_the_others_are_renewed(tier):
    broken = FakeTier()
    broken.is_broken = True
    leases, link = Leases(0.0001), linked(broken)
    with leases.held("first", link, ["a"]), leases.held("second", linked(tier), ["b"]):
        leases.renew()
    assert link.counters["error:ConnectionError"] == 1
    assert tier.renewed == [({"b": "second"}, 1)]
