"""A shared tier as the walk sees it: behind a circuit breaker, with counters and a journal."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from ohlcache.cache.clock import Clock
from ohlcache.cache.links.breaker import Breaker
from ohlcache.cache.links.journal import Journal, removal
from ohlcache.cache.links.trust import Trust
from ohlcache.cache.tiers import Change, SharedTier
from ohlcache.drive import Step, Walk
from ohlcache.telemetry import Counters, Histogram


class _Unavailable:
    def __repr__(self) -> str:
        return "UNAVAILABLE"


UNAVAILABLE: Any = _Unavailable()  # the outcome of an operation that a tier did not carry out


class Link:
    """One shared tier (``l2`` or ``l3``) in use.

    trust: whether the tier tells of every change at present.
    journal: what the tier missed while it was out of order.
    """

    def __init__(self, name: str, tier: SharedTier, clock: Clock, *, raise_errors: bool) -> None:
        self.name = name
        self.tier = tier
        self.trust = Trust(is_live=False)
        self.journal = Journal()
        self.breaker = Breaker(clock.monotonic)
        self.counters = Counters()
        self.latency = Histogram()
        self._raise_errors = raise_errors
        self._mirrored: dict[str, str] = {}

    @property
    def works(self) -> bool:
        """Whether the tier is in use at present."""
        return self.breaker.is_closed

    def ask(self, operation: Step, *, for_caller: bool = True) -> Walk[Any]:
        """What the operation gives; UNAVAILABLE when the tier is out of order or just failed."""
        if not self.breaker.is_closed:
            self.counters.count("skipped")
            return UNAVAILABLE
        began = time.perf_counter()
        try:
            outcome = yield operation
        except Exception as error:  # a tier may raise anything; its failure is no caller's
            self.counters.count(f"error:{type(error).__name__}")
            self.breaker.fail()
            if self._raise_errors and for_caller:
                raise
            return UNAVAILABLE
        self.latency.record(time.perf_counter() - began)
        return outcome

    def change(self, changes: Sequence[Change], *, publish: bool = True) -> Walk[Any]:
        """Write: the stamp of each change, 0 where refused; or UNAVAILABLE.

        Then the journal has what makes it good. A change with a stamp may be repeated. One without
        may have been made or may still be, as the newest there is, in whatever order the tier comes
        to it: its key is removed later. What was not even tried the caller adds to the journal.
        """
        was_tried = self.works
        stamps = yield from self.ask(self.tier.write(changes, publish=publish))
        if stamps is UNAVAILABLE and was_tried:
            self.journal.add([one if one.stamp else removal(one.key) for one in changes], {})
        elif stamps is UNAVAILABLE:
            self.journal.add([one for one in changes if one.stamp], {})
        return stamps

    def bump(self, versions: Mapping[str, str]) -> Walk[None]:
        """Set new versions, at the latest when the tier works again."""
        if (yield from self.ask(self.tier.bump(versions))) is UNAVAILABLE:
            self.journal.add([], versions)

    def mirror(self, versions: Mapping[str, str]) -> Walk[None]:
        """Have the tier know versions that another one gave."""
        news = {
            name: version
            for name, version in versions.items()
            if self._mirrored.get(name) != version
        }
        if news:
            self._mirrored.update(news)
            yield from self.bump(news)

    def make_good(self) -> Walk[bool]:
        """Prove that the tier works, give it what it missed and close the breaker.

        Whether that succeeded. Changes keep their stamps, so that a newer state that another
        process wrote meanwhile stays.
        """
        try:
            yield self.tier.probe()
            while len(self.journal):
                changes, versions = self.journal.take()
                try:
                    if versions:
                        yield self.tier.bump(versions)
                    if changes:
                        yield self.tier.write(changes)
                except BaseException:
                    self.journal.add(changes, versions)
                    raise
                self.counters.count("replayed", len(changes) + len(versions))
        except Exception as error:  # noqa: BLE001
            self.counters.count(f"error:{type(error).__name__}")
            self.breaker.fail()
            self.breaker.probe_failed()
            return False
        self.breaker.close()
        return True
