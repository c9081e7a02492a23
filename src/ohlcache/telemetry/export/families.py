"""Readings by metric, as all exporters need them."""

from __future__ import annotations

from ohlcache.telemetry.metric import Metric, Value
from ohlcache.telemetry.registry import Labels, Readings
from ohlcache.telemetry.vocabulary import METRICS

Series = list[tuple[Labels, Value]]


def families(readings: Readings) -> dict[Metric, Series]:
    """The series of each metric that has some, in the order of the vocabulary.

    Only metrics of the vocabulary are exported: there no name occurs twice.
    """
    found: dict[Metric, Series] = {metric: [] for metric in METRICS.values()}
    for (metric, labels), value in readings.values.items():
        if metric in found:
            found[metric].append((labels, value))
    return {metric: series for metric, series in found.items() if series}
