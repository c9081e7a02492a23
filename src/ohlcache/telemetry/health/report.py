"""The health report: what was lost, why, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from ohlcache.telemetry.health.components import STAKES
from ohlcache.telemetry.health.points import WHOLE, apportioned, points, tenths

Rating = Literal["Excellent", "Good", "Warning", "Critical"]

_RATINGS: tuple[tuple[float, Rating], ...] = (
    (90.0, "Excellent"),
    (75.0, "Good"),
    (50.0, "Warning"),
)


class Reason(NamedTuple):
    """Why points were lost. points: of the component, a multiple of 0.1 and more than 0."""

    points: float
    message: str
    remedy: str


class ComponentHealth(NamedTuple):
    """score: 0 to 100. reasons: most points first; their points add up to 100 - score."""

    score: float
    reasons: list[Reason]


@dataclass(frozen=True, slots=True)
class HealthReport:
    """How well the data layer is.

    score: 0 (dead) to 100 (nothing to complain of), a multiple of 0.1.
    rating: of the score: "Excellent" from 90, "Good" from 75, "Warning" from 50, or "Critical".
    components: those that something is known of, by name.
    """

    score: float
    rating: Rating
    components: dict[str, ComponentHealth]

    @staticmethod
    def of(components: Mapping[str, ComponentHealth]) -> HealthReport:
        """The report on these components; of none there is nothing to complain."""
        left = 1.0
        for name, stake in STAKES.items():  # in one order, so that rounding is the same for all
            if name in components:
                left *= 1 - stake * (100 - components[name].score) / 100
        score = points(round(WHOLE * left))
        return HealthReport(score, rating(score), dict(components))

    @property
    def costs(self) -> dict[str, float]:
        """The points of the whole that each component costs; they add up to 100 - score."""
        shares = [STAKES[name] * (100 - health.score) for name, health in self.components.items()]
        parts = apportioned(WHOLE - tenths(self.score), shares)
        return dict(zip(self.components, map(points, parts), strict=True))

    def as_dict(self) -> dict[str, Any]:
        """Of plain types, for JSON."""
        costs = self.costs
        return {
            "score": self.score,
            "rating": self.rating,
            "components": {
                name: {
                    "score": health.score,
                    "costs": costs[name],
                    "reasons": [reason._asdict() for reason in health.reasons],
                }
                for name, health in self.components.items()
            },
        }

    def __str__(self) -> str:
        lines = [f"health {self.score:g} of 100, {self.rating}"]
        if not self.components:
            lines.append("  nothing to judge by yet")
        costs = self.costs
        for name in sorted(self.components, key=costs.__getitem__, reverse=True):
            health = self.components[name]
            costing = f", costs {costs[name]:g}" if costs[name] else ""
            lines.append(f"  {name} {health.score:g}{costing}")
            for reason in health.reasons:
                lines.append(f"    -{reason.points:g}: {reason.message}")
                lines.append(f"      {reason.remedy}")
        return "\n".join(lines)


def rating(score: float) -> Rating:
    """The word for a score."""
    return next((word for least, word in _RATINGS if score >= least), "Critical")
