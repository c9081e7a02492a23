"""A histogram of durations in fixed buckets, and the quantiles read from it.

Bucket bounds grow by a fixed factor (as in HdrHistogram with a relative error instead of digits),
so a quantile is known to within that factor, whatever the durations are, in constant memory.
"""

from __future__ import annotations

from math import log2

from ohlcache.telemetry.per_thread import PerThread

_SMALLEST = 1e-7  # seconds; what is shorter counts as this
_PER_OCTAVE = 4
_FACTOR = 2 ** (1 / _PER_OCTAVE)  # 19% from bound to bound
_BUCKETS = 128  # up to 1e-7 * 2**32 s
_SUM = _BUCKETS  # behind the buckets


class Histogram:
    """Durations in seconds: how many, how long together, and quantiles to within 19%."""

    def __init__(self) -> None:
        self._parts = PerThread(_nothing, _add)

    def record(self, seconds: float) -> None:
        """Count one duration. Takes no lock."""
        part = self._parts.own
        bucket = 0 if seconds <= _SMALLEST else int(_PER_OCTAVE * log2(seconds / _SMALLEST)) + 1
        part[bucket if bucket < _BUCKETS else _BUCKETS - 1] += 1
        part[_SUM] += seconds

    def quantile(self, share: float) -> float:
        """The duration in seconds below which ``share`` of all lie; 0.0 when there are none."""
        return _quantile(self._parts.total(), share)

    def snapshot(self) -> dict[str, float]:
        """count, mean, p50, p99 and p999; durations in seconds."""
        parts = self._parts.total()
        count = int(sum(parts[:_BUCKETS]))
        return {
            "count": count,
            "mean": parts[_SUM] / count if count else 0.0,
            "p50": _quantile(parts, 0.5),
            "p99": _quantile(parts, 0.99),
            "p999": _quantile(parts, 0.999),
        }


def _nothing() -> list[float]:
    return [0.0] * (_BUCKETS + 1)


def _add(part: list[float], total: list[float]) -> None:
    for position, number in enumerate(part):
        total[position] += number


def _quantile(parts: list[float], share: float) -> float:
    rank = share * sum(parts[:_BUCKETS])
    seen = 0.0
    for bucket, count in enumerate(parts[:_BUCKETS]):
        seen += count
        if count and seen >= rank:
            return float(_SMALLEST * _FACTOR**bucket)
    return 0.0
