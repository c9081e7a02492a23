"""A tier that does what a test says, at the moment at which the test says it."""

from __future__ import annotations

from cache_doors import FakeClock
from ohlcache.cache.links import Link


class FakeTier:
    """Versions by name and the leases that were renewed; ``is_broken``: everything fails."""

    refusals = ()

    def __init__(self):
        self.is_broken = False
        self.held = {}
        self.bumps = []
        self.renewed = []
        self._given = 0

    def versions(self, names):
        def read():
            self._check()
            for name in names:
                if name not in self.held:
                    self._given += 1
                    self.held[name] = f"made {self._given}"
            return {name: self.held[name] for name in names}

        return read

    def bump(self, versions):
        def write():
            self._check()
            self.held.update(versions)
            self.bumps.append(dict(versions))

        return write

    def renew(self, leases, lease_ms):
        def write():
            self._check()
            self.renewed.append((dict(leases), lease_ms))

        return write

    def _check(self):
        if self.is_broken:
            raise ConnectionError("the tier is broken")


def linked(tier, name="l2"):
    clock = FakeClock()
    return Link(name, tier, clock, raise_errors=False, replayed=lambda versions: None)
