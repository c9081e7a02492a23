"""What this process does when another one changed something."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ohlcache.cache.links import Link, Versions
from ohlcache.cache.shelves import Shelf
from ohlcache.cache.walk import Flights
from ohlcache.telemetry import Counters


class Coherence:
    """Takes the events of one shared tier and brings memory in step with them.

    is_authority: the tier is asked for the versions in force.
    """

    def __init__(
        self,
        link: Link,
        shelves: Mapping[str, Shelf],
        versions: Versions,
        flights: Flights,
        *,
        is_authority: bool,
        versions_changed: Callable[[], None],
    ) -> None:
        self._link = link
        self._shelves = shelves
        self._versions = versions
        self._flights = flights
        self._is_authority = is_authority
        self._versions_changed = versions_changed
        self.counters = Counters()

    def changed(self, changes: Sequence[tuple[str, int]]) -> None:
        """Keys have a newer state: drop what is held of them."""
        self.counters.count("changes", len(changes))
        self._flights.detach([full for full, _ in changes])
        for full, stamp in changes:
            shelf = self._shelves.get(full.partition(":")[0])
            if shelf is not None:
                shelf.drop(shelf.bare(full), stamp)

    def bumped(self, versions: Mapping[str, str]) -> None:
        """Names have new versions: have every entry compare its own."""
        self.counters.count("versions", len(versions))
        self._flights.detach_all()
        self._versions.change(versions)
        self._versions_changed()

    def lost(self) -> None:
        """Changes may be missed: trust nothing that is held."""
        self.counters.count("losses")
        self._link.trust.lose()
        self._flights.detach_all()
        if self._is_authority:
            self._versions.doubt()
            self._versions_changed()

    def live(self) -> None:
        """Every change is told from now on."""
        self._link.trust.resume()
        if self._is_authority:
            self._versions.doubt()
            self._versions_changed()
