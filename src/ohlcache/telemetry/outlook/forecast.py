"""A forecast: where a number is going, and when it will be at its limit."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from ohlcache.telemetry.health import Finding

_HOUR = 3600.0
_SOON, _LATER = 30.0, 15.0  # points that a warning costs: within an hour, and beyond that


@dataclass(frozen=True, slots=True)
class Forecast:
    """Where a number is going.

    metric: the name of a metric or an indicator, or ``metric{category="…"}``.
    component: that it concerns, of the health score.
    slope_per_hour, low_per_hour, high_per_hour: by how much it changes in an hour (robust, with
        95% bounds), in its unit.
    significant: whether that is a trend, and news; otherwise nothing is foretold.
    reaches: the limit that matters for it.
    seconds, earliest, latest: from the last measurement until it gets there. None when it is there
        or beyond, will not get there, or so late that what was seen says nothing about it.
    severity: "warning" for what somebody should look at, otherwise "info".
    sentence, remedy: in words, and what to do about it.
    """

    metric: str
    component: str
    slope_per_hour: float
    low_per_hour: float
    high_per_hour: float
    significant: bool
    reaches: float
    seconds: float | None
    earliest: float | None
    latest: float | None
    severity: Literal["info", "warning"]
    sentence: str
    remedy: str

    def finding(self) -> Finding | None:
        """What it takes off the health score: a warning does, the sooner the more."""
        if self.severity != "warning" or self.seconds is None:
            return None
        points = _SOON if self.seconds <= _HOUR else _LATER
        return Finding(self.component, points, self.sentence, self.remedy)

    def as_dict(self) -> dict[str, Any]:
        """Of plain types, for JSON."""
        return asdict(self)
