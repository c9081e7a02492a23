"""A shared tier that fails as a test says: errors, delays and hangs, switched while in use."""

from __future__ import annotations

import random
import threading

from ohlcache.cache import CacheManager

OPERATIONS = ("read", "write", "claim", "renew", "release", "versions", "bump", "probe")


class Injected(Exception):
    """The failure of a tier in a test."""


class ChaosTier:
    """Passes on to a real tier, unless chaos strikes. Works for tiers whose steps are callables.

    errors: the probability that an operation fails; half of those fail after they were carried
        out, as when only the answer is lost.
    hang: when set to an Event, operations wait for it first.
    """

    def __init__(self, tier, seed=0):
        self.errors = 0.0
        self.hang: threading.Event | None = None
        self._tier = tier
        self._random = random.Random(seed)

    def __getattr__(self, name):
        attribute = getattr(self._tier, name)
        if name not in OPERATIONS:
            return attribute

        def disturbed(*args, **kwargs):
            step = attribute(*args, **kwargs)
            return lambda: self._carry_out(step)

        return disturbed

    def _carry_out(self, step):
        if self.hang is not None:
            self.hang.wait(30)
        chance = self._random.random()
        if chance < self.errors / 2:
            raise Injected("the request was lost")
        outcome = step()
        if chance < self.errors:
            raise Injected("the answer was lost")
        return outcome


class ChaosCache(CacheManager):
    """A cache whose shared tiers are at the test's mercy; ``chaos``: by name."""

    chaos: dict[str, ChaosTier]

    def _tiers(self):
        self.chaos = {name: ChaosTier(tier) for name, tier in super()._tiers().items()}
        return self.chaos
