"""Work that is done again and again in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable

_PATIENCE = 5.0  # seconds for work under way to end


class Repeating:
    """Calls ``work``, which gives the seconds until it should be called again, until ended."""

    def __init__(self, name: str, work: Callable[[], float]) -> None:
        self._work = work
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether it was not ended, and this is not a forked child, which has no such thread."""
        return self._thread.is_alive() and not self._ended.is_set()

    def end(self) -> None:
        """Call it no more. Waits for work under way, but not for long; also from within it."""
        self._ended.set()
        if self._thread is not threading.current_thread():
            self._thread.join(_PATIENCE)

    def _run(self) -> None:
        wait = 0.0
        while not self._ended.wait(wait):
            wait = self._work()
