"""Loading what is in no tier: once at a time for each key, in this process and over all of them.

A flight keeps the callers of this process together. A lease in the first shared tier that works
keeps other processes from loading the same; it fences as well: any change of the key ends the
lease, and the outcome of a load is stored only by who still holds it. So an invalidation that
comes during a load wins, and a process that slept past its lease overwrites nothing.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

from ohlcache.cache.clock import Clock
from ohlcache.cache.links import UNAVAILABLE, Authority, Leases, Link, Stamps, tag_name
from ohlcache.cache.shelves import ABSENT, ALWAYS_NEWER, Found, Mark, Shelf
from ohlcache.cache.tiers import Claim
from ohlcache.cache.walk.flight import Flight, FlightAborted, Flights, Launch, WaitBlocksLoop
from ohlcache.cache.walk.loader import Loader, LoaderThreads, Loading, loading_now
from ohlcache.cache.walk.reading import Reader
from ohlcache.cache.walk.writing import Right, Terms, Writer
from ohlcache.drive import Walk
from ohlcache.errors import NotFound, RecursiveLoad

_LONGEST_PAUSE = 0.02  # seconds between two looks at what another process is loading
_RETRY_SECONDS = 1.0  # after a refresh in the background failed
_MOST_RETRIES = 10_000


@dataclass(frozen=True, slots=True)
class Order:
    """What to load and how to keep it. ``ttl``: seconds; None for ever; 0: not at all."""

    loader: Loader
    ttl: float | None
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Pause:
    seconds: float

    def run(self) -> None:
        time.sleep(self.seconds)

    async def arun(self) -> None:
        await asyncio.sleep(self.seconds)


def _begun(launch: Launch) -> Walk[None]:
    """Begin a flight; one that could not begin must not be waited for."""
    try:
        yield launch
    except BaseException:
        launch.abandon()
        raise


class Loads:
    """The way of a value that has to be loaded."""

    def __init__(
        self,
        authority: Authority,
        reader: Reader,
        writer: Writer,
        flights: Flights,
        leases: Leases,
        stamps: Stamps,
        clock: Clock,
        threads: Callable[[], tuple[LoaderThreads, Executor]],
    ) -> None:
        """``threads``: for loaders, and for what blocks under asyncio."""
        self._authority = authority
        self._reader = reader
        self._writer = writer
        self._flights = flights
        self._leases = leases
        self._stamps = stamps
        self._clock = clock
        self._threads = threads
        self._retry_at: dict[str, float] = {}

    def get_or_load(
        self, shelf: Shelf, keys: Sequence[str], order: Order
    ) -> Walk[dict[str, Found]]:
        """What is there of the keys, the rest loaded. Raises what the loader raises.

        What is stale is served, and loaded anew in the background.
        """
        found = yield from self._reader.read(shelf, keys)
        now = self._clock.monotonic()
        due = []
        for key, one in list(found.items()):
            if one.note.fresh_until <= now:
                if one.note.is_absent or not shelf.policy.stale_seconds:
                    del found[key]
                    continue
                shelf.counters.count("stale")
            elif not self._is_early(shelf, key, now):
                continue
            if self._retry_at.get(shelf.full(key), 0.0) <= now:
                due.append(key)
        if due:
            yield from self._refresh(shelf, due, order)
        missing = [key for key in keys if key not in found]
        if missing:
            found.update((yield from self.load(shelf, missing, order)))
        return found

    def load(
        self, shelf: Shelf, keys: Sequence[str], order: Order, *, anew: bool = False
    ) -> Walk[dict[str, Found]]:
        """Load keys, or wait for those that others load. ``anew``: whatever is there."""
        outcome: dict[str, Found] = {}
        missing = list(keys)
        while missing:
            fulls = [shelf.full(key) for key in missing]
            self._refuse_recursion(fulls)
            if anew:
                self._flights.detach(fulls)
            flight, joined = self._flights.join(fulls)
            if flight is not None:
                mine = [key for key in missing if shelf.full(key) in flight.keys]
                yield from _begun(self._launch(shelf, flight, mine, order, anew=anew))
            flights = {*joined.values(), *([flight] if flight else [])}
            for one in flights:
                try:
                    outcome.update((yield one.landing()))
                except FlightAborted:
                    self._flights.leave(one)  # where its event loop just stopped nobody else did
                except WaitBlocksLoop:
                    mine = [key for key in missing if shelf.full(key) in one.keys]
                    outcome.update((yield from self._load_only(shelf, mine, order)))
            # Those of flights that were aborted, or left to another process that refreshes.
            missing = [key for key in missing if key not in outcome]
        return {key: outcome[key] for key in keys if key in outcome}

    @staticmethod
    def _is_early(shelf: Shelf, key: str, now: float) -> bool:
        entry = shelf.entries.get(key)
        return entry is not None and entry.fresh_until <= now

    def _refuse_recursion(self, fulls: Iterable[str]) -> None:
        under_way = [load for load in loading_now.get() if not load.is_over]
        names = self._named(fulls) if under_way else frozenset()
        for load in under_way:
            for _, full in load.names & names:
                raise RecursiveLoad(
                    f"key {full!r} is being loaded by the loader that asks for it: have the "
                    "loader fetch it from elsewhere"
                )

    def _named(self, fulls: Iterable[str]) -> frozenset[tuple[int, str]]:
        """The keys so that those of other caches are told apart."""
        return frozenset((id(self), full) for full in fulls)

    # -- flights --------------------------------------------------------------------------------

    def _launch(
        self,
        shelf: Shelf,
        flight: Flight,
        keys: Sequence[str],
        order: Order,
        *,
        anew: bool,
        in_background: bool = False,
    ) -> Launch:
        walk = self._fly(shelf, keys, order, anew=anew, is_refresh=in_background)
        loader_threads, executor = self._threads()
        return Launch(
            self._flights, flight, walk, executor, loader_threads if in_background else None
        )

    def _refresh(self, shelf: Shelf, keys: Sequence[str], order: Order) -> Walk[None]:
        flight, _ = self._flights.join([shelf.full(key) for key in keys])
        if flight is not None:
            mine = [key for key in keys if shelf.full(key) in flight.keys]
            launch = self._launch(shelf, flight, mine, order, anew=True, in_background=True)
            try:
                yield from _begun(launch)
            except RuntimeError:  # no thread or task to be had; what is there is served
                shelf.counters.count("refreshes_failed")
            else:
                shelf.counters.count("refreshes")

    def _fly(
        self,
        shelf: Shelf,
        keys: Sequence[str],
        order: Order,
        *,
        anew: bool,
        is_refresh: bool = False,
    ) -> Walk[dict[str, Found]]:
        """Load keys that nobody in this process is loading."""
        names = (*shelf.names, *map(tag_name, order.tags))
        yield from self._authority.learn(names)
        mark = shelf.mark()
        versions = self._authority.versions.of(names)
        stamp = self._stamps.next()
        lease = uuid.uuid4().hex
        give_up = self._clock.monotonic() + shelf.policy.load_timeout_seconds
        useless = dict.fromkeys(keys, ALWAYS_NEWER) if anew else {}
        wanted = list(keys)
        outcome: dict[str, Found] = {}
        while wanted:
            link, claims = yield from self._claim(shelf, wanted, lease, useless)
            held = [key for key in wanted if link is None or claims[key].is_held]
            if held:
                right = Right(link, lease, stamp)
                loaded = yield from self._load(
                    shelf, held, order, versions, mark, right, is_refresh=is_refresh
                )
                outcome.update(loaded)
            ready = [key for key in wanted if key not in held and claims[key].stored]
            if ready:
                found = yield from self._fresh(shelf, ready)
                outcome.update(found)
                useless.update(
                    (key, stored.stamp)
                    for key in ready
                    if key not in found and (stored := claims[key].stored)
                )
            waiting = [key for key in wanted if key not in held and key not in ready]
            wanted = [key for key in ready if key not in outcome] + waiting
            if waiting and is_refresh:
                return outcome  # another process is at it
            if waiting and self._clock.monotonic() >= give_up:
                outcome.update((yield from self._load_only(shelf, waiting, order)))
                wanted = [key for key in wanted if key not in waiting]
            elif waiting:
                shelf.counters.count("lease_waits")
                wait_ms = min(claims[key].wait_ms for key in waiting)
                yield _Pause(min(_LONGEST_PAUSE, max(0.001, wait_ms / 1000)))
        return outcome

    def _fresh(self, shelf: Shelf, keys: Sequence[str]) -> Walk[dict[str, Found]]:
        found = yield from self._reader.read(shelf, keys)
        now = self._clock.monotonic()
        return {key: one for key, one in found.items() if one.note.fresh_until > now}

    def _claim(
        self, shelf: Shelf, keys: Sequence[str], lease: str, useless: Mapping[str, int]
    ) -> Walk[tuple[Link | None, dict[str, Claim]]]:
        """Claim keys at the first tier that works; no tier: nobody to agree with."""
        fulls = [shelf.full(key) for key in keys]
        known = {shelf.full(key): stamp for key, stamp in useless.items()}
        for link in shelf.links:
            operation = link.tier.claim(fulls, lease, self._leases.milliseconds, known)
            claims = yield from link.ask(operation)
            if claims is not UNAVAILABLE:
                return link, {key: claims[shelf.full(key)] for key in keys}
        return None, {}

    # -- the loader -----------------------------------------------------------------------------

    def _load(
        self,
        shelf: Shelf,
        keys: Sequence[str],
        order: Order,
        versions: dict[str, str],
        mark: Mark,
        right: Right,
        *,
        is_refresh: bool = False,
    ) -> Walk[dict[str, Found]]:
        fulls = [shelf.full(key) for key in keys]
        values: dict[str, Any] = dict.fromkeys(keys, ABSENT)
        missing: NotFound | None = None
        with self._leases.held(right.lease, right.link, fulls):
            try:
                timeout = shelf.policy.load_timeout_seconds
                threads, _ = self._threads()
                loaded, cost = yield Loading(
                    order.loader, keys, self._named(fulls), timeout, threads, is_refresh
                )
                values.update((key, loaded[key]) for key in keys if key in loaded)
            except NotFound as error:
                missing, cost = error, 0.0
            except Exception as error:
                shelf.counters.count(f"load_error:{type(error).__name__}")
                if is_refresh:
                    self._plan_retry(fulls)
                yield from self._release(right, fulls)
                raise
            for full in fulls:
                self._retry_at.pop(full, None)
            shelf.counters.count("loads", len(keys))
            shelf.load_time.record(cost)
            outcome = yield from self._store(
                shelf, values, order, Terms(order.ttl, versions, cost), mark, right
            )
        if missing is not None:
            raise missing
        return outcome

    def _plan_retry(self, fulls: Sequence[str]) -> None:
        if len(self._retry_at) > _MOST_RETRIES:
            self._retry_at.clear()
        retry_at = self._clock.monotonic() + _RETRY_SECONDS
        self._retry_at.update(dict.fromkeys(fulls, retry_at))

    def _load_only(self, shelf: Shelf, keys: Sequence[str], order: Order) -> Walk[dict[str, Found]]:
        """Load in spite of another who is at it; what he brings is what will be stored."""
        unstored = replace(order, ttl=0)
        right = Right(None, "", self._stamps.next())
        return (yield from self._load(shelf, keys, unstored, {}, shelf.mark(), right))

    def _store(
        self,
        shelf: Shelf,
        values: Mapping[str, Any],
        order: Order,
        terms: Terms,
        mark: Mark,
        right: Right,
    ) -> Walk[dict[str, Found]]:
        """Store what was loaded; for a shorter time when it says that there is nothing."""
        negative = shelf.policy.negative_ttl_seconds
        if terms.ttl is not None:
            negative = min(negative, terms.ttl)
        nothing = {key: value for key, value in values.items() if value is None or value is ABSENT}
        something = {key: value for key, value in values.items() if key not in nothing}
        outcome: dict[str, Found] = {}
        for group, ttl in ((something, order.ttl), (nothing, negative)):
            if not group:
                continue
            if ttl == 0:
                outcome.update(self._writer.unstored(group, terms))
                yield from self._release(right, [shelf.full(key) for key in group])
                continue
            try:
                draft = yield from self._writer.draft(shelf, group)
            except BaseException:
                yield from self._release(right, [shelf.full(key) for key in group])
                raise
            stored = yield from self._writer.store(
                shelf, draft, terms._replace(ttl=ttl), mark, right
            )
            outcome.update(stored)
        return outcome

    @staticmethod
    def _release(right: Right, fulls: Sequence[str]) -> Walk[None]:
        if right.link is not None:
            yield from right.link.ask(right.link.tier.release(fulls, right.lease))
