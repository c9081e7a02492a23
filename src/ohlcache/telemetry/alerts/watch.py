"""One rule over time: idle, pending, firing.

    idle     --the condition holds-->  pending  --it held for_seconds, no cool-down-->  firing
    pending  --it does not hold once-->  idle          firing  --the value is clear-->  idle

The for-duration is that of Prometheus' alerting rules (``for``), the hysteresis that of a Schmitt
trigger. The cool-down counts from the last firing, so that a fault that comes and goes is told
once in that time.
"""

from __future__ import annotations

from math import isfinite, isnan

from ohlcache.telemetry.alerts.event import ActiveAlert, AlertEvent, State, in_words
from ohlcache.telemetry.alerts.rate import Rate
from ohlcache.telemetry.alerts.rule import Rule

# Values further apart than this say little about the time between them.
_SILENCE_SECONDS = 600.0


class Watch:
    """What became of one rule. Not thread-safe.

    A pending state is not carried over a silence, since nobody knows whether the condition held in
    it: it starts anew where the time since the value before is longer than ``for_seconds``, than
    ten minutes, and than twice the interval before that. The last is for who looks seldom but
    regularly: without it the rule could never fire. A firing rule goes on firing in a silence.
    """

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.missing = 0  # observations without a decision
        self.held_back = 0  # observations at which only the cool-down kept it from firing
        over = rule.rate_over_seconds
        self._rate = None if over is None else Rate(over)
        self._value = 0.0
        self._value_at: float | None = None
        self._interval = 0.0
        self._holds_since: float | None = None
        self._fired_at: float | None = None
        self._is_firing = False

    def observe(self, reading: float | None, at: float) -> AlertEvent | None:
        """Take the metric's value at a moment; an event if the rule fires or resolves with it.

        None and NaN, and a rate whose window is not yet full: no decision, the state is kept.
        """
        value = self._measured(reading, at)
        if value is None:
            self.missing += 1
            return None
        self._note(value, at)
        if self._is_firing:
            return self._resolve(at) if self.rule.is_clear(value) else None
        if not self.rule.holds(value):
            self._holds_since = None
            return None
        if self._holds_since is None:
            self._holds_since = at
        if at - self._holds_since < self.rule.for_seconds:
            return None
        if self._is_cooling_down(at):
            self.held_back += 1
            return None
        return self._fire(at)

    def active(self) -> ActiveAlert | None:
        """The alert, if it fires now."""
        since, fired_at = self._holds_since, self._fired_at
        if not self._is_firing or since is None or fired_at is None:
            return None
        rule = self.rule
        return ActiveAlert(rule.name, since, self._value, rule.severity, rule.metric, fired_at)

    def _measured(self, reading: float | None, at: float) -> float | None:
        if reading is None or isnan(reading):
            return None
        if self._rate is None:
            return reading
        return self._rate.measure(reading, at) if isfinite(reading) else None

    def _note(self, value: float, at: float) -> None:
        interval = 0.0 if self._value_at is None else at - self._value_at
        silence = max(self.rule.for_seconds, _SILENCE_SECONDS, 2 * self._interval)
        if interval > silence and not self._is_firing:
            self._holds_since = None
        if interval:
            self._interval = interval
        self._value, self._value_at = value, at

    def _is_cooling_down(self, at: float) -> bool:
        return self._fired_at is not None and at - self._fired_at < self.rule.cooldown_seconds

    def _fire(self, at: float) -> AlertEvent:
        self._is_firing = True
        self._fired_at = at
        return self._event("firing", at)

    def _resolve(self, at: float) -> AlertEvent:
        event = self._event("resolved", at)
        self._is_firing = False
        self._holds_since = None
        return event

    def _event(self, state: State, at: float) -> AlertEvent:
        rule, value = self.rule, self._value
        return AlertEvent(
            rule.name,
            state,
            at,
            value,
            severity=rule.severity,
            metric=rule.metric,
            since=self._holds_since,
            reason=in_words(rule, state, value),
        )
