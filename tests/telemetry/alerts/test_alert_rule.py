"""Rules: what they accept, and that what is wrong is told when they are made."""

from __future__ import annotations

import math

import numpy as np
import pytest
import yaml

from ohlcache.errors import InvalidArgument
from ohlcache.telemetry.alerts import AlertEngine, Range, Rule, rules_of

HOT = {"name": "hot", "metric": "cpu_ratio", "above": 0.8}


class TestMaking:
    def test_what_is_left_out_has_defaults(self):
        rule = Rule.of(HOT)
        assert rule == Rule("hot", "cpu_ratio", above=0.8)
        assert (rule.for_seconds, rule.cooldown_seconds, rule.severity) == (0, 0, "warning")
        assert rule.clear_at == 0.8

    def test_from_yaml(self):
        rules = rules_of(
            yaml.safe_load("""
            - {name: hot, metric: cpu_ratio, above: 0.8, for_seconds: 60, clear: 0.7}
            - {name: missing, metric: hit_ratio, below: 0.9, severity: critical, clear: null}
            """)
        )
        assert rules == (
            Rule("hot", "cpu_ratio", above=0.8, for_seconds=60, clear=0.7),
            Rule("missing", "hit_ratio", below=0.9, severity="critical"),
        )

    def test_a_rule_is_taken_as_it_is(self):
        rule = Rule.of(HOT)
        assert rules_of([rule]) == (rule,)
        assert AlertEngine([rule]).rules == (rule,)

    def test_numbers_of_numpy_become_floats(self):
        rule = Rule.of(HOT | {"above": np.float32(0.5), "for_seconds": np.int64(3)})
        assert (type(rule.above), type(rule.for_seconds)) == (float, float)


WRONG = {
    "unknown field": ({"abov": 1}, ["'abov'", "above"]),
    "field that is no text": ({True: 1}, ["True", "above"]),
    "no name": ({"name": ...}, ["name is missing"]),
    "no metric": ({"metric": ...}, ["metric is missing"]),
    "name is a number": ({"name": 7}, ["name 7"]),
    "empty name": ({"name": " "}, ["name ' '"]),
    "name of two lines": ({"name": "a\nb"}, ["name 'a\\nb'", "one line"]),
    "neither above nor below": ({"above": ...}, ["above and below are missing"]),
    "both": ({"below": 0.1}, ["below 0.1", "above 0.8", "one of them"]),
    "NaN": ({"above": math.nan}, ["above nan", "finite"]),
    "infinite": ({"above": math.inf}, ["above inf", "finite"]),
    "too large": ({"above": 10**400}, ["above 1000", "finite"]),
    "text as YAML reads it": ({"above": "1e-3"}, ["above '1e-3'", "without quotes"]),
    "bool": ({"above": True}, ["above True", "number"]),
    "bool time": ({"for_seconds": False}, ["for_seconds False", "number"]),
    "time left empty": ({"for_seconds": None}, ["for_seconds None", "number"]),
    "negative for": ({"for_seconds": -1}, ["for_seconds -1", "0 or more"]),
    "negative cool-down": ({"cooldown_seconds": -0.5}, ["cooldown_seconds -0.5", "0 or more"]),
    "infinite time": ({"cooldown_seconds": math.inf}, ["cooldown_seconds inf", "finite"]),
    "rate over nothing": ({"rate_over_seconds": 0}, ["rate_over_seconds 0", "more than 0"]),
    "severity": ({"severity": "fatal"}, ["severity 'fatal'", "info, warning, critical"]),
    "clear above above": ({"clear": 0.9}, ["clear 0.9", "0.8 or less"]),
    "clear below below": ({"above": ..., "below": 0.5, "clear": 0.4}, ["clear 0.4", "0.5 or more"]),
}


class TestRefusing:
    @pytest.mark.parametrize(("change", "told"), WRONG.values(), ids=WRONG)
    def test_one_line_names_rule_field_value_and_remedy(self, change, told):
        fields = {key: value for key, value in (HOT | change).items() if value is not ...}
        with pytest.raises(InvalidArgument) as caught:
            AlertEngine([fields])
        message = str(caught.value)
        assert "\n" not in message
        for part in (f"rule {fields.get('name')!r}", *told):
            assert part in message

    @pytest.mark.parametrize("rules", [HOT, "hot", None, [3], [None], ["hot"]])
    def test_what_is_no_list_of_rules(self, rules):
        with pytest.raises(InvalidArgument, match="give a"):
            AlertEngine(rules)

    def test_two_of_one_name(self):
        with pytest.raises(InvalidArgument, match="rule 'hot', name is used twice"):
            rules_of([HOT, HOT | {"metric": "other"}])


KNOWN = {"cpu_ratio": Range(0, 1), "hit_ratio": Range(0, 1), "queue": Range(0)}


class TestKnownMetrics:
    def test_a_metric_that_is_not_known(self):
        with pytest.raises(InvalidArgument, match=r"metric 'cpu_rato' is not known.*cpu_ratio\?"):
            AlertEngine([HOT | {"metric": "cpu_rato"}], known=KNOWN)
        with pytest.raises(InvalidArgument, match="use one of cpu_ratio, hit_ratio, queue"):
            AlertEngine([HOT | {"metric": "zzz"}], known=KNOWN)

    @pytest.mark.parametrize(
        "fields",
        [
            {"metric": "cpu_ratio", "above": 1},
            {"metric": "cpu_ratio", "above": 80},
            {"metric": "hit_ratio", "below": 0},
            {"metric": "queue", "below": -1},
        ],
    )
    def test_a_condition_that_can_never_hold(self, fields):
        with pytest.raises(InvalidArgument, match="rule 'r', .* can never hold: .* is within 0 to"):
            AlertEngine([{"name": "r"} | fields], known=KNOWN)

    @pytest.mark.parametrize(
        "fields",
        [
            {"metric": "hit_ratio", "below": 90},
            {"metric": "hit_ratio", "below": 0.9, "clear": 90},
            {"metric": "queue", "above": 5, "clear": -1},
            {"metric": "queue", "above": 5, "clear": -1, "rate_over_seconds": 60},
        ],
    )
    def test_an_alert_that_could_never_end(self, fields):
        with pytest.raises(InvalidArgument, match="would never resolve"):
            AlertEngine([{"name": "r"} | fields], known=KNOWN)

    def test_a_rate_is_never_negative(self):
        rule = {"name": "r", "metric": "hits", "below": 0, "rate_over_seconds": 60}
        with pytest.raises(InvalidArgument, match="the rate of hits is within 0 to inf"):
            AlertEngine([rule])

    @pytest.mark.parametrize(
        "fields",
        [
            {"metric": "cpu_ratio", "above": 0},
            {"metric": "cpu_ratio", "above": 0.99, "clear": 0},
            {"metric": "hit_ratio", "below": 1},
            {"metric": "queue", "above": 1e300},
            {"metric": "cpu_ratio", "above": 50, "rate_over_seconds": 1},
        ],
    )
    def test_what_can_hold_and_end_is_accepted(self, fields):
        assert len(AlertEngine([{"name": "r"} | fields], known=KNOWN).rules) == 1

    def test_without_them_any_name_and_number_will_do(self):
        engine = AlertEngine([{"name": "r", "metric": "anything", "below": -5}])
        assert engine.observe({"anything": -6}, at=0)[0].state == "firing"
