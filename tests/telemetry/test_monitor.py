"""The monitor: what it looks at leads to alerts, health and windows, in a thread or on demand."""

from __future__ import annotations

import os
import threading

import pytest

from cache_doors import wait_until
from ohlcache.errors import InvalidArgument
from ohlcache.telemetry import CallableHandler
from ohlcache.telemetry import vocabulary as metrics
from ohlcache.telemetry.default_rules import DEFAULT_RULES
from ohlcache.telemetry.health import Finding
from ohlcache.telemetry.monitor import Monitor
from ohlcache.telemetry.registry import Registry


class Part:
    """Something that reports what a test says."""

    def __init__(self, registry):
        self.values = {}
        self.asked = 0
        registry.register(self.report)

    def report(self, readings):
        self.asked += 1
        for (metric, *labels), value in self.values.items():
            readings.add(metric, value, *labels)


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def registry(clock):
    registry = Registry(clock)
    clock.now += 10
    return registry


@pytest.fixture
def part(registry):
    return Part(registry)


@pytest.fixture
def live():
    """A part and its registry by the real clock, for tests with threads."""
    registry = Registry()
    return registry, Part(registry)


def cache_of(part, hits, misses):
    part.values[metrics.CACHE_HITS, "l1", "default"] = hits
    part.values[metrics.CACHE_MISSES, "l1", "default"] = misses


def test_an_alert_fires_and_resolves_by_what_is_looked_at(registry, part, clock):
    monitor = Monitor(registry, rules=DEFAULT_RULES)
    hits = misses = 0
    events = []
    for second in range(600):
        clock.now += 1
        is_bad = 120 <= second < 360
        hits, misses = hits + (50 if is_bad else 99), misses + (50 if is_bad else 1)
        cache_of(part, hits, misses)
        events += [(second, event.rule, event.state) for event in monitor.look()]
    (fired, *first), (resolved, *second) = events
    assert first == ["l1-hit-rate-low", "firing"]
    assert second == ["l1-hit-rate-low", "resolved"]
    assert 240 <= fired <= 260  # the rate of a minute below the mark for two
    assert 410 <= resolved <= 420
    assert [event.state for event in monitor.alert_history] == ["firing", "resolved"]
    assert not monitor.active_alerts()


def test_without_being_started_a_look_is_taken_when_something_is_asked(registry, part, clock):
    monitor = Monitor(registry)
    cache_of(part, 900, 100)
    assert part.asked == 0
    assert monitor.indicators()["l1_hit_rate"] == 0.9
    clock.now += 30
    cache_of(part, 900, 900)
    assert monitor.health().components["l1"].score < 100
    assert part.asked == 2


def test_asking_often_does_not_look_often(registry, part, clock):
    monitor = Monitor(registry, interval_seconds=1.0)
    for _ in range(100):
        monitor.health()
        clock.now += 0.01
    assert 1 <= part.asked <= 4


def test_what_was_found_elsewhere_counts_for_the_health(registry, part, clock):
    monitor = Monitor(registry)
    cache_of(part, 1000, 0)
    before = monitor.health().score
    monitor.findings = lambda: [Finding("memory", 30, "it leaks", "look at suspects")]
    health = monitor.health()
    assert health.score < before
    assert health.components["memory"].reasons[0].message == "it leaks"


def test_the_monitor_reports_alerts_and_health_itself(registry, part, clock):
    rule = {"name": "low", "metric": "l1_hit_rate", "below": 0.5, "severity": "critical"}
    monitor = Monitor(registry, rules=[rule])
    cache_of(part, 0, 1000)
    monitor.look()
    clock.now += 1
    monitor.look()
    values = monitor.readings().values
    assert values[metrics.ALERT_FIRING, ("low", "critical")] == 1
    assert values[metrics.HEALTH_SCORE, ("l1",)] == 40
    assert values[metrics.HEALTH_SCORE, ("overall",)] == 70
    assert values[metrics.TELEMETRY_SECONDS, ()].count >= 1


def test_the_thread_tells_handlers_and_ends(live):
    registry, part = live
    told = []
    rule = {"name": "low", "metric": "l1_hit_rate", "below": 0.5}
    monitor = Monitor(
        registry, rules=[rule], handlers=[CallableHandler(told.append)], interval_seconds=0.1
    )
    cache_of(part, 0, 1000)
    with_threads = threading.active_count()
    monitor.start()
    monitor.start()  # nothing more
    wait_until(lambda: told)
    assert [(event.rule, event.state) for event in told] == [("low", "firing")]
    assert monitor.stats()["running"]
    monitor.stop()
    assert not monitor.stats()["running"]
    wait_until(lambda: threading.active_count() == with_threads)


def test_a_failing_look_is_counted_and_others_follow(live):
    registry, part = live
    monitor = Monitor(registry, interval_seconds=0.1)
    monitor.windows.add = lambda at, readings: 1 / 0
    monitor.start()
    wait_until(lambda: part.asked >= 3)
    monitor.stop()
    assert any("ZeroDivisionError" in what for what in monitor.stats()["errors"])


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({"name": "x", "metric": "l1_hit_rat", "below": 0.5}, "did you mean l1_hit_rate"),
        ({"name": "x", "metric": "l1_hit_rate", "above": 1.0}, "can never hold"),
        ({"name": "x", "metric": "memory_used_ratio", "below": 0.0}, "can never hold"),
        ({"name": "x", "metric": "l1_hit_rate", "above": 0.5, "clear": 0.6}, "clear"),
    ],
)
def test_a_rule_that_cannot_work_is_told_at_start(registry, rule, field):
    with pytest.raises(InvalidArgument, match=field):
        Monitor(registry, rules=[rule])


def test_the_default_rules_are_sound(registry):
    Monitor(registry, rules=DEFAULT_RULES)


def test_a_forked_child_is_not_started_and_can_start(live):
    registry, part = live
    monitor = Monitor(registry, interval_seconds=0.1).start()
    try:
        child = os.fork()
        if child == 0:
            was_running = monitor.stats()["running"]
            monitor.start()
            asked = part.asked
            wait_until(lambda: part.asked > asked + 1)
            monitor.stop()
            os._exit(1 if was_running else 0)
        assert os.waitpid(child, 0)[1] == 0
        assert monitor.stats()["running"]
    finally:
        monitor.stop()


def test_a_child_exports_nothing_of_its_parents_monitor(registry, part, clock):
    rule = {"name": "low", "metric": "l1_hit_rate", "below": 0.5}
    monitor = Monitor(registry, rules=[rule])
    cache_of(part, 0, 1000)
    monitor.look()
    assert monitor.active_alerts()
    child = os.fork()
    if child == 0:
        part.values = {}
        told = registry.collect()
        os._exit(1 if monitor.active_alerts() or list(told.of(metrics.ALERT_FIRING)) else 0)
    assert os.waitpid(child, 0)[1] == 0


def test_a_monitor_that_was_replaced_reports_nothing_more(registry, part, clock):
    monitor = Monitor(registry)
    cache_of(part, 1000, 0)
    monitor.look()
    monitor.retire()
    assert not list(registry.collect().of(metrics.HEALTH_SCORE))


def test_a_reporter_that_fails_once_makes_no_count_look_new(registry, part, clock):
    monitor = Monitor(registry)
    evicted = (metrics.CACHE_EVICTIONS, "default", "policy")
    rates = []
    for second in range(200):
        clock.now += 1
        part.values = {} if second == 100 else {evicted: 5_000_000 + second}
        monitor.look()
        rates.append(monitor.indicators()["evictions_per_second"])
    assert max(rates[90:]) < 2


def test_starting_and_stopping_at_once_leaves_no_thread(live):
    registry, _ = live
    monitor = Monitor(registry, interval_seconds=0.1)
    before = threading.active_count()

    def toggle():
        for _ in range(30):
            monitor.start()
            monitor.stop()

    threads = [threading.Thread(target=toggle) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    monitor.stop()
    assert not monitor.is_running
    wait_until(lambda: threading.active_count() <= before)
