"""A circuit breaker: a tier that failed is not asked again until a probe has succeeded.

States and names as in Nygard, Release It! (2007): closed (in use), open (left alone), half-open
(a probe is under way). Requests never probe: a background thread does, so that an outage costs a
request at most one bounded delay, and later ones none.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

_FIRST_DELAY = 0.05  # seconds until the first probe
_LONGEST_DELAY = 0.5


class Breaker:
    """Closed until :meth:`fail`; closed again by :meth:`close` after a probe."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._delay = _FIRST_DELAY
        self._probe_at = 0.0
        self.is_closed = True
        self.state = "closed"
        self.openings = 0

    def fail(self) -> bool:
        """The tier failed. Whether that opened the breaker."""
        with self._lock:
            was_closed, self.is_closed = self.is_closed, False
            if was_closed:
                self.openings += 1
                self._delay = _FIRST_DELAY
                self._plan()
            return was_closed

    def probe_due(self) -> bool:
        """Whether a probe should begin now; it then has."""
        with self._lock:
            if self.is_closed or self.state == "half-open" or self.wait() > 0:
                return False
            self.state = "half-open"
            return True

    def wait(self) -> float:
        """Seconds until the next probe."""
        return self._probe_at - self._monotonic()

    def probe_failed(self) -> None:
        """Leave the tier alone for longer."""
        with self._lock:
            self._delay = min(_LONGEST_DELAY, 2 * self._delay)
            self._plan()

    def close(self) -> None:
        """The tier works again."""
        with self._lock:
            self.is_closed, self.state = True, "closed"

    def _plan(self) -> None:
        self.state = "open"
        self._probe_at = self._monotonic() + self._delay * random.uniform(0.75, 1.0)
