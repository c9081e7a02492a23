"""The alert rules as rules for Prometheus."""

from __future__ import annotations

import re

import pytest
import yaml
from promql_names import check, exposed

from ohlcache.errors import InvalidArgument
from ohlcache.telemetry.alerts import Rule
from ohlcache.telemetry.default_rules import DEFAULT_RULES
from ohlcache.telemetry.export import prometheus_rules, rule_groups
from ohlcache.telemetry.indicators import INDICATORS

RULE = {"name": "full", "metric": "memory_used_ratio", "above": 0.8}
NUMBER = r"-?[\d.]+(?:e-?\d+)?"
OUTERMOST = re.compile(
    rf"\(\) [<>] {NUMBER}(?: or \(\) [<>] {NUMBER} and on\(\) ALERTS\{{[^}}]*\}})?"
)


def alerts(rules=DEFAULT_RULES):
    (group,) = yaml.safe_load(prometheus_rules(rules))["groups"]
    assert group["name"] == "ohlcache"
    return {alert["alert"]: alert for alert in group["rules"]}


@pytest.fixture(scope="module")
def known():
    return {**exposed(), "ALERTS": {"alertname", "alertstate"}}


def test_every_default_rule_becomes_an_alert():
    assert list(alerts()) == [f"ohlcache-{rule['name']}" for rule in DEFAULT_RULES]
    assert yaml.safe_load(prometheus_rules()) == rule_groups()


@pytest.mark.parametrize("indicator", INDICATORS)
@pytest.mark.parametrize("seconds", [None, 300])
def test_rules_on_every_indicator_ask_for_metrics_that_there_are(known, indicator, seconds):
    rule = {"name": "r", "metric": indicator, "above": 0.5, "clear": 0.4}
    (alert,) = alerts([{**rule, "rate_over_seconds": seconds}]).values()
    names = check(alert["expr"], known) - {"ALERTS"}
    assert {name.rpartition("_")[0] for name in names} | names >= {
        metric.name for metric in INDICATORS[indicator].measure.metrics
    }


def without_the_inside(expression):
    """``()`` in place of all that stands in outermost parentheses."""
    depth, kept = 0, []
    for character in expression:
        depth -= character == ")"
        if depth == 0:
            kept.append(character)
        depth += character == "("
    return "".join(kept)


@pytest.mark.parametrize("name", [rule["name"] for rule in DEFAULT_RULES])
def test_a_threshold_is_compared_with_the_whole_value(name):
    """``a and b > 1`` would compare b: what is compared stands in parentheses."""
    expression = alerts()[f"ohlcache-{name}"]["expr"]
    assert OUTERMOST.fullmatch(without_the_inside(expression)), expression


def test_a_rule_that_fires_goes_on_until_the_value_is_clear():
    rule = {**RULE, "clear": 0.75, "for_seconds": 60, "severity": "critical"}
    assert alerts([rule])["ohlcache-full"] == {
        "alert": "ohlcache-full",
        "expr": "(max(ohlcache_memory_used_ratio)) > 0.8 or (max(ohlcache_memory_used_ratio)) "
        '> 0.75 and on() ALERTS{alertname="ohlcache-full",alertstate="firing"}',
        "for": "60s",
        "labels": {"severity": "critical"},
        "annotations": {
            "summary": "memory_used_ratio is above 80%",
            "description": "Memory of the process as a share of its limit. "
            "It is {{ $value | humanizePercentage }}.",
            "remedy": "lower cache.l1.max_size_mb and history.memory_mb, or raise "
            "memory.limit_mb where the machine has more",
        },
    }


@pytest.mark.parametrize(
    ("changes", "expression", "lasting"),
    [
        ({}, "(max(ohlcache_memory_used_ratio)) > 0.8", None),
        ({"for_seconds": 1.5}, "(max(ohlcache_memory_used_ratio)) > 0.8", "1500ms"),
        (
            {"above": None, "below": 0.1},
            "(max(ohlcache_memory_used_ratio)) < 0.1",
            None,
        ),
        (
            {"rate_over_seconds": 300},
            "(delta((max(ohlcache_memory_used_ratio))[300s:]) / 300) > 0.8",
            None,
        ),
    ],
)
def test_conditions_and_durations(changes, expression, lasting):
    alert = alerts([{**RULE, **changes}])["ohlcache-full"]
    assert alert["expr"] == expression
    assert alert.get("for") == lasting


def test_a_name_with_quotes_is_quoted():
    expression = alerts([{**RULE, "name": 'the "big" one', "clear": 0.7}])
    (alert,) = expression.values()
    assert r'ALERTS{alertname="ohlcache-the \"big\" one",' in alert["expr"]


def test_rules_can_be_objects_too():
    assert list(alerts([Rule.of(RULE)])) == ["ohlcache-full"]


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ([{**RULE, "metric": "memory"}], "metric 'memory' is not known"),
        ([{**RULE, "metric": "l1_hit_rate", "above": 1.5}], "above 1.5 can never hold"),
        ([RULE, RULE], "name is used twice"),
        (RULE, "give a list of rules"),
    ],
)
def test_rules_that_the_engine_would_refuse_are_refused(rules, message):
    with pytest.raises(InvalidArgument, match=message):
        prometheus_rules(rules)
