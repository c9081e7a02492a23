"""The metrics of this process for a registry of prometheus-client; imported when used.

Histograms have a bucket for each octave, from 100 ns to 215 s: their bounds are bounds of ours, so
that no count is guessed, and they are the same for all processes and versions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

from ohlcache.telemetry.distribution import BUCKETS, PER_OCTAVE, Distribution, upper_bound
from ohlcache.telemetry.export.families import Series, families
from ohlcache.telemetry.metric import Metric
from ohlcache.telemetry.registry import Readings
from ohlcache.telemetry.vocabulary import METRICS

_Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily

# The last bucket counts whatever is longer, so its octave has no bound but infinity. Doubling is
# exact, and gives numbers that look like what they are: 1e-07, 2e-07, 4e-07.
_OCTAVES = [
    (bucket, repr(upper_bound(0) * 2.0 ** (bucket // PER_OCTAVE)))
    for bucket in range(0, BUCKETS - 1, PER_OCTAVE)
]


class MetricsCollector(Collector):
    """Collects whenever the registry that it is registered with is asked."""

    def __init__(self, collect: Callable[[], Readings]) -> None:
        self._collect = collect

    def describe(self) -> Iterator[_Family]:
        """The names of all metrics, so that others cannot take them; nothing is collected."""
        return (_family(metric) for metric in METRICS.values())

    def collect(self) -> Iterator[_Family]:
        """All metrics that there is something of."""
        return (_filled(metric, series) for metric, series in families(self._collect()).items())


def _family(metric: Metric) -> _Family:
    if metric.kind == "counter":
        return CounterMetricFamily(metric.name, metric.help, labels=metric.labels, unit=metric.unit)
    if metric.kind == "gauge":
        return GaugeMetricFamily(metric.name, metric.help, labels=metric.labels, unit=metric.unit)
    return HistogramMetricFamily(metric.name, metric.help, labels=metric.labels, unit=metric.unit)


def _filled(metric: Metric, series: Series) -> _Family:
    family = _family(metric)
    for labels, value in series:
        if isinstance(family, HistogramMetricFamily):
            assert isinstance(value, Distribution)
            family.add_metric(labels, _cumulative(value), value.total)
        else:
            assert isinstance(value, int | float)
            family.add_metric(labels, value)
    return family


def _cumulative(durations: Distribution) -> list[tuple[str, float]]:
    """How many durations are not longer than each bound."""
    counts, seen, bucket = dict(durations), 0, 0
    cumulative: list[tuple[str, float]] = []
    for last, bound in _OCTAVES:
        seen += sum(counts.get(each, 0) for each in range(bucket, last + 1))
        bucket = last + 1
        cumulative.append((bound, seen))
    cumulative.append(("+Inf", durations.count))
    return cumulative
