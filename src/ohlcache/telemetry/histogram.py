"""Durations counted as they happen."""

from __future__ import annotations

from ohlcache.telemetry.distribution import BUCKETS, Distribution, bucket_of
from ohlcache.telemetry.per_thread import PerThread

_SUM = BUCKETS  # behind the buckets


class Histogram:
    """Durations in seconds: how many, how long together, and quantiles to within 19%."""

    def __init__(self) -> None:
        self._parts = PerThread(_nothing, _add)

    def record(self, seconds: float) -> None:
        """Count one duration. Takes no lock."""
        try:
            part: list[float] = self._parts.local.part
        except AttributeError:  # the first of this thread
            part = self._parts.own
        part[bucket_of(seconds)] += 1
        part[_SUM] += seconds

    def distribution(self) -> Distribution:
        """All that was counted until now."""
        parts = self._parts.total()
        counts = {bucket: int(count) for bucket, count in enumerate(parts[:BUCKETS]) if count}
        return Distribution(counts, parts[_SUM])

    def quantile(self, share: float) -> float:
        """The duration in seconds below which ``share`` of all lie; 0.0 when there are none."""
        return self.distribution().quantile(share)

    def snapshot(self) -> dict[str, float]:
        """count, mean, p50, p99 and p999; durations in seconds."""
        return self.distribution().figures()


def _nothing() -> list[float]:
    return [0.0] * (BUCKETS + 1)


def _add(part: list[float], total: list[float]) -> None:
    for position, number in enumerate(part):
        if number:
            total[position] += number
