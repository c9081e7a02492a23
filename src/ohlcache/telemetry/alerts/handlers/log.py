"""Alert events as lines of a log."""

from __future__ import annotations

import logging

from ohlcache.telemetry.alerts.event import AlertEvent

_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "critical": logging.CRITICAL}


class LogHandler:
    """Logs each event on one line: a firing at the level of its severity, a resolution as INFO.

    logger: "ohlcache.alerts" by default.
    """

    name = "log"

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = logger or logging.getLogger("ohlcache.alerts")

    def handle(self, event: AlertEvent) -> None:
        """Log it."""
        level = _LEVELS[event.severity] if event.state == "firing" else logging.INFO
        self._logger.log(level, "%s %s: %s", event.rule, event.state, event.reason)
