"""Metrics in the text format of Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ohlcache.telemetry.registry import Readings, registry

if TYPE_CHECKING:
    from ohlcache.telemetry.export.prometheus_collector import MetricsCollector


def prometheus_text(readings: Readings | None = None) -> str:
    """Metrics in Prometheus' text format 0.0.4: those of this process now, or ``readings``.

    Counters end in ``_total``; histograms have ``_bucket``, ``_sum`` and ``_count``, in seconds.
    """
    from prometheus_client import CollectorRegistry, generate_latest

    from ohlcache.telemetry.export.prometheus_collector import MetricsCollector

    ours = CollectorRegistry()
    ours.register(MetricsCollector(registry.collect if readings is None else lambda: readings))
    return generate_latest(ours).decode()


def collector() -> MetricsCollector:
    """The metrics of this process, for a registry of prometheus-client that is there already.

    ``prometheus_client.REGISTRY.register(ohlcache.telemetry.collector())``
    """
    from ohlcache.telemetry.export.prometheus_collector import MetricsCollector

    return MetricsCollector(registry.collect)
