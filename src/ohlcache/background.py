"""A daemon thread that can be ended, and begun anew in a forked child."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Background:
    """Runs ``work`` on a thread of its own; ``work`` returns soon after its event is set."""

    def __init__(self, name: str, work: Callable[[threading.Event], None]) -> None:
        self._name = name
        self._work = work
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin, unless it runs or was ended."""
        if self._thread is not None:
            return
        with self._lock:
            if self._thread is None and not self._ended.is_set():
                thread = threading.Thread(
                    target=self._work, args=(self._ended,), name=self._name, daemon=True
                )
                thread.start()
                self._thread = thread

    def end(self, seconds: float) -> None:
        """End it for good and wait for that, at most so long."""
        with self._lock:
            self._ended.set()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(seconds)

    def renew_after_fork(self) -> None:
        """Threads are not inherited: start it again if it ran."""
        is_ended = self._ended.is_set()
        was_running = self._thread is not None and not is_ended
        self._begin_anew()
        if is_ended:
            self._ended.set()
        if was_running:
            self.start()
