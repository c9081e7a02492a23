"""How durations are distributed, at one moment: an immutable count for each bucket.

Bucket bounds grow by a fixed factor (as in HdrHistogram with a relative error instead of digits),
so a quantile is known to within that factor, whatever the durations are, in constant memory. The
bounds are the same everywhere, so distributions of several processes can be added.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from math import ceil, log2

_SMALLEST = 1e-7  # seconds; what is shorter counts as this
PER_OCTAVE = 4  # 19% from bound to bound
BUCKETS = 128  # up to 1e-7 * 2**32 s


def bucket_of(seconds: float) -> int:
    """The bucket that counts a duration."""
    if seconds <= _SMALLEST:
        return 0
    bucket = ceil(PER_OCTAVE * log2(seconds / _SMALLEST))
    return bucket if bucket < BUCKETS else BUCKETS - 1


def upper_bound(bucket: int) -> float:
    """The longest duration in seconds that a bucket counts."""
    return float(_SMALLEST * 2 ** (bucket / PER_OCTAVE))


class Distribution:
    """Durations in seconds: how many fell into each bucket, and how long all were together."""

    __slots__ = ("_buckets", "_counts", "total")

    def __init__(self, counts: Mapping[int, int], total: float) -> None:
        """counts: by bucket; those of 0 may be absent. total: the sum of all durations."""
        present = sorted(bucket for bucket, count in counts.items() if count)
        self._buckets = bytes(present)
        self._counts = array("Q", [counts[bucket] for bucket in present])
        self.total = total

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Distribution)
            and self._buckets == other._buckets
            and self._counts == other._counts
            and self.total == other.total
        )

    __hash__ = None  # type: ignore[assignment]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Bucket and count of those that counted something, shortest durations first."""
        return zip(self._buckets, self._counts, strict=True)

    @property
    def count(self) -> int:
        """How many durations."""
        return sum(self._counts)

    @property
    def mean(self) -> float:
        """Seconds; 0.0 when there are none."""
        count = self.count
        return self.total / count if count else 0.0

    def quantile(self, share: float) -> float:
        """The duration in seconds below which ``share`` of all lie, to within 19%; 0.0 of none."""
        rank, seen = share * self.count, 0
        for bucket, count in self:
            seen += count
            if seen >= rank:
                return upper_bound(bucket)
        return 0.0

    def plus(self, other: Distribution) -> Distribution:
        """Both together."""
        counts = dict(self)
        for bucket, count in other:
            counts[bucket] = counts.get(bucket, 0) + count
        return Distribution(counts, self.total + other.total)

    def since(self, earlier: Distribution) -> Distribution:
        """What came after ``earlier``; all of it where counting has begun anew since."""
        counts = dict(self)
        for bucket, count in earlier:
            counts[bucket] = counts.get(bucket, 0) - count
            if counts[bucket] < 0:
                return self
        return Distribution(counts, self.total - earlier.total)

    def figures(self) -> dict[str, float]:
        """count, mean, p50, p99 and p999; durations in seconds."""
        return {
            "count": self.count,
            "mean": self.mean,
            "p50": self.quantile(0.5),
            "p99": self.quantile(0.99),
            "p999": self.quantile(0.999),
        }


NO_DURATIONS = Distribution({}, 0.0)
