"""One alert rule: what is compared with what, for how long, and when it is over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from math import inf, isfinite
from numbers import Real
from typing import Any, Literal, NamedTuple, Self, get_args

from ohlcache.errors import InvalidArgument

Severity = Literal["info", "warning", "critical"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)


class Range(NamedTuple):
    """The values that a metric can have, both ends included: 0 to 1 for a ratio."""

    low: float = -inf
    high: float = inf


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition on one metric.

    name, metric: one line of text each.
    above, below: exactly one of them: the condition is ``value > above`` or ``value < below``.
    for_seconds: how long the condition must have held before the rule fires.
    clear: a firing rule resolves at ``value <= clear`` (of ``above``) or ``value >= clear`` (of
        ``below``); the threshold itself by default. The distance between the two is the
        hysteresis that keeps a value that wavers around the threshold from flapping.
    cooldown_seconds: after a firing, so long until the next.
    severity: "info", "warning" or "critical".
    rate_over_seconds: compare the increase per second of the metric over so many seconds instead
        of its value; a counter that starts again counts from 0.

    Raises InvalidArgument, also for a ``clear`` on the wrong side of the threshold.
    """

    name: str
    metric: str
    above: float | None = None
    below: float | None = None
    for_seconds: float = 0.0
    clear: float | None = None
    cooldown_seconds: float = 0.0
    severity: Severity = "warning"
    rate_over_seconds: float | None = None

    @classmethod
    def of(cls, rule: Self | Mapping[str, Any]) -> Self:
        """A rule from a mapping of its fields, as YAML gives it; a Rule is given back.

        Raises InvalidArgument: also for fields that are missing or not known.
        """
        if isinstance(rule, cls):
            return rule
        if not isinstance(rule, Mapping):
            raise InvalidArgument(
                f"rule {rule!r} is a {type(rule).__name__}: give a mapping of its fields or a Rule"
            )
        called = f"rule {rule.get('name')!r}"
        unknown = [field for field in rule if field not in _FIELDS]
        if unknown:
            raise InvalidArgument(
                f"{called}, field {unknown[0]!r} is not known: use {', '.join(_FIELDS)}"
            )
        for field in ("name", "metric"):
            if field not in rule:
                raise InvalidArgument(f"{called}, {field} is missing: give it")
        return cls(**rule)

    def __post_init__(self) -> None:
        self._check_text("name")
        self._check_text("metric")
        if self.severity not in SEVERITIES:
            raise self._unfit("severity", f"is not known: use {', '.join(SEVERITIES)}")
        for field in ("above", "below", "clear", "rate_over_seconds"):
            if getattr(self, field) is not None:
                self._check_number(field)
        for field in ("for_seconds", "cooldown_seconds"):
            self._check_number(field)
            if getattr(self, field) < 0:
                raise self._unfit(field, "is negative: give 0 or more seconds")
        if self.rate_over_seconds is not None and self.rate_over_seconds <= 0:
            raise self._unfit("rate_over_seconds", "is not positive: give more than 0 seconds")
        self._check_sides()

    @property
    def side(self) -> Literal["above", "below"]:
        """On which side of the threshold the condition holds."""
        return "below" if self.above is None else "above"

    @property
    def threshold(self) -> float:
        """The number of ``above`` or ``below``."""
        threshold = self.below if self.above is None else self.above
        assert threshold is not None  # one of both is given: checked when made
        return threshold

    @property
    def clear_at(self) -> float:
        """From where on a firing rule resolves."""
        return self.threshold if self.clear is None else self.clear

    def holds(self, value: float) -> bool:
        """Whether the condition holds."""
        return value > self.threshold if self.side == "above" else value < self.threshold

    def is_clear(self, value: float) -> bool:
        """Whether a firing rule resolves."""
        return value <= self.clear_at if self.side == "above" else value >= self.clear_at

    def _check_text(self, field: str) -> None:
        text = getattr(self, field)
        if not isinstance(text, str) or not text.strip() or not text.isprintable():
            raise self._unfit(field, "is not one line of text: give one")

    def _check_number(self, field: str) -> None:
        """The number becomes a float; what YAML read as text (1e-3, 80%) is refused as text."""
        value = getattr(self, field)
        if isinstance(value, bool) or not isinstance(value, Real):
            raise self._unfit(field, "is not a number: write one without quotes, as 0.001")
        try:
            number = float(value)
        except OverflowError:  # an integer beyond every float
            number = inf
        if not isfinite(number):
            raise self._unfit(field, "is not a finite number: give one")
        object.__setattr__(self, field, number)

    def _check_sides(self) -> None:
        if self.above is None and self.below is None:
            raise InvalidArgument(f"rule {self.name!r}, above and below are missing: give one")
        if self.above is not None and self.below is not None:
            raise self._unfit("below", f"stands beside above {self.above:g}: give one of them")
        if self.clear is None:
            return
        wrong = self.clear > self.threshold if self.side == "above" else self.clear < self.threshold
        if wrong:
            remedy = "less" if self.side == "above" else "more"
            raise self._unfit(
                "clear",
                f"lies where {self.side} {self.threshold:g} still holds: give {self.threshold:g} "
                f"or {remedy}",
            )

    def _unfit(self, field: str, why: str) -> InvalidArgument:
        return InvalidArgument(f"rule {self.name!r}, {field} {getattr(self, field)!r} {why}")


_FIELDS = tuple(field.name for field in fields(Rule))


def rules_of(rules: Iterable[Rule | Mapping[str, Any]]) -> tuple[Rule, ...]:
    """Rules from a list of mappings, as YAML gives it, or of Rules.

    Raises InvalidArgument: also where two have the same name.
    """
    if isinstance(rules, str | Mapping) or not isinstance(rules, Iterable):
        raise InvalidArgument(f"rules is a {type(rules).__name__}: give a list of rules")
    made: dict[str, Rule] = {}
    for rule in map(Rule.of, rules):
        if rule.name in made:
            raise InvalidArgument(f"rule {rule.name!r}, name is used twice: give each its own")
        made[rule.name] = rule
    return tuple(made.values())
