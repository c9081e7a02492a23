"""What watches over the process, wired together: monitor, memory manager and the other processes.

Nothing of it runs unless it is started; ``health`` can be asked all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ohlcache.cache.process import shared_board
from ohlcache.memory import get_memory_manager
from ohlcache.settings import Settings, as_settings
from ohlcache.telemetry import process_monitor
from ohlcache.telemetry.fleet import Fleet
from ohlcache.telemetry.health import HealthReport
from ohlcache.telemetry.monitor import Monitor
from ohlcache.telemetry.registry import registry

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
    if settings is not None:
        manager.configure(as_settings(settings).memory)
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
