"""The monitor of the process, and what everybody may ask of it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from ohlcache.settings import AlertSettings, TelemetrySettings, as_settings
from ohlcache.telemetry.alerts import Handler, LogHandler, WebhookHandler
from ohlcache.telemetry.default_rules import DEFAULT_RULES
from ohlcache.telemetry.export import as_dict
from ohlcache.telemetry.monitor import Monitor
from ohlcache.telemetry.process import this_process
from ohlcache.telemetry.registry import registry

_lock = threading.RLock()
_monitor: Monitor | None = None


def get_monitor(settings: TelemetrySettings | None = None) -> Monitor:
    """The monitor of this process, built on first use; not started.

    settings: None: those in force, or of the monitor that there is. Given, a monitor that there is
        is stopped, and one by these settings takes its place.

    Raises InvalidArgument for settings that cannot be used: an alert rule on an unknown metric, one
    that can never hold, a webhook without a URL.
    """
    global _monitor  # noqa: PLW0603  # one for the process is what this is about
    with _lock:
        if _monitor is None or settings is not None:
            made = _made(settings or as_settings(None).telemetry)
            if _monitor is not None:
                _monitor.retire()
            _monitor = made
        return _monitor


def _made(settings: TelemetrySettings) -> Monitor:
    return Monitor(
        registry,
        rules=rules_in_force(settings.alerts),
        handlers=[LogHandler(), *_webhooks(settings.alerts)],
        interval_seconds=settings.interval_seconds,
    )


def rules_in_force(settings: AlertSettings) -> list[Mapping[str, Any]]:
    """The default rules and those of settings, which replace defaults of the same name."""
    named = {rule.get("name") for rule in settings.rules}
    defaults = DEFAULT_RULES if settings.defaults else ()
    return [*(rule for rule in defaults if rule["name"] not in named), *settings.rules]


def told_by(monitor: Monitor) -> dict[str, Any]:
    """Everything that a monitor knows now, as plain values that JSON can hold."""
    return {
        "at": time.time(),
        "process": this_process().name,
        "metrics": as_dict(monitor.readings()),
        "indicators": monitor.indicators(),
        "health": monitor.health().as_dict(),
        "alerts": {
            "firing": [asdict(alert) for alert in monitor.active_alerts()],
            "history": [event.as_dict() for event in monitor.alert_history],
        },
    }


def _webhooks(settings: AlertSettings) -> Iterator[Handler]:
    for webhook in settings.webhooks:
        secret = webhook.secret.get_secret_value() if webhook.secret else None
        yield WebhookHandler(webhook.url, secret, timeout_seconds=webhook.timeout_seconds)


def _begin_anew() -> None:
    """A forked child has no monitor yet: the parent's thread is not in it."""
    global _lock, _monitor
    _lock, _monitor = threading.RLock(), None


os.register_at_fork(after_in_child=_begin_anew)
