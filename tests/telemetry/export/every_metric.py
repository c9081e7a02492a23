"""Readings in which every metric has two series."""

from __future__ import annotations

from ohlcache.telemetry import Histogram, Readings
from ohlcache.telemetry.vocabulary import METRICS

DURATIONS = (0.00003, 0.0005, 0.0005, 0.02, 3.0)


def every_metric() -> Readings:
    readings = Readings()
    for number, metric in enumerate(METRICS.values(), 1):
        for which in ("l1", "l2"):
            labels = [which if label == "tier" else f"{label} {which}" for label in metric.labels]
            if which == "l2" and not labels:
                continue
            if metric.kind == "histogram":
                readings.add(metric, durations(*DURATIONS), *labels)
            else:
                readings.add(metric, number, *labels)
    return readings


def durations(*seconds: float):
    histogram = Histogram()
    for each in seconds:
        histogram.record(each)
    return histogram.distribution()
