"""Ways to make one number of metrics over a recent time, here and in Prometheus.

Each way is written once for both, so that what is judged in the process and what a Prometheus
server alerts on are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ohlcache.telemetry.metric import Metric
from ohlcache.telemetry.windows import Selection, Windows


class Measure(Protocol):
    """One number of recent readings."""

    def value(self, windows: Windows, seconds: float) -> float | None:
        """The number over the last seconds; None where there is too little to tell."""

    def promql(self, seconds: int) -> str:
        """The same as an expression for Prometheus."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What it is made of."""


@dataclass(frozen=True, slots=True)
class RatioOfCounts:
    """What share ``part`` has of ``whole``, by the increase of both.

    least: of fewer than so many a share says nothing.
    """

    part: tuple[Selection, ...]
    whole: tuple[Selection, ...]
    least: int

    def value(self, windows: Windows, seconds: float) -> float | None:
        """Between 0 and 1."""
        whole = _sum(windows, self.whole, seconds)
        if whole < max(1, self.least):
            return None
        return min(1.0, _sum(windows, self.part, seconds) / whole)

    def promql(self, seconds: int) -> str:
        """The share where the whole is large enough, otherwise nothing."""
        part, whole = _increases(self.part, seconds), _increases(self.whole, seconds)
        return f"({part}) / (({whole}) >= {max(1, self.least)})"

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """All counters."""
        return tuple(selection.metric for selection in (*self.part, *self.whole))


@dataclass(frozen=True, slots=True)
class Quantile:
    """The duration in seconds below which ``share`` of all lie, of at least ``least``."""

    selection: Selection
    share: float
    least: int

    def value(self, windows: Windows, seconds: float) -> float | None:
        """Seconds."""
        durations = windows.distribution(self.selection, seconds)
        return durations.quantile(self.share) if durations.count >= max(1, self.least) else None

    def promql(self, seconds: int) -> str:
        """By the buckets, where there are enough durations."""
        buckets = f"rate({selector(self.selection, '_bucket')}[{seconds}s])"
        count = f"sum(increase({selector(self.selection, '_count')}[{seconds}s]))"
        quantile = f"histogram_quantile({self.share}, sum by (le) ({buckets}))"
        return f"{quantile} and on() ({count} >= {max(1, self.least)})"

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The histogram."""
        return (self.selection.metric,)


@dataclass(frozen=True, slots=True)
class Level:
    """A gauge as it is."""

    selection: Selection

    def value(self, windows: Windows, seconds: float) -> float | None:  # noqa: ARG002
        """In the gauge's unit."""
        return windows.level(self.selection)

    def promql(self, seconds: int) -> str:  # noqa: ARG002
        """The series put together as the metric says."""
        return f"{self.selection.metric.across}({selector(self.selection)})"

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The gauge."""
        return (self.selection.metric,)


@dataclass(frozen=True, slots=True)
class Rate:
    """By how much counters grow per second."""

    selections: tuple[Selection, ...]

    def value(self, windows: Windows, seconds: float) -> float | None:
        """Per second; None before there were two readings."""
        if not any(windows.series(selection) for selection in self.selections):
            return None
        return sum(windows.rate(selection, seconds) for selection in self.selections)

    def promql(self, seconds: int) -> str:
        """The sum of the rates."""
        return " + ".join(
            f"(sum(rate({selector(selection, _SUFFIX)}[{seconds}s])) or vector(0))"
            for selection in self.selections
        )

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """All counters."""
        return tuple(selection.metric for selection in self.selections)


_SUFFIX = "_total"  # of counters in Prometheus


def _sum(windows: Windows, selections: tuple[Selection, ...], seconds: float) -> float:
    return sum(windows.increase(selection, seconds) for selection in selections)


def _increases(selections: tuple[Selection, ...], seconds: int) -> str:
    return " + ".join(
        f"(sum(increase({selector(selection, _SUFFIX)}[{seconds}s])) or vector(0))"
        for selection in selections
    )


def selector(selection: Selection, suffix: str = "") -> str:
    """The series in PromQL; suffix: what Prometheus calls a part of the metric by."""
    labels = ",".join(f'{name}="{value}"' for name, value in selection.labels)
    return f"{selection.metric.name}{suffix}" + (f"{{{labels}}}" if labels else "")
