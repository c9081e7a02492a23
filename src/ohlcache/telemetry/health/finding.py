"""What is no indicator but judged: a suspicion, a forecast."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from ohlcache.errors import InvalidArgument
from ohlcache.telemetry.health.components import STAKES

MOST_POINTS = 50.0  # a suspicion alone does not declare a component dead


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that costs a component points.

    component: one of those that the health score knows. points: more than 0 and at most 50.
    message, remedy: what was found, and what to do about it.

    InvalidArgument when the component is not known or the points are out of bounds.
    """

    component: str
    points: float
    message: str
    remedy: str

    def __post_init__(self) -> None:
        if self.component not in STAKES:
            raise InvalidArgument(
                f"component {self.component!r} is not known: use one of {', '.join(STAKES)}"
            )
        if not (isfinite(self.points) and 0 < self.points <= MOST_POINTS):
            raise InvalidArgument(
                f"points {self.points!r} of a finding are out of bounds: "
                f"give more than 0 and at most {MOST_POINTS:g}"
            )
