"""A recorded incident, replayed: exactly the alerts that an operator should get, no flapping."""

from __future__ import annotations

from collections import Counter

import pytest
from incident import observations

from ohlcache.telemetry.alerts import AlertEngine

RULES = [
    {
        "name": "Redis is slow",
        "metric": "l2_p99_seconds",
        "above": 0.010,
        "clear": 0.007,
        "for_seconds": 60,
        "severity": "critical",
    },
    {"name": "few hits", "metric": "l1_hit_ratio", "below": 0.90, "clear": 0.93, "for_seconds": 60},
    {
        "name": "memory",
        "metric": "memory_used_ratio",
        "above": 0.80,
        "clear": 0.75,
        "for_seconds": 30,
    },
    {
        "name": "memory is critical",
        "metric": "memory_used_ratio",
        "above": 0.90,
        "clear": 0.85,
        "for_seconds": 30,
        "severity": "critical",
    },
    {
        "name": "source fails",
        "metric": "source_errors",
        "above": 1,
        "clear": 0.5,
        "rate_over_seconds": 60,
    },
]


def replay(rules):
    engine = AlertEngine(rules)
    return engine, [
        (f"{int(event.at) // 60}:{int(event.at) % 60:02}", event.rule, event.state)
        for at, metrics in observations()
        for event in engine.observe(metrics, at=at)
    ]


def without(*fields):
    return [{key: rule[key] for key in rule if key not in fields} for rule in RULES]


def test_exactly_the_expected_alerts():
    engine, found = replay(RULES)
    assert found == [
        ("11:00", "Redis is slow", "firing"),
        ("16:00", "few hits", "firing"),
        ("23:10", "memory", "firing"),
        ("30:00", "few hits", "resolved"),
        ("35:00", "Redis is slow", "resolved"),
        ("42:10", "source fails", "firing"),
        ("42:20", "memory is critical", "firing"),
        ("45:50", "source fails", "resolved"),
        ("50:00", "memory", "resolved"),
        ("50:00", "memory is critical", "resolved"),
    ]
    assert engine.active() == []
    assert engine.stats()["missing"]["Redis is slow"] == 6


def test_it_is_the_same_each_time():
    assert observations() == observations()


@pytest.mark.parametrize(
    ("fields", "at_least"),
    [(("clear", "for_seconds"), 100), (("for_seconds",), 20), (("clear",), 12)],
)
def test_hysteresis_and_duration_are_what_keeps_it_quiet(fields, at_least):
    _, found = replay(without(*fields))
    flapping = Counter(rule for _, rule, state in found if state == "firing")
    assert len(found) >= at_least
    assert max(flapping.values()) > 1
    assert len(replay(RULES)[1]) == 2 * len(RULES)
