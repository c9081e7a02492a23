"""The health score: what every indicator and finding takes off, put together.

A component's score is 100 less what is taken off, not below 0. The whole is 100 times the product
of what each component leaves over, 1 - stake * lost / 100: it falls with every component, a single
dead one shows, and one without loss changes nothing, as if it were not there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from math import isfinite
from numbers import Real
from typing import Any, NamedTuple

from ohlcache.errors import InvalidArgument
from ohlcache.telemetry.health.components import STAKES
from ohlcache.telemetry.health.deductions import DEDUCTIONS
from ohlcache.telemetry.health.finding import Finding
from ohlcache.telemetry.health.points import WHOLE, apportioned, points, tenths
from ohlcache.telemetry.health.report import ComponentHealth, HealthReport, Reason
from ohlcache.telemetry.indicators import INDICATORS

_OUTAGE = "_breaker_open"


class _Loss(NamedTuple):
    tenths: int
    message: str
    remedy: str


def assess(indicators: Mapping[str, float], findings: Iterable[Finding] = ()) -> HealthReport:
    """The health that follows from indicators, by name, and from what was found besides.

    What is not given costs nothing; a component of which nothing is given is not in the report.

    InvalidArgument for an indicator that is not known, and for a value that is NaN, infinite or
    negative.
    """
    for name, value in indicators.items():
        _check(name, value)
    losses: defaultdict[str, list[_Loss]] = defaultdict(list)
    outages: dict[str, _Loss] = {}
    for deduction in DEDUCTIONS:
        if deduction.indicator in indicators:
            value = indicators[deduction.indicator]
            loss = _Loss(deduction.lost(value), deduction.said(value), deduction.remedy)
            losses[deduction.component].append(loss)
            if deduction.indicator.endswith(_OUTAGE):
                outages[deduction.component] = loss
    for component, outage in outages.items():
        # Its slow reads and its misses follow from the outage, and their remedies lead astray.
        others = [loss for loss in losses[component] if loss is not outage]
        is_worse = outage.tenths >= sum(loss.tenths for loss in others)
        losses[component] = [outage] if is_worse else others
    for finding in findings:
        loss = _Loss(max(1, tenths(finding.points)), finding.message, finding.remedy)
        losses[finding.component].append(loss)
    return HealthReport.of({name: _component(losses[name]) for name in STAKES if name in losses})


def _component(losses: list[_Loss]) -> ComponentHealth:
    """Where more than everything would be lost, each reason is cut by the same factor."""
    lost = min(WHOLE, sum(loss.tenths for loss in losses))
    parts = apportioned(lost, [loss.tenths for loss in losses])
    reasons = [
        Reason(points(part), loss.message, loss.remedy)
        for part, loss in zip(parts, losses, strict=True)
        if part
    ]
    reasons.sort(key=lambda reason: reason.points, reverse=True)
    return ComponentHealth(points(WHOLE - lost), reasons)


def _check(name: str, value: Any) -> None:
    if name not in INDICATORS:
        raise InvalidArgument(
            f"indicator {name!r} is not known: use one of {', '.join(INDICATORS)}"
        )
    if not isinstance(value, Real) or not isfinite(value) or value < 0:
        raise InvalidArgument(
            f"indicator {name} {value!r} cannot be judged: give a finite number from 0 on, or "
            "leave it out"
        )
