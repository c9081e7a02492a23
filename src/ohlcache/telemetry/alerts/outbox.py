"""What one handler has still to handle, and the thread that does it."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections import deque
from typing import Any

from ohlcache.telemetry.alerts.event import AlertEvent
from ohlcache.telemetry.alerts.handlers import Handler

_log = logging.getLogger("ohlcache.alerts")
_LONGEST_FAILURE = 300  # characters


class Outbox:
    """A bounded queue of events and the daemon thread that hands them to one handler.

    A full queue drops its oldest event: the newest says how things are.
    """

    def __init__(self, handler: Handler, name: str, capacity: int) -> None:
        self._handler = handler
        self._capacity = capacity
        self._changed = threading.Condition()
        self._waiting: deque[AlertEvent] = deque()
        self._is_closed = False
        self._begun: float | None = None  # with the event that is being handled
        self._delivered = self._failed = self._dropped = 0
        self._is_failing = False
        self._last_failure: str | None = None
        self._thread = threading.Thread(target=self._work, name=f"ohlcache-{name}", daemon=True)
        self._thread.start()

    def put(self, event: AlertEvent) -> None:
        """Queue an event; never waits for the handler."""
        with self._changed:
            if self._is_closed:
                self._dropped += 1
                return
            if len(self._waiting) == self._capacity:
                self._waiting.popleft()
                self._dropped += 1
            self._waiting.append(event)
            self._changed.notify()

    def begin_to_close(self) -> None:
        """Take no more events; the thread ends with the last that waits."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    def finish_closing(self, seconds: float) -> None:
        """Wait so long for the thread; what then still waits is dropped."""
        if self._thread is not threading.current_thread():
            self._thread.join(seconds)
        with self._changed:
            self._dropped += len(self._waiting)
            self._waiting.clear()

    def stats(self) -> dict[str, Any]:
        """delivered, failed, dropped, waiting, busy_seconds with one event, last_failure."""
        with self._changed:
            return {
                "delivered": self._delivered,
                "failed": self._failed,
                "dropped": self._dropped,
                "waiting": len(self._waiting),
                "busy_seconds": 0.0 if self._begun is None else time.monotonic() - self._begun,
                "last_failure": self._last_failure,
            }

    def _work(self) -> None:
        while (event := self._next()) is not None:
            try:
                self._handler.handle(event)
            except BaseException as error:  # noqa: BLE001  # whatever it raises, the thread goes on
                self._note_failure(error)
            else:
                with self._changed:
                    self._delivered += 1
                    self._is_failing = False

    def _next(self) -> AlertEvent | None:
        with self._changed:
            self._begun = None
            while not self._waiting and not self._is_closed:
                self._changed.wait()
            if not self._waiting:
                return None
            self._begun = time.monotonic()
            return self._waiting.popleft()

    def _note_failure(self, error: BaseException) -> None:
        # Unlike str(), this copes with errors whose own __str__ raises.
        failure = " ".join("".join(traceback.format_exception_only(error)).split())
        with self._changed:
            self._failed += 1
            self._last_failure = failure[:_LONGEST_FAILURE]
            was_failing, self._is_failing = self._is_failing, True
        if not was_failing:
            _log.warning("alerts are not delivered (further failures are counted): %s", failure)
