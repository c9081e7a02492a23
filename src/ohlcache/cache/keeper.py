"""The background thread of a cache with shared tiers: it renews leases and probes what failed."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from ohlcache.cache.links import Leases, Link
from ohlcache.drive import drive

_TICK_SECONDS = 0.05


class Keeper:
    """Looks after links and leases until it is closed."""

    def __init__(self, links: Sequence[Link], leases: Leases) -> None:
        self._links = links
        self._leases = leases
        self.start()

    def start(self) -> None:
        """Begin the thread; also in a forked child, which has none of its parent's."""
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ohlcache-keeper", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._is_closed.set()
        self._thread.join()

    def _run(self) -> None:
        tick = min(_TICK_SECONDS, self._leases.seconds / 6)
        ticks_to_renewal = per_renewal = max(1, int(self._leases.seconds / 3 / tick))
        while not self._is_closed.wait(tick):
            for link in self._links:
                # The journal of a link that works holds what came while the breaker closed.
                if link.breaker.probe_due() or (link.works and len(link.journal)):
                    drive(link.make_good())
            ticks_to_renewal -= 1
            if ticks_to_renewal <= 0:
                ticks_to_renewal = per_renewal
                self._leases.renew()
