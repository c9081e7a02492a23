"""Alerts: rules over metrics, an engine that decides, a dispatcher and handlers that tell it.

Rules and engine do no I/O and know no clock; the dispatcher keeps handlers from each other.
"""

from __future__ import annotations

from ohlcache.telemetry.alerts.dispatch import Dispatcher
from ohlcache.telemetry.alerts.engine import AlertEngine
from ohlcache.telemetry.alerts.event import ActiveAlert, AlertEvent
from ohlcache.telemetry.alerts.handlers import (
    SIGNATURE_HEADER,
    CallableHandler,
    Handler,
    LogHandler,
    WebhookHandler,
    verify_signature,
)
from ohlcache.telemetry.alerts.rule import Range, Rule, rules_of

__all__ = [
    "SIGNATURE_HEADER",
    "ActiveAlert",
    "AlertEngine",
    "AlertEvent",
    "CallableHandler",
    "Dispatcher",
    "Handler",
    "LogHandler",
    "Range",
    "Rule",
    "WebhookHandler",
    "rules_of",
    "verify_signature",
]
