"""What an alert engine tells: that a rule fired or resolved, and which fire now."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Any, Literal
from uuid import uuid4

from ohlcache.telemetry.alerts.rule import Rule, Severity

State = Literal["firing", "resolved"]


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """A rule fired or resolved.

    rule: its name. at: seconds, as observed. value: of the metric (of a rate: per second).
    since: from when on the condition held, seconds. reason: one line in words.
    id: unique, so that who receives an event twice can tell.

    Events are equal when rule, state, at and value are.
    """

    rule: str
    state: State
    at: float
    value: float
    severity: Severity = field(default="warning", compare=False)
    metric: str = field(default="", compare=False)
    since: float | None = field(default=None, compare=False)
    reason: str = field(default="", compare=False)
    id: str = field(default_factory=lambda: uuid4().hex, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """All fields, fit for JSON: a value that is not finite is None (``reason`` tells it)."""
        told = asdict(self)
        told["value"] = self.value if isfinite(self.value) else None
        return told


@dataclass(frozen=True, slots=True)
class ActiveAlert:
    """A rule that fires now.

    since: from when on the condition held; fired_at: when it fired; both in seconds, as observed.
    value: the latest.
    """

    rule: str
    since: float
    value: float
    severity: Severity
    metric: str
    fired_at: float


def in_words(rule: Rule, state: State, value: float) -> str:
    """Why a rule fired or resolved."""
    over = rule.rate_over_seconds
    metric = rule.metric if over is None else f"{rule.metric} per second over {_number(over)} s"
    if state == "resolved":
        side = "or less" if rule.side == "above" else "or more"
        return f"{metric} is back at {_number(value)} (clear at {_number(rule.clear_at)} {side})"
    held = f" for {_number(rule.for_seconds)} s" if rule.for_seconds else ""
    return f"{metric} is {_number(value)}, {rule.side} {_number(rule.threshold)}{held}"


def _number(value: float) -> str:
    return f"{value:.12g}"
