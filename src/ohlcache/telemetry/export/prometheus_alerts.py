"""The alert rules as rules for a Prometheus server.

What Prometheus has no word for is said in its own way: a rule that fires goes on while the value
has not come back to ``clear``, which its own ``ALERTS`` series tell. There is no cool-down: how
often somebody is notified is set in Alertmanager (``repeat_interval``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ohlcache.telemetry.alerts.feasible import check_feasible
from ohlcache.telemetry.alerts.rule import Rule, rules_of
from ohlcache.telemetry.default_rules import DEFAULT_RULES
from ohlcache.telemetry.health.deductions import DEDUCTIONS
from ohlcache.telemetry.indicators import INDICATORS, SCRAPED_WINDOW, Indicator
from ohlcache.telemetry.metric import Unit
from ohlcache.telemetry.wording import in_words

_HEADING = f"""\
# Alert rules of ohlcache, over all processes that are scraped together.
# They look back {SCRAPED_WINDOW} s: scrape at least every minute.
"""
_REMEDIES = {deduction.indicator: deduction.remedy for deduction in DEDUCTIONS}
_FORMATS: dict[Unit, str] = {
    "": "humanize",
    "bytes": "humanize1024",
    "ratio": "humanizePercentage",
    "seconds": "humanizeDuration",
}
_COMPARISONS = {"above": ">", "below": "<"}

Rules = Iterable[Rule | Mapping[str, Any]]


def prometheus_rules(rules: Rules = DEFAULT_RULES) -> str:
    """A file of alert rules (YAML) for Prometheus.

    Raises InvalidArgument for rules that the alert engine would refuse.
    """
    import yaml

    # Long lines are kept: an expression that is folded cannot be copied.
    return _HEADING + yaml.safe_dump(rule_groups(rules), sort_keys=False, width=10_000)


def rule_groups(rules: Rules = DEFAULT_RULES) -> dict[str, Any]:
    """The content of the file of :func:`prometheus_rules`."""
    return {"groups": [{"name": "ohlcache", "rules": [_alert(rule) for rule in checked(rules)]}]}


def checked(rules: Rules) -> tuple[Rule, ...]:
    """The rules, on indicators. Raises InvalidArgument for those that the engine would refuse."""
    ranges = {name: indicator.range for name, indicator in INDICATORS.items()}
    made = rules_of(rules)
    for rule in made:
        check_feasible(rule, ranges)
    return made


def _alert(rule: Rule) -> dict[str, Any]:
    indicator = INDICATORS[rule.metric]
    alert: dict[str, Any] = {"alert": _name(rule), "expr": _condition(rule, indicator)}
    if rule.for_seconds:
        alert["for"] = _duration(rule.for_seconds)
    alert["labels"] = {"severity": rule.severity}
    alert["annotations"] = _annotations(rule, indicator)
    return alert


def _name(rule: Rule) -> str:
    """Unique as the rule's own name is, and not taken by alerts of others."""
    return f"ohlcache-{rule.name}"


def _condition(rule: Rule, indicator: Indicator) -> str:
    """Comparisons bind tighter than set operators: the value stands in parentheses."""
    value = f"({indicator.measure.promql(SCRAPED_WINDOW)})"
    if rule.rate_over_seconds is not None:
        over = _duration(rule.rate_over_seconds)
        value = f"(delta({value}[{over}:]) / {rule.rate_over_seconds:g})"
    compared = _COMPARISONS[rule.side]
    condition = f"{value} {compared} {rule.threshold:g}"
    if rule.clear is None:
        return condition
    firing = f'ALERTS{{alertname={_quoted(_name(rule))},alertstate="firing"}}'
    return f"{condition} or {value} {compared} {rule.clear_at:g} and on() {firing}"


def _annotations(rule: Rule, indicator: Indicator) -> dict[str, str]:
    unit: Unit = indicator.unit if rule.rate_over_seconds is None else ""
    per_second = "" if rule.rate_over_seconds is None else " per second"
    threshold = in_words(rule.threshold, unit)
    annotations = {
        "summary": f"{indicator.name} is {rule.side} {threshold}{per_second}",
        "description": f"{indicator.help} It is {{{{ $value | {_FORMATS[unit]} }}}}{per_second}.",
    }
    if rule.metric in _REMEDIES:
        annotations["remedy"] = _REMEDIES[rule.metric]
    return annotations


def _duration(seconds: float) -> str:
    """As PromQL writes them: whole numbers only."""
    return f"{seconds:.0f}s" if seconds == int(seconds) else f"{max(1, round(seconds * 1000))}ms"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
