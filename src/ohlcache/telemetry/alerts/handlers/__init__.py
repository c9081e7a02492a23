"""What is done with alert events: logged, given to a function, posted to a web address."""

from __future__ import annotations

from ohlcache.telemetry.alerts.handlers.callables import CallableHandler
from ohlcache.telemetry.alerts.handlers.handler import Handler
from ohlcache.telemetry.alerts.handlers.log import LogHandler
from ohlcache.telemetry.alerts.handlers.signature import SIGNATURE_HEADER, verify_signature
from ohlcache.telemetry.alerts.handlers.webhook import WebhookHandler

__all__ = [
    "SIGNATURE_HEADER",
    "CallableHandler",
    "Handler",
    "LogHandler",
    "WebhookHandler",
    "verify_signature",
]
