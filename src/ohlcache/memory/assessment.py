"""What the samples say about where the memory is going."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ohlcache.memory.health import Growth, stability_of
from ohlcache.memory.leaks import LeakAssessment, assess_leak
from ohlcache.memory.samples import Sample, Samples

if TYPE_CHECKING:
    from ohlcache.telemetry.trends import Trend

_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Assessment:
    """trend: of RSS, in bytes per second. leak: of what no part accounts for.

    recent: the samples of the newest hour or so.
    """

    trend: Trend
    leak: LeakAssessment
    recent: list[Sample]

    @staticmethod
    def of(samples: Samples) -> Assessment:
        """What at least one sample says."""
        from ohlcache.telemetry.trends import trend

        kept = samples.all()
        times = [sample.at for sample in kept]
        sizes = [float(sample.rss) for sample in kept]
        held = [float(sample.held) for sample in kept]
        leak = assess_leak(times, sizes, held_bytes=held)
        return Assessment(trend(times, sizes), leak, samples.recent())

    def stability(self, limit: int) -> float:
        """0…1, see `health`."""
        return stability_of(self.recent, limit)

    def growth(self, limit: int) -> Growth:
        """Growth as far as it is a trend."""
        if not self.trend.significant:
            return Growth(0.0, None)
        per_hour = self.trend.slope * _HOUR
        return Growth(per_hour, self.trend.time_to(limit) if per_hour > 0 else None)
