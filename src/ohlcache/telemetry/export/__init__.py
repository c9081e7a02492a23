"""Metrics for other programs: Prometheus, OpenTelemetry, Grafana, JSON and CSV."""

from __future__ import annotations

from ohlcache.telemetry.export.grafana import grafana_dashboard
from ohlcache.telemetry.export.opentelemetry import Instrumentation, instrument
from ohlcache.telemetry.export.prometheus import collector, prometheus_text
from ohlcache.telemetry.export.prometheus_alerts import prometheus_rules, rule_groups
from ohlcache.telemetry.export.tables import as_dict, csv_text, from_dict

__all__ = [
    "Instrumentation",
    "as_dict",
    "collector",
    "csv_text",
    "from_dict",
    "grafana_dashboard",
    "instrument",
    "prometheus_rules",
    "prometheus_text",
    "rule_groups",
]
