"""The thread that looks at the memory, as often as it has to."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

_log = logging.getLogger(__name__)
_AFTER_FAILURE = 10.0  # seconds
_LONGEST_LOOK = 2.0  # seconds that ending waits for a look under way


class Watching:
    """Calls ``look``, which gives the seconds until it should be called again, in a thread."""

    def __init__(self, look: Callable[[], float]) -> None:
        self._look = look
        self._wake = threading.Event()
        self._is_over = False
        self.failures = 0
        self._thread = threading.Thread(target=self._run, name="ohlcache-memory", daemon=True)
        self._thread.start()

    def stir(self) -> None:
        """Look soon."""
        self._wake.set()

    def end(self) -> None:
        """End the thread, also from within itself; one that is held up ends when it goes on."""
        self._is_over = True
        self._wake.set()
        if self._thread is not threading.current_thread():
            self._thread.join(_LONGEST_LOOK)

    def _run(self) -> None:
        while not self._is_over:
            try:
                delay = self._look()
            except Exception:  # noqa: BLE001  # whatever it is, the memory is still to be watched
                self.failures += 1
                delay = _AFTER_FAILURE
                if self.failures == 1:
                    _log.exception("memory could not be looked at; further failures are counted")
            if self._wake.wait(delay):
                self._wake.clear()
