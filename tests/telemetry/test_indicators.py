"""The numbers that are judged."""

from __future__ import annotations

import pytest

from ohlcache.telemetry import Histogram, Readings
from ohlcache.telemetry import vocabulary as metrics
from ohlcache.telemetry.indicators import INDICATORS, indicate
from ohlcache.telemetry.windows import Windows


def looked_at(*rounds):
    """Windows after looks a second apart, each given what is to be read."""
    windows = Windows(0.0)
    for at, values in enumerate(rounds, 1):
        found = Readings()
        for metric, value, *labels in values:
            found.add(metric, value, *labels)
        windows.add(float(at), found)
    return windows


def requests(hits, misses, tier="l1"):
    return [
        (metrics.CACHE_HITS, hits, tier, "default"),
        (metrics.CACHE_MISSES, misses, tier, "default"),
    ]


def test_a_hit_rate_is_that_of_all_categories():
    windows = looked_at([*requests(900, 50), (metrics.CACHE_MISSES, 50, "l1", "features")])
    assert indicate(windows)["l1_hit_rate"] == pytest.approx(0.9)


def test_few_requests_say_nothing_about_a_hit_rate():
    assert "l1_hit_rate" not in indicate(looked_at(requests(0, 99)))
    assert indicate(looked_at(requests(0, 100)))["l1_hit_rate"] == 0.0


def test_a_hit_rate_is_that_of_the_last_minute():
    rounds = [requests(1000 * at, 0) for at in range(1, 70)]
    rounds += [requests(69_000, 1000 * at) for at in range(1, 70)]
    assert indicate(looked_at(*rounds))["l1_hit_rate"] == 0.0


def test_a_quantile_needs_some_durations():
    histogram = Histogram()
    for _ in range(19):
        histogram.record(0.02)
    few = looked_at([(metrics.CACHE_READ_SECONDS, histogram.distribution(), "l2")])
    assert "l2_p99_seconds" not in indicate(few)
    histogram.record(0.02)
    enough = looked_at([(metrics.CACHE_READ_SECONDS, histogram.distribution(), "l2")])
    assert indicate(enough)["l2_p99_seconds"] == pytest.approx(0.02, rel=0.19)


def test_evictions_are_those_for_want_of_room():
    evicted = [
        (metrics.CACHE_EVICTIONS, 60, "default", "policy"),
        (metrics.CACHE_EVICTIONS, 30, "default", "shrink"),
        (metrics.CACHE_EVICTIONS, 500, "default", "expired"),
        (metrics.CACHE_SETS, 100, "default"),
    ]
    found = indicate(looked_at(evicted, evicted))
    assert found["eviction_ratio"] == pytest.approx(0.9)
    assert found["evictions_per_second"] == pytest.approx(45.0)


def test_what_nobody_reports_is_not_indicated():
    assert indicate(looked_at([])) == {}


@pytest.mark.parametrize("name", INDICATORS)
def test_every_indicator_is_described(name):
    indicator = INDICATORS[name]
    assert indicator.help.endswith(".")
    assert indicator.range.low < indicator.range.high
    assert indicator.measure.metrics
