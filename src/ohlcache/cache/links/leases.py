"""The leases that this process holds while it loads, kept until the load is over."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ohlcache.cache.links.link import Link
from ohlcache.drive import drive


class Leases:
    """Held leases; :meth:`renew` has to be called a few times in ``seconds``."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._lock = threading.Lock()
        self._held: dict[str, tuple[Link, Sequence[str]]] = {}

    @property
    def milliseconds(self) -> int:
        """How long a lease lasts unless it is renewed."""
        return max(1, int(self.seconds * 1000))

    @contextmanager
    def held(self, lease: str, link: Link | None, keys: Sequence[str]) -> Iterator[None]:
        """Keep the lease of these keys renewed meanwhile."""
        if link is None:
            yield
            return
        with self._lock:
            self._held[lease] = (link, keys)
        try:
            yield
        finally:
            with self._lock:
                self._held.pop(lease, None)

    def renew(self) -> None:
        """Have every held lease last its full time again."""
        with self._lock:
            held = list(self._held.items())
        for lease, (link, keys) in held:
            operation = link.tier.renew(dict.fromkeys(keys, lease), self.milliseconds)
            drive(link.ask(operation, for_caller=False))
