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
    from ohlcache.telemetry.alerts import (
        ActiveAlert,
        AlertEngine,
        AlertEvent,
        CallableHandler,
        LogHandler,
        WebhookHandler,
        verify_signature,
    )
    from ohlcache.telemetry.export import (
        collector,
        csv_text,
        grafana_dashboard,
        instrument,
        prometheus_rules,
        prometheus_text,
    )
    from ohlcache.telemetry.fleet import FleetView
    from ohlcache.telemetry.health import Finding, HealthReport, Reason, assess
    from ohlcache.telemetry.monitor import Monitor
    from ohlcache.telemetry.process_monitor import snapshot
    from ohlcache.telemetry.trends import Trend, trend

_HOMES = {
    "ActiveAlert": "alerts",
    "AlertEngine": "alerts",
    "AlertEvent": "alerts",
    "CallableHandler": "alerts",
    "Finding": "health",
    "FleetView": "fleet",
    "HealthReport": "health",
    "LogHandler": "alerts",
    "Monitor": "monitor",
    "Reason": "health",
    "Trend": "trends",
    "WebhookHandler": "alerts",
    "assess": "health",
    "collector": "export",
    "csv_text": "export",
    "grafana_dashboard": "export",
    "instrument": "export",
    "prometheus_rules": "export",
    "prometheus_text": "export",
    "snapshot": "process_monitor",
    "trend": "trends",
    "verify_signature": "alerts",
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
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
