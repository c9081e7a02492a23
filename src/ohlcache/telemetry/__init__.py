"""What happened, as numbers, and what they mean. This room knows no other: the others report to it.

Rooms count with ``Counters`` and ``Histogram`` and register what reports them; who watches asks for
``snapshot``, ``prometheus_text``, alerts, health and trends. Names are resolved on first use, so
that counting costs no import of what judges.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ohlcache.telemetry.counters import Counters
from ohlcache.telemetry.histogram import Histogram
from ohlcache.telemetry.registry import Readings, registry

if TYPE_CHECKING:
    from ohlcache.monitoring import collector, csv_text, instrument, prometheus_text, snapshot
    from ohlcache.telemetry.alerts import (
        ActiveAlert,
        AlertEngine,
        AlertEvent,
        CallableHandler,
        LogHandler,
        WebhookHandler,
        verify_signature,
    )
    from ohlcache.telemetry.export import grafana_dashboard, prometheus_rules
    from ohlcache.telemetry.fleet import FleetView
    from ohlcache.telemetry.health import Finding, HealthReport, Reason, assess
    from ohlcache.telemetry.monitor import Monitor
    from ohlcache.telemetry.trends import Trend, trend

# Those of ohlcache.monitoring tell of the whole process, which is wired together there.
_HOMES = {
    "ActiveAlert": "ohlcache.telemetry.alerts",
    "AlertEngine": "ohlcache.telemetry.alerts",
    "AlertEvent": "ohlcache.telemetry.alerts",
    "CallableHandler": "ohlcache.telemetry.alerts",
    "Finding": "ohlcache.telemetry.health",
    "FleetView": "ohlcache.telemetry.fleet",
    "HealthReport": "ohlcache.telemetry.health",
    "LogHandler": "ohlcache.telemetry.alerts",
    "Monitor": "ohlcache.telemetry.monitor",
    "Reason": "ohlcache.telemetry.health",
    "Trend": "ohlcache.telemetry.trends",
    "WebhookHandler": "ohlcache.telemetry.alerts",
    "assess": "ohlcache.telemetry.health",
    "collector": "ohlcache.monitoring",
    "csv_text": "ohlcache.monitoring",
    "grafana_dashboard": "ohlcache.telemetry.export",
    "instrument": "ohlcache.monitoring",
    "prometheus_rules": "ohlcache.telemetry.export",
    "prometheus_text": "ohlcache.monitoring",
    "snapshot": "ohlcache.monitoring",
    "trend": "ohlcache.telemetry.trends",
    "verify_signature": "ohlcache.telemetry.alerts",
}

__all__ = [  # those of _HOMES resolve through __getattr__
    "ActiveAlert",
    "AlertEngine",
    "AlertEvent",
    "CallableHandler",
    "Counters",
    "Finding",
    "FleetView",
    "HealthReport",
    "Histogram",
    "LogHandler",
    "Monitor",
    "Readings",
    "Reason",
    "Trend",
    "WebhookHandler",
    "assess",
    "collector",
    "csv_text",
    "grafana_dashboard",
    "instrument",
    "prometheus_rules",
    "prometheus_text",
    "registry",
    "snapshot",
    "trend",
    "verify_signature",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
