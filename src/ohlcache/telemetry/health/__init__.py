"""Is the data layer well, why not, and what to do? The formula is explained in docs/health.md."""

from __future__ import annotations

from ohlcache.telemetry.health.assessment import assess
from ohlcache.telemetry.health.finding import Finding
from ohlcache.telemetry.health.report import ComponentHealth, HealthReport, Reason

__all__ = ["ComponentHealth", "Finding", "HealthReport", "Reason", "assess"]
