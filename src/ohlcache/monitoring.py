"""What watches over the process, wired together: monitor, memory manager and the other processes.

Nothing of it runs unless it is started; ``health`` can be asked all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ohlcache.cache.process import shared_board
from ohlcache.memory import get_memory_manager
from ohlcache.settings import Settings, as_settings
from ohlcache.telemetry import export, process_monitor
from ohlcache.telemetry.fleet import Fleet
from ohlcache.telemetry.health import HealthReport
from ohlcache.telemetry.monitor import Monitor
from ohlcache.telemetry.registry import Readings, registry

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider

    from ohlcache.telemetry.export.prometheus_collector import MetricsCollector

Configuration = Settings | Mapping[str, Any] | str | Path | None


def get_monitor(settings: Configuration = None) -> Monitor:
    """What looks at all metrics of this process, one object per process; see ``start_monitoring``.

    settings: None: those in force, or of the monitor that there is.

    Without being started it takes a look whenever it is asked something. Raises InvalidArgument
    for settings that cannot be used.
    """
    tree = as_settings(settings)
    monitor = process_monitor.get_monitor(None if settings is None else tree.telemetry)
    if monitor.fleet is None:
        monitor.findings = get_memory_manager().findings
        seconds = tree.telemetry.share_seconds
        if seconds is not None:
            monitor.fleet = Fleet(shared_board, errors=registry.errors, interval_seconds=seconds)
    return monitor


def start_monitoring(settings: Configuration = None) -> Monitor:
    """Look at the metrics of this process regularly, and keep its memory below its limit.

    From then on alert rules are observed and their handlers told, what this process reports is
    shared with the others, and the memory manager runs. ``get_monitor`` gives what this gives.

    settings: a Settings, a dict or the path of a YAML file; None: those in force.

    Raises InvalidArgument for settings that cannot be used; then nothing was started.
    """
    monitor = get_monitor(settings)
    manager = get_memory_manager()
    tree = as_settings(settings)
    if settings is not None and "memory" in tree.model_fields_set:
        manager.configure(tree.memory)
    manager.start()
    return monitor.start()


def stop_monitoring() -> None:
    """End what ``start_monitoring`` began. What was counted stays."""
    get_monitor().stop()
    get_memory_manager().stop()


def health() -> HealthReport:
    """How well the data layer of this process is: a score of 0 to 100, and why it is not better.

    HealthReport(score, rating, components): components by name, each (score, reasons), each reason
    (points lost, message, remedy). The formula is in docs/health.md. Judged is the last minute, or
    the time since the start where nothing was asked before.
    """
    return get_monitor().health()


def snapshot() -> dict[str, Any]:
    """Everything that is known of this process now, as plain values that JSON can hold.

    ``at`` (seconds since the epoch), ``process``, ``metrics`` by name with their series,
    ``indicators`` of the last minute, ``health``, ``alerts`` that fire and the history of alerts.
    """
    return process_monitor.told_by(get_monitor())


def prometheus_text(readings: Readings | None = None) -> str:
    """Metrics in Prometheus' text format 0.0.4: those of this process now, or ``readings``.

    Counters end in ``_total``; histograms have ``_bucket``, ``_sum`` and ``_count``, in seconds.
    """
    return export.prometheus_text(readings or get_monitor().readings())


def csv_text(readings: Readings | None = None) -> str:
    """Metrics as CSV: metric, labels (``a=b;c=d``), field, value; one number a row.

    Those of this process now, or ``readings``.
    """
    return export.csv_text(readings or get_monitor().readings())


def collector() -> MetricsCollector:
    """The metrics of this process, for a registry of prometheus-client that is there already.

    ``prometheus_client.REGISTRY.register(ohlcache.telemetry.collector())``
    """
    get_monitor()
    return export.collector()


def instrument(meter_provider: MeterProvider | None = None) -> export.Instrumentation:
    """Give the metrics of this process to OpenTelemetry, until the result is closed.

    meter_provider: the global one if None. Call it once for each provider.
    """
    get_monitor()
    return export.instrument(meter_provider)
