"""The parts of a cache, built from settings and wired together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from itertools import pairwise

from ohlcache.cache.categories import policies
from ohlcache.cache.clock import Clock
from ohlcache.cache.coherence import Coherence
from ohlcache.cache.keeper import Keeper
from ohlcache.cache.links import Authority, Leases, Link, Stamps, Trust, Versions
from ohlcache.cache.memory import MemoryTier
from ohlcache.cache.shelves import Budget, Shelf
from ohlcache.cache.tiers import SharedTier
from ohlcache.cache.walk import Flights, LoaderThreads, Loads, Reader, Writer
from ohlcache.settings import CacheSettings, CategorySettings
from ohlcache.telemetry.board import Board

_MB = 2**20


class Parts:
    """Everything that a cache consists of in one process.

    tiers: the shared tiers by name, nearest first.
    memory: what a parent process held by category, in a forked child.
    """

    def __init__(
        self,
        settings: CacheSettings,
        tiers: Mapping[str, SharedTier],
        clock: Clock,
        executor: Callable[[], Executor],
        *,
        categories: Mapping[str, CategorySettings] | None = None,
        memory: Mapping[str, MemoryTier] | None = None,
        versions: Versions | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self.links = [
            Link(
                name,
                tier,
                clock,
                raise_errors=settings.raise_errors,
                replayed=self._versions_replaced,
            )
            for name, tier in tiers.items()
        ]
        for upper, lower in pairwise(self.links):
            upper.below, lower.above = lower, upper
        self.shelves: dict[str, Shelf] = {}
        self.versions = versions or Versions()
        self.flights = Flights()
        self.leases = Leases(settings.lease_seconds)
        self.budget = Budget(
            int(settings.l1.max_size_mb * _MB),
            lambda: [shelf.tier for shelf in list(self.shelves.values())],
        )
        stamps = Stamps(clock.wall)
        key = settings.pickle_key
        pickle_key = key.get_secret_value().encode() if key else None
        self.authority = Authority(self.links, self.versions, self._begin_epochs)
        self.reader = Reader(self.authority, clock, pickle_key)
        self.writer = Writer(self.authority, self.flights, stamps, clock, pickle_key)
        loader_threads = LoaderThreads()
        self.loads = Loads(
            self.authority,
            self.reader,
            self.writer,
            self.flights,
            self.leases,
            stamps,
            clock,
            lambda: (loader_threads, executor()),
        )
        for name, policy in (categories or policies(settings.categories)).items():
            self.shelve(name, policy, (memory or {}).get(name))
        self.coherences = [self._coherence(link) for link in self.links]
        self.keeper = Keeper(self.links, self.leases) if self.links else None

    def shelve(
        self, name: str, policy: CategorySettings, memory: MemoryTier | None = None
    ) -> Shelf:
        """A shelf for a category."""
        eviction = self._settings.l1.eviction_policy
        links = [link for link in self.links if link.name in policy.tiers]
        coordinating = links or self.links
        shelf = self.shelves[name] = Shelf(
            name,
            policy,
            memory
            or MemoryTier(policy=eviction, clock=self._clock.monotonic, grown=self.budget.enforce),
            links=links,
            trust=coordinating[0].trust if coordinating else Trust(is_live=True),
            versions=self.versions,
            budget=self.budget,
            clock=self._clock,
        )
        return shelf

    @property
    def board(self) -> Board | None:
        """Of the nearest shared tier that works."""
        return next((link.tier.board for link in self.links if link.works), None)

    def close(self) -> None:
        """End threads and close connections."""
        if self.keeper is not None:
            self.keeper.close()
        for link in self.links:
            link.tier.close()

    def _coherence(self, link: Link) -> Coherence:
        coherence = Coherence(
            link,
            self.shelves,
            self.versions,
            self.flights,
            is_authority=link is self.links[0],
            versions_changed=self._begin_epochs,
        )
        link.tier.listen(coherence)
        return coherence

    def _versions_replaced(self, versions: Mapping[str, str]) -> None:
        self.flights.detach_all()
        self.versions.change(versions)
        self._begin_epochs()

    def _begin_epochs(self) -> None:
        for shelf in list(self.shelves.values()):
            shelf.trust.begin_epoch()
