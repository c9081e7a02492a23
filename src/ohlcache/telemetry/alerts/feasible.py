"""Refusing, at start, rules that could never fire or never end."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from ohlcache.errors import InvalidArgument
from ohlcache.telemetry.alerts.rule import Range, Rule

_ANY = Range()
_OF_RATES = Range(low=0.0)  # a counter that starts again counts from 0


def check_feasible(rule: Rule, known: Mapping[str, Range] | None) -> None:
    """Raises InvalidArgument for a rule that could not fire, or not resolve.

    known: the possible values of every metric there is; None: any name is allowed, any value is
    possible.
    """
    if known is not None and rule.metric not in known:
        raise InvalidArgument(
            f"rule {rule.name!r}, metric {rule.metric!r} is not known: {_instead(rule, known)}"
        )
    low, high = _possible(rule, known)
    extreme = high if rule.side == "above" else low
    if not rule.holds(extreme):
        raise InvalidArgument(
            f"rule {rule.name!r}, {rule.side} {rule.threshold:g} can never hold: "
            f"{_measured(rule)} is within {low:g} to {high:g}, give a number that it can pass"
        )
    if not rule.is_clear(low if rule.side == "above" else high):
        raise InvalidArgument(
            f"rule {rule.name!r}, {_clearing(rule)} {rule.clear_at:g} can never be reached, so it "
            f"would never resolve: {_measured(rule)} is within {low:g} to {high:g}, give a number "
            "in there"
        )


def _possible(rule: Rule, known: Mapping[str, Range] | None) -> Range:
    if rule.rate_over_seconds is not None:
        return _OF_RATES
    return _ANY if known is None else known[rule.metric]


def _instead(rule: Rule, known: Mapping[str, Range]) -> str:
    near = get_close_matches(rule.metric, known)
    return f"did you mean {near[0]}?" if near else f"use one of {', '.join(sorted(known))}"


def _measured(rule: Rule) -> str:
    return rule.metric if rule.rate_over_seconds is None else f"the rate of {rule.metric}"


def _clearing(rule: Rule) -> str:
    return rule.side if rule.clear is None else "clear"
