"""Handing alert events to handlers, each by itself: one that hangs or fails harms no other."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from ohlcache.closing import Closing
from ohlcache.errors import InvalidArgument
from ohlcache.telemetry.alerts.event import AlertEvent
from ohlcache.telemetry.alerts.handlers import Handler
from ohlcache.telemetry.alerts.outbox import Outbox


class Dispatcher(Closing):
    """Gives every event to every handler, in order, on a thread of each handler.

        with Dispatcher([LogHandler(), WebhookHandler(url, secret)]) as dispatcher:
            dispatcher.dispatch(engine.observe(metrics, at=now))

    handlers: whatever has a ``name`` and a ``handle(event)`` that raises where it fails.
    capacity: so many events may wait for one handler; beyond that the oldest is dropped.

    Raises InvalidArgument. Threads do not survive a fork: a child process makes its own Dispatcher.
    """

    def __init__(self, handlers: Iterable[Handler], *, capacity: int = 100) -> None:
        if isinstance(capacity, bool) or not isinstance(capacity, int) or capacity < 1:
            raise InvalidArgument(f"capacity {capacity!r} is not a count: give 1 or more")
        checked = list(handlers)
        for handler in checked:
            if not isinstance(handler, Handler):
                raise InvalidArgument(
                    f"handlers holds {handler!r}, which has no name and handle: wrap a function in "
                    "a CallableHandler"
                )
        self._outboxes: dict[str, Outbox] = {}
        for handler in checked:
            name = self._free_name(handler.name)
            self._outboxes[name] = Outbox(handler, name, capacity)

    def dispatch(self, events: Iterable[AlertEvent]) -> None:
        """Queue events for all handlers. Returns at once, whatever the handlers do."""
        for event in events:
            for outbox in self._outboxes.values():
                outbox.put(event)

    def stats(self) -> dict[str, dict[str, Any]]:
        """By handler: delivered, failed, dropped, waiting, busy_seconds (how long it has been at
        the present event; 0.0 when idle) and last_failure (one line, or None).
        """
        return {name: outbox.stats() for name, outbox in self._outboxes.items()}

    def close(self, timeout: float = 5.0) -> None:
        """Take no more events, let the handlers finish, at most so many seconds together.

        What then still waits is dropped and counted; a handler that hangs is left to itself on its
        daemon thread, which ends with the event that it is at.
        """
        deadline = time.monotonic() + timeout
        for outbox in self._outboxes.values():
            outbox.begin_to_close()
        for outbox in self._outboxes.values():
            outbox.finish_closing(max(0.0, deadline - time.monotonic()))

    def _free_name(self, name: str) -> str:
        """The name, numbered where another handler has it already (two webhooks of one host)."""
        free, number = name, 1
        while free in self._outboxes:
            number += 1
            free = f"{name} {number}"
        return free
