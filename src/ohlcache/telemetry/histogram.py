"""A histogram of durations in fixed buckets, and the quantiles read from it.

Bucket bounds grow by a fixed factor (as in HdrHistogram with a relative error instead of digits),
so a quantile is known to within that factor, whatever the durations are, in constant memory.
"""

from __future__ import annotations

import math
import threading

_SMALLEST = 1e-7  # seconds; what is shorter counts as this
_FACTOR = 2**0.25  # 19% from bound to bound
_BUCKETS = 128  # up to 1e-7 * 2**32 s
_PER_OCTAVE = 4


class Histogram:
    """Durations in seconds: how many, how long together, and quantiles to within 19%."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = [0] * _BUCKETS
        self._sum = 0.0

    def record(self, seconds: float) -> None:
        """Count one duration."""
        if seconds <= _SMALLEST:
            bucket = 0
        else:
            bucket = min(_BUCKETS - 1, int(_PER_OCTAVE * math.log2(seconds / _SMALLEST)) + 1)
        with self._lock:
            self._counts[bucket] += 1
            self._sum += seconds

    def quantile(self, share: float) -> float:
        """The duration in seconds below which ``share`` of all lie; 0.0 when there are none."""
        with self._lock:
            counts = list(self._counts)
        rank = share * sum(counts)
        seen = 0
        for bucket, count in enumerate(counts):
            seen += count
            if count and seen >= rank:
                return float(_SMALLEST * _FACTOR**bucket)
        return 0.0

    def snapshot(self) -> dict[str, float]:
        """count, mean, p50, p99 and p999; durations in seconds."""
        with self._lock:
            count, total = sum(self._counts), self._sum
        return {
            "count": count,
            "mean": total / count if count else 0.0,
            "p50": self.quantile(0.5),
            "p99": self.quantile(0.99),
            "p999": self.quantile(0.999),
        }
