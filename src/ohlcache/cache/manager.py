"""The cache that programs use: values by category and key in memory, Redis and a database."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from weakref import WeakSet

from ohlcache.cache.categories import CacheCategory, overlaid
from ohlcache.cache.clock import Clock
from ohlcache.cache.decorate import Cached, KeyMaker, TagMaker
from ohlcache.cache.keys import key_text
from ohlcache.cache.memory import MemoryTier
from ohlcache.cache.parts import Parts
from ohlcache.cache.reporting import report
from ohlcache.cache.requests import Requests, Seconds
from ohlcache.cache.shelves import ABSENT, ALWAYS_NEWER, MISS, Shelf
from ohlcache.cache.stats import statistics
from ohlcache.cache.tiers import SharedTier
from ohlcache.cache.warming import Warming, WarmReport
from ohlcache.closing import Closing
from ohlcache.drive import Walk, drive, drive_async
from ohlcache.errors import InvalidArgument, NotFound
from ohlcache.reclaim import COMPRESS, EVICT, account, offer
from ohlcache.settings import (
    CacheSettings,
    CategorySettings,
    Settings,
    as_settings,
    checked_section,
)
from ohlcache.telemetry import Readings, registry
from ohlcache.telemetry.board import Board

_THREADS = 8
_MB = 2**20

Category = str


class CacheManager(Closing):
    """A cache in the nearest place that has a value: memory, Redis, a database, a loader.

    Safe to share between threads and tasks; every method that does I/O has an async door with the
    same arguments and an ``a`` before its name. Two managers of one namespace, in one process or
    in several, see each other's changes.

    Arrays and frames are kept and handed out read-only or as copies that share nothing writable;
    other mutable values (lists, dicts) are shared with everyone who gets them from memory: do not
    change them.

    No error of Redis or the database reaches the caller (``stats()`` counts them), unless
    ``raise_errors`` is set. All methods raise InvalidArgument for a category that is not known, a
    negative ttl and the like, and CacheError when the cache is closed.
    """

    def __init__(
        self,
        settings: Settings | Mapping[str, Any] | str | Path | None = None,
        *,
        clock: Clock | None = None,
    ) -> None:
        """``settings``: a Settings, a dict or the path of a YAML file; None: those in force.

        Raises InvalidArgument for settings that cannot be used, MissingExtra for a tier whose
        library is not installed. Redis and PostgreSQL need not be reachable.
        """
        self._settings = as_settings(settings).cache
        self._clock = clock or Clock()
        self._pool: ThreadPoolExecutor | None = None
        self._inherited: list[object] = []
        self._use(Parts(self._settings, self._tiers(), self._clock, self._executor))
        _open.add(self)
        registry.register(self.report)
        offer("compress cached values", COMPRESS, self.compress)
        offer("evict cached values", EVICT, self.shrink)
        account(self.held_bytes)

    def _use(self, parts: Parts) -> None:
        self._parts = parts
        self._shelves = parts.shelves
        self._requests = Requests(parts)

    def _tiers(self) -> dict[str, SharedTier]:
        """The shared tiers that are configured, nearest first."""
        settings, tiers = self._settings, dict[str, SharedTier]()
        if settings.l2 is not None:
            from ohlcache.cache.redis import RedisTier

            tiers["l2"] = RedisTier(
                settings.l2.redis_url,
                namespace=settings.namespace,
                max_bytes=_bytes(settings.l2.max_size_mb),
                timeout_seconds=settings.l2.timeout_seconds,
            )
        if settings.l3 is not None:
            from ohlcache.cache.database import DatabaseTier

            tiers["l3"] = DatabaseTier(
                settings.l3.url,
                namespace=settings.namespace,
                max_bytes=_bytes(settings.l3.max_size_mb),
                timeout_seconds=settings.l3.timeout_seconds,
            )
        return tiers

    # -- one value ------------------------------------------------------------------------------

    def get(self, key: Any, category: Category = CacheCategory.DEFAULT, default: Any = None) -> Any:
        """The value of a key, or ``default``. A value whose TTL has passed is not there."""
        shelf = self._shelves.get(category)
        value = MISS if shelf is None else shelf.hit(key)
        if value is MISS:
            return drive(self._requests.get(key, category, default))
        return default if value is ABSENT else value

    async def aget(
        self, key: Any, category: Category = CacheCategory.DEFAULT, default: Any = None
    ) -> Any:
        """:meth:`get` for async code."""
        shelf = self._shelves.get(category)
        value = MISS if shelf is None else shelf.hit(key)
        if value is MISS:
            return await drive_async(self._requests.get(key, category, default), self._executor())
        return default if value is ABSENT else value

    def set(
        self,
        key: Any,
        value: Any,
        category: Category = CacheCategory.DEFAULT,
        ttl: Seconds = None,
        *,
        tags: Iterable[str] = (),
    ) -> None:
        """Give a key a value, in every tier and for every process.

        ttl: seconds for which it is fresh; None: the category's; 0: the key is removed instead.
        tags: names by which ``invalidate_tag`` finds it.

        Raises TypeError for a value that a shared tier of the category cannot hold; nothing is
        changed then.
        """
        drive(self._requests.set({key: value}, category, ttl, tags))

    async def aset(
        self,
        key: Any,
        value: Any,
        category: Category = CacheCategory.DEFAULT,
        ttl: Seconds = None,
        *,
        tags: Iterable[str] = (),
    ) -> None:
        """:meth:`set` for async code. A task that is cancelled leaves it to be done."""
        await self._change(self._requests.set({key: value}, category, ttl, tags))

    def delete(self, key: Any, category: Category = CacheCategory.DEFAULT) -> None:
        """Remove a key from every tier and process; a load of it under way is not stored."""
        drive(self._requests.delete([key], category))

    async def adelete(self, key: Any, category: Category = CacheCategory.DEFAULT) -> None:
        """:meth:`delete` for async code."""
        await self._change(self._requests.delete([key], category))

    def get_or_load(
        self,
        key: Any,
        loader: Callable[..., Any],
        category: Category = CacheCategory.DEFAULT,
        ttl: Seconds = None,
        *,
        tags: Iterable[str] = (),
    ) -> Any:
        """The value of a key; when there is none, what ``loader`` gives, stored.

        The loader is called without arguments, or with the key if it has a required parameter; by
        one caller at a time in all processes, while the others wait for its value. It runs in
        another thread and is given up after the category's ``load_timeout_seconds`` (LoadTimeout).
        What it raises reaches everyone who waits. None is stored for the category's
        ``negative_ttl_seconds``; so is that it raised NotFound, which is then raised again.
        """
        shelf = self._shelves.get(category)
        value = MISS if shelf is None else shelf.hit(key)
        if value is MISS:
            value = drive(self._requests.load(key, loader, category, ttl, tags))
        return self._present(key, value)

    async def aget_or_load(
        self,
        key: Any,
        loader: Callable[..., Any],
        category: Category = CacheCategory.DEFAULT,
        ttl: Seconds = None,
        *,
        tags: Iterable[str] = (),
    ) -> Any:
        """:meth:`get_or_load` for async code; the loader may be async or not."""
        shelf = self._shelves.get(category)
        value = MISS if shelf is None else shelf.hit(key)
        if value is MISS:
            value = await drive_async(
                self._requests.load(key, loader, category, ttl, tags), self._executor()
            )
        return self._present(key, value)

    def refresh(
        self,
        key: Any,
        loader: Callable[..., Any],
        category: Category = CacheCategory.DEFAULT,
        ttl: Seconds = None,
        *,
        tags: Iterable[str] = (),
    ) -> Any:
        """Load a key anew whatever is there, and store it; the value."""
        value = drive(self._requests.load(key, loader, category, ttl, tags, anew=True))
        return self._present(key, value)

    async def arefresh(
        self,
        key: Any,
        loader: Callable[..., Any],
        category: Category = CacheCategory.DEFAULT,
        ttl: Seconds = None,
        *,
        tags: Iterable[str] = (),
    ) -> Any:
        """:meth:`refresh` for async code."""
        walk = self._requests.load(key, loader, category, ttl, tags, anew=True)
        return self._present(key, await drive_async(walk, self._executor()))

    # -- many values ----------------------------------------------------------------------------

    def get_many(
        self, keys: Iterable[Any], category: Category = CacheCategory.DEFAULT
    ) -> dict[Any, Any]:
        """The values of those keys that have one, in one round trip a tier."""
        return drive(self._requests.get_many(list(keys), category))

    async def aget_many(
        self, keys: Iterable[Any], category: Category = CacheCategory.DEFAULT
    ) -> dict[Any, Any]:
        """:meth:`get_many` for async code."""
        return await drive_async(self._requests.get_many(list(keys), category), self._executor())

    def set_many(
        self,
        mapping: Mapping[Any, Any],
        category: Category = CacheCategory.DEFAULT,
        ttl: Seconds = None,
        *,
        tags: Iterable[str] = (),
    ) -> None:
        """:meth:`set` of many values; all or, when one raises TypeError, none."""
        drive(self._requests.set(mapping, category, ttl, tags))

    async def aset_many(
        self,
        mapping: Mapping[Any, Any],
        category: Category = CacheCategory.DEFAULT,
        ttl: Seconds = None,
        *,
        tags: Iterable[str] = (),
    ) -> None:
        """:meth:`set_many` for async code."""
        await self._change(self._requests.set(mapping, category, ttl, tags))

    def get_or_load_many(
        self,
        keys: Iterable[Any],
        loader: Callable[[list[Any]], Any],
        category: Category = CacheCategory.DEFAULT,
        ttl: Seconds = None,
        *,
        tags: Iterable[str] = (),
    ) -> dict[Any, Any]:
        """The values of keys; those that have none from one call of ``loader``.

        The loader gets the list of keys that nobody else is loading, and gives a mapping. A key
        that it leaves out is not in the answer, which is remembered as ``get_or_load`` does.
        """
        return drive(self._requests.load_many(keys, loader, category, ttl, tags))

    async def aget_or_load_many(
        self,
        keys: Iterable[Any],
        loader: Callable[[list[Any]], Any],
        category: Category = CacheCategory.DEFAULT,
        ttl: Seconds = None,
        *,
        tags: Iterable[str] = (),
    ) -> dict[Any, Any]:
        """:meth:`get_or_load_many` for async code; the loader may be async or not."""
        return await drive_async(
            self._requests.load_many(keys, loader, category, ttl, tags), self._executor()
        )

    def refresh_many(
        self,
        keys: Iterable[Any],
        loader: Callable[[list[Any]], Any],
        category: Category = CacheCategory.DEFAULT,
        ttl: Seconds = None,
        *,
        tags: Iterable[str] = (),
    ) -> dict[Any, Any]:
        """Load keys anew whatever is there, in one call, and store them; their values."""
        return drive(self._requests.load_many(keys, loader, category, ttl, tags, anew=True))

    async def arefresh_many(
        self,
        keys: Iterable[Any],
        loader: Callable[[list[Any]], Any],
        category: Category = CacheCategory.DEFAULT,
        ttl: Seconds = None,
        *,
        tags: Iterable[str] = (),
    ) -> dict[Any, Any]:
        """:meth:`refresh_many` for async code."""
        walk = self._requests.load_many(keys, loader, category, ttl, tags, anew=True)
        return await drive_async(walk, self._executor())

    def delete_many(self, keys: Iterable[Any], category: Category = CacheCategory.DEFAULT) -> None:
        """:meth:`delete` of many keys in one round trip a tier."""
        drive(self._requests.delete(keys, category))

    async def adelete_many(
        self, keys: Iterable[Any], category: Category = CacheCategory.DEFAULT
    ) -> None:
        """:meth:`delete_many` for async code."""
        await self._change(self._requests.delete(keys, category))

    def forget(self, keys: Iterable[Any], category: Category = CacheCategory.DEFAULT) -> None:
        """Drop keys from this process's memory only; shared tiers still have them."""
        shelf = self._requests.shelf(category)
        for key in keys:
            shelf.drop(key_text(key), ALWAYS_NEWER)

    # -- all values of a kind -------------------------------------------------------------------

    def invalidate_tag(self, tag: str) -> None:
        """Remove every value with this tag, of any category, also those being loaded now."""
        drive(self._requests.invalidate_tag(tag))

    async def ainvalidate_tag(self, tag: str) -> None:
        """:meth:`invalidate_tag` for async code."""
        await self._change(self._requests.invalidate_tag(tag))

    def clear(self, category: Category | None = None) -> None:
        """Remove all values of a category; None: of the namespace. For every process."""
        drive(self._requests.clear(category))

    async def aclear(self, category: Category | None = None) -> None:
        """:meth:`clear` for async code."""
        await self._change(self._requests.clear(category))

    # -- decorating, warming --------------------------------------------------------------------

    def cached(
        self,
        category: Category = CacheCategory.DEFAULT,
        ttl_seconds: Seconds = None,
        *,
        key: KeyMaker = None,
        tags: TagMaker = (),
        bulk: str | None = None,
    ) -> Cached:
        """:func:`ohlcache.cached` on this cache; always with parentheses."""
        return Cached(lambda: self, category, ttl_seconds, key=key, tags=tags, bulk=bulk)

    @property
    def warming(self) -> Warming:
        """Ways to fill the cache before it is used; :meth:`warm` is the short one."""
        return Warming(self)

    def warm(
        self,
        keys: Iterable[Any] | Callable[[], Iterable[Any]] | None = None,
        loader: Callable[..., Any] | None = None,
        category: Category = CacheCategory.DEFAULT,
        *,
        ttl: float | None = None,
        concurrency: int = 4,
        progress: Callable[[int, int], None] | None = None,
        stop: threading.Event | None = None,
    ) -> WarmReport:
        """Have values in memory before they are asked for.

        keys: a list, a mapping of keys to values, or a callable that gives either; None: the keys
            used most before the cache was last closed.
        loader: takes a list of keys and gives a mapping, in a thread; None: only what a shared tier
            has is brought into memory.
        ttl: seconds; None: the category's. concurrency: batches of up to 100 keys at once.
        progress: called with the keys done and all keys after every batch. stop: ends it early.

        Errors of the loader are in the report. ``warming.every`` repeats it.
        """
        return self.warming.run(
            keys,
            loader,
            category,
            ttl=ttl,
            concurrency=concurrency,
            progress=progress,
            stop=stop,
        )

    async def awarm(
        self,
        keys: Iterable[Any] | Callable[[], Iterable[Any]] | None = None,
        loader: Callable[..., Any] | None = None,
        category: Category = CacheCategory.DEFAULT,
        *,
        ttl: float | None = None,
        concurrency: int = 4,
        progress: Callable[[int, int], None] | None = None,
        stop: threading.Event | None = None,
    ) -> WarmReport:
        """:meth:`warm` for async code; the loader is called in threads all the same."""
        return await asyncio.to_thread(
            self.warm,
            keys,
            loader,
            category,
            ttl=ttl,
            concurrency=concurrency,
            progress=progress,
            stop=stop,
        )

    # -- categories and numbers -----------------------------------------------------------------

    def configure_category(self, category: Category, **fields: Any) -> CategorySettings:
        """Change fields of a category's policy from now on, or add a category.

        Raises InvalidArgument, naming the field, for one that is unknown or has a wrong value, and
        for ``tiers`` of a category that is in use. Values that are stored keep their TTL.
        """
        given = checked_section(CategorySettings, f"category {category}", fields)
        shelf = self._shelves.get(category)
        if shelf is None:
            checked_section(CacheSettings, f"category {category}", {"categories": {category: {}}})
            return self._parts.shelve(str(category), overlaid(CategorySettings(), given)).policy
        if "tiers" in given.model_fields_set and given.tiers != shelf.policy.tiers:
            raise InvalidArgument(
                f"tiers of category {category} cannot be changed while it is in use: set them in "
                "the settings"
            )
        shelf.adopt(overlaid(shelf.policy, given))
        return shelf.policy

    def policy(self, category: Category) -> CategorySettings:
        """How values of a category are cached at present."""
        return self._requests.shelf(category).policy

    @property
    def categories(self) -> list[str]:
        """The names of all categories."""
        return sorted(self._shelves)

    def shelf(self, category: Category) -> Shelf:
        """What this process holds of a category."""
        return self._requests.shelf(category)

    def stats(self) -> dict[str, Any]:
        """Figures since the start, as nested dicts of plain numbers.

        ``l1``, and ``l2`` and ``l3`` where they are configured: hits, misses, hit_rate, and of
        memory entries, bytes, evictions by cause and what is compressed; of shared tiers errors by
        kind, the breaker, latency (seconds: mean, p50, p99, p999) and the tier's own figures.
        ``values``: bytes written to shared tiers before compression, and saved by it.
        ``loads``: loads, errors by kind, stale answers, refreshes, waits for leases of others.
        ``categories``: the same for each. Sizes are in bytes, durations in seconds.
        """
        return statistics(self._parts)

    def report(self, readings: Readings) -> None:
        """Add what telemetry collects of this cache."""
        if not self.is_closed:
            report(self._parts, readings)

    def compress(self, nbytes: int) -> int:
        """Free memory without losing a value: large ones that are hardly used get compressed.

        Bytes freed. Categories of the lowest ``priority`` come first.
        """
        return self._freed(nbytes, MemoryTier.compress)

    def shrink(self, nbytes: int) -> int:
        """Free memory: values are evicted, those first that are worth least.

        Bytes freed, of those held. Categories of the lowest ``priority`` come first.
        """
        return self._freed(nbytes, MemoryTier.evict)

    def held_bytes(self) -> int:
        """Bytes that values of all categories take in the memory of this process."""
        return self._parts.budget.held

    def _freed(self, nbytes: int, free: Callable[[MemoryTier, int], int]) -> int:
        if nbytes < 0:
            raise InvalidArgument(f"nbytes is {nbytes!r}: give 0 or more")
        freed = 0
        for shelf in sorted(self._shelves.values(), key=_most_dispensable):
            if freed < nbytes:
                freed += free(shelf.tier, nbytes - freed)
        return freed

    @property
    def board(self) -> Board | None:
        """Where the processes of this namespace report, for ``telemetry.Fleet``.

        In the nearest shared tier that works at present; None where none does, or the cache is
        closed.
        """
        return None if self.is_closed else self._parts.board

    # -- closing --------------------------------------------------------------------------------

    @property
    def is_closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._requests.is_closed

    def close(self) -> None:
        """Remember which values were used most, end threads and close connections."""
        if self._requests.is_closed:
            return
        self.warming.remember_most_used()
        self._requests.is_closed = True
        _open.discard(self)
        self._distrust()
        self._parts.close()
        if self._pool is not None:
            self._pool.shutdown(wait=True)

    # -- small parts ----------------------------------------------------------------------------

    @staticmethod
    def _present(key: Any, value: Any) -> Any:
        if value is ABSENT:
            raise NotFound(
                f"key {key!r}: the loader found nothing, which is remembered for a while"
            )
        return value

    async def _change(self, walk: Walk[None]) -> None:
        """Carry out a walk that changes tiers: to its end, also when the caller is cancelled.

        Otherwise nobody would know whether a tier made the change that it was asked for.
        """
        if not self._parts.links:
            return await drive_async(walk)
        change = asyncio.create_task(drive_async(walk, self._executor()))
        return await asyncio.shield(change)

    def _executor(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="ohlcache-cache")
        return self._pool

    def _distrust(self) -> None:
        """Have whoever still holds a hit path come here first."""
        for shelf in self._shelves.values():
            shelf.trust.lose()

    # -- forks ----------------------------------------------------------------------------------

    def _before_fork(self) -> None:
        for shelf in self._shelves.values():
            shelf.tier.lock.acquire()

    def _after_fork(self) -> None:
        for shelf in self._shelves.values():
            shelf.tier.lock.release()

    def _renew_after_fork(self) -> None:
        """In the child: the values in memory stay; threads, locks and connections are new."""
        self._after_fork()
        old = self._parts
        self._distrust()
        # Kept, because closing the parent's connections here would disturb them.
        self._inherited.append((old, self._pool))
        self._pool = None
        old.versions.renew_after_fork()
        for shelf in old.shelves.values():
            shelf.tier.count_anew()
        for link in old.links:
            link.tier.renew_after_fork()
        parts = Parts(
            self._settings,
            {link.name: link.tier for link in old.links},
            self._clock,
            self._executor,
            categories={name: shelf.policy for name, shelf in old.shelves.items()},
            memory={name: shelf.tier for name, shelf in old.shelves.items()},
            versions=old.versions,
        )
        self._use(parts)


def _most_dispensable(shelf: Shelf) -> tuple[int, int]:
    return shelf.policy.priority, -shelf.tier.bytes


def _bytes(megabytes: float | None) -> int | None:
    return None if megabytes is None else int(megabytes * _MB)


_open: WeakSet[CacheManager] = WeakSet()


def open_caches() -> list[CacheManager]:
    """The caches of this process that are not closed."""
    return list(_open)


def _each(step: Callable[[CacheManager], None]) -> None:
    for cache in list(_open):
        step(cache)


os.register_at_fork(
    before=lambda: _each(CacheManager._before_fork),
    after_in_parent=lambda: _each(CacheManager._after_fork),
    after_in_child=lambda: _each(CacheManager._renew_after_fork),
)
