"""Where the colours of a Grafana panel change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ohlcache.telemetry.alerts.rule import SEVERITIES, Rule
from ohlcache.telemetry.health.report import rating

Step = dict[str, Any]

_GOOD = "green"
_COLOURS = {"info": "blue", "warning": "orange", "critical": "red"}
_OF_RATINGS = {"Excellent": "green", "Good": "yellow", "Warning": "orange", "Critical": "red"}
_JUST = 1e-9  # a step begins at its value, where a rule does not hold yet

NO_STEPS: list[Step] = [{"color": _GOOD, "value": None}]


def steps(rules: Iterable[Rule]) -> list[Step]:
    """The colours from the lowest value on: green, or that of the worst rule that holds there."""
    rules = list(rules)
    if not rules:
        return NO_STEPS
    starts = sorted({_start(rule) for rule in rules})
    found: list[Step] = [{"color": _colour(rules, starts[0] - 1), "value": None}]
    for start, end in zip(starts, [*starts[1:], starts[-1] + 1], strict=True):
        found.append({"color": _colour(rules, (start + end) / 2), "value": start})
    return found


def _start(rule: Rule) -> float:
    return rule.threshold + _JUST if rule.side == "above" and not rule.threshold else rule.threshold


def _colour(rules: Iterable[Rule], value: float) -> str:
    holding = {rule.severity for rule in rules if rule.holds(value)}
    worst = [severity for severity in SEVERITIES if severity in holding]
    return _COLOURS[worst[-1]] if worst else _GOOD


HEALTH_STEPS: list[Step] = [{"color": _OF_RATINGS[rating(0)], "value": None}] + [
    {"color": _OF_RATINGS[rating(score)], "value": score}
    for score in range(1, 101)
    if rating(score) != rating(score - 1)
]
ALERT_STEPS: list[Step] = [*NO_STEPS, {"color": "red", "value": 1}]
