"""Alert rules over observed metrics: which fire, which resolve, what happened lately."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from math import isfinite
from numbers import Real
from typing import Any

from ohlcache.errors import InvalidArgument
from ohlcache.telemetry.alerts.event import ActiveAlert, AlertEvent
from ohlcache.telemetry.alerts.feasible import check_feasible
from ohlcache.telemetry.alerts.rule import Range, Rule, rules_of
from ohlcache.telemetry.alerts.watch import Watch

_HISTORY = 1000


class AlertEngine:
    """Decides which alerts fire. It does no I/O and keeps no time: ``at`` is all it knows of it.

        engine = AlertEngine([{"name": "slow Redis", "metric": "l2_p99_seconds", "above": 0.01,
                               "for_seconds": 60, "clear": 0.008, "severity": "critical"}])
        events = engine.observe({"l2_p99_seconds": 0.042}, at=time.monotonic())

    rules: mappings as YAML gives them, or Rules.
    known: the possible values of each metric there is; None allows any metric.

    All methods may be called from any thread. Raises InvalidArgument for a rule that is wrong, has
    the name of another, names a metric that is not known, or could never fire or resolve.
    """

    def __init__(
        self,
        rules: Iterable[Rule | Mapping[str, Any]],
        *,
        known: Mapping[str, Range] | None = None,
    ) -> None:
        self.rules = rules_of(rules)
        for rule in self.rules:
            check_feasible(rule, known)
        self._watches = [Watch(rule) for rule in self.rules]
        self._metrics = frozenset(rule.metric for rule in self.rules)
        self._lock = threading.Lock()
        self._history: deque[AlertEvent] = deque(maxlen=_HISTORY)
        self._counts: Counter[str] = Counter()
        self._at: float | None = None

    def observe(self, metrics: Mapping[str, float | None], at: float) -> list[AlertEvent]:
        """What fires and resolves with these values, in the order of the rules.

        metrics: values by name; one that is absent, None or NaN decides nothing and is counted.
        at: seconds, from any clock that does not go back; the same moment again is fine.
        Raises InvalidArgument, and then has changed nothing.
        """
        moment = _moment(at)
        if not isinstance(metrics, Mapping):
            raise InvalidArgument(
                f"metrics is a {type(metrics).__name__}: give a mapping of names to numbers"
            )
        readings = {name: _reading(name, metrics.get(name)) for name in self._metrics}
        with self._lock:
            if self._at is not None and moment < self._at:
                raise InvalidArgument(
                    f"at {at!r} lies before the observation at {self._at!r}: give times in order, "
                    "from a clock that does not go back"
                )
            self._at = moment
            decided = [
                watch.observe(readings[watch.rule.metric], moment) for watch in self._watches
            ]
            events = [event for event in decided if event is not None]
            self._history += events
            self._counts["observations"] += 1
            self._counts.update(event.state for event in events)
        return events

    def active(self) -> list[ActiveAlert]:
        """The alerts that fire now, in the order of the rules."""
        with self._lock:
            alerts = [watch.active() for watch in self._watches]
        return [alert for alert in alerts if alert is not None]

    @property
    def history(self) -> list[AlertEvent]:
        """The last 1,000 events, oldest first."""
        with self._lock:
            return list(self._history)

    def stats(self) -> dict[str, Any]:
        """rules, firing (now), observations, fired, resolved; of each rule that has any: missing
        (observations that decided nothing) and held_back (by its cool-down).
        """
        with self._lock:
            return {
                "rules": len(self._watches),
                "firing": sum(watch.active() is not None for watch in self._watches),
                "observations": self._counts["observations"],
                "fired": self._counts["firing"],
                "resolved": self._counts["resolved"],
                "missing": {w.rule.name: w.missing for w in self._watches if w.missing},
                "held_back": {w.rule.name: w.held_back for w in self._watches if w.held_back},
            }


def _moment(at: Any) -> float:
    if isinstance(at, bool) or not isinstance(at, Real) or not isfinite(at):
        raise InvalidArgument(f"at {at!r} is not a moment: give seconds as a finite number")
    return float(at)


def _reading(metric: str, value: Any) -> float | None:
    if value is None:
        return None
    if not isinstance(value, Real):
        raise InvalidArgument(
            f"metric {metric!r} {value!r} is a {type(value).__name__}: give a number, or None when "
            "there is none"
        )
    return float(value)
