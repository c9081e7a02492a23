"""Telling the walk what other processes changed, or that it cannot be known for now."""

from __future__ import annotations

import threading

from ohlcache.background import Background
from ohlcache.cache.database import notices
from ohlcache.cache.database.engine import Engine
from ohlcache.cache.tiers import Events
from ohlcache.telemetry import Counters

_FIRST_PAUSE = 0.05  # seconds before the next attempt
_LONGEST_PAUSE = 1.0


class Listener:
    """Hears what is announced and passes on what is of others."""

    def __init__(self, engine: Engine, origin: str, counters: Counters) -> None:
        self._engine = engine
        self._origin = origin
        self._counters = counters
        self._events: list[Events] = []
        self._background = Background("ohlcache-listen", self._run)
        self._pause = _FIRST_PAUSE
        self._is_live = False
        self._lock = threading.Lock()

    def listen(self, events: Events) -> None:
        """Tell these events, too."""
        with self._lock:
            self._events.append(events)
            if self._is_live:
                events.live()
        self._background.start()

    def renew_after_fork(self, origin: str) -> None:
        """What happened since the fork was not heard."""
        self._lock = threading.Lock()
        self._origin = origin
        self._is_live = False
        for events in self._events:
            events.lost()
        self._background.renew_after_fork()

    def close(self, seconds: float) -> None:
        """End the thread; wait for that at most so long."""
        self._background.end(seconds)

    # -- on the thread --------------------------------------------------------------------------

    def _run(self, ended: threading.Event) -> None:
        while not ended.is_set():
            try:
                self._hear(ended)
            except Exception as error:  # noqa: BLE001  # till it works nothing is heard
                self._counters.count(f"listen_errors.{type(error).__name__}")
                self._turn(is_live=False)
                ended.wait(self._pause)
                self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def _hear(self, ended: threading.Event) -> None:
        watch = self._engine.watch()
        try:
            self._turn(is_live=True)
            while not ended.is_set():
                for text in watch.wait(ended):
                    self._tell(text)
                self._pause = _FIRST_PAUSE
        finally:
            watch.close()

    def _turn(self, *, is_live: bool) -> None:
        with self._lock:
            if is_live == self._is_live:
                return
            self._is_live = is_live
            for events in self._events:
                if is_live:
                    events.live()
                else:
                    events.lost()
        self._counters.count("listen_live" if is_live else "listen_lost")

    def _tell(self, text: str) -> None:
        notice = notices.decode(text)
        if notice.origin == self._origin:
            return
        self._counters.count("heard")
        for events in self._events:
            notice.tell(events)
