"""Warming: having values in memory before they are asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from heapq import nlargest
from typing import Any, Protocol

from ohlcache.cache.categories import CacheCategory
from ohlcache.cache.keys import key_text
from ohlcache.cache.memory import Entry
from ohlcache.cache.requests import checked_ttl
from ohlcache.cache.shelves import Shelf
from ohlcache.errors import InvalidArgument

_BATCH = 100  # keys that are read or loaded in one call
_MOST_USED = "\x01most-used"  # no key of a user: those hold printable characters only
_MOST_REMEMBERED = 1000
_REMEMBERED_SECONDS = 30 * 86_400.0

Keys = Iterable[Any] | Mapping[Any, Any] | Callable[[], Iterable[Any] | Mapping[Any, Any]]


class _Warmable(Protocol):
    """What warming needs of a cache; the methods are those of CacheManager."""

    @property
    def categories(self) -> list[str]: ...
    @property
    def is_closed(self) -> bool: ...
    def shelf(self, category: str) -> Shelf: ...
    def get(self, key: Any, category: str, default: Any) -> Any: ...
    def set(self, key: Any, value: Any, category: str, ttl: float | None) -> None: ...
    def get_many(self, keys: Iterable[Any], category: str) -> dict[Any, Any]: ...
    def set_many(self, mapping: Mapping[Any, Any], category: str, ttl: float | None) -> None: ...
    def get_or_load_many(
        self,
        keys: Iterable[Any],
        loader: Callable[[list[Any]], Any],
        category: str,
        ttl: float | None,
    ) -> dict[Any, Any]: ...


@dataclass(frozen=True, slots=True)
class WarmReport:
    """What a warming did.

    warmed: keys that have a value in memory now; absent: keys that have none anywhere;
    failed: keys whose loading failed, with the error; is_stopped: whether it was ended early.
    """

    warmed: int
    absent: int
    failed: dict[Any, Exception]
    is_stopped: bool


@dataclass(slots=True)
class _Tally:
    total: int
    progress: Callable[[int, int], None] | None
    done: int = 0
    warmed: int = 0
    failed: dict[Any, Exception] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, keys: int, warmed: int, failed: Mapping[Any, Exception]) -> None:
        with self.lock:
            self.done += keys
            self.warmed += warmed
            self.failed.update(failed)
            if self.progress is not None:
                self.progress(self.done, self.total)


class Schedule:
    """A warming that is repeated until :meth:`stop`, or until its cache is closed.

    runs: how many there were; last: the report of the last one that did not fail; failure: the
    error of the last one that did, None if it was not the last.
    """

    def __init__(
        self,
        run: Callable[[threading.Event], WarmReport],
        seconds: float,
        is_closed: Callable[[], bool],
    ) -> None:
        self.last: WarmReport | None = None
        self.failure: Exception | None = None
        self.runs = 0
        self._run = run
        self._seconds = seconds
        self._is_closed = is_closed
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._repeat, name="ohlcache-warm", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it; a batch under way is finished first."""
        self._stopped.set()
        self._thread.join()

    def _repeat(self) -> None:
        while not (self._stopped.is_set() or self._is_closed()):
            try:
                self.last, self.failure = self._run(self._stopped), None
            except Exception as error:  # told in ``failure``; the next run may succeed  # noqa: BLE001
                self.failure = error
            self.runs += 1
            self._stopped.wait(self._seconds)


def _can_be_named(entry: Entry) -> bool:
    """Whether the entry was used, under a text that a user can ask for."""
    return bool(entry.hits) and key_text(entry.key) == entry.key


def _hits(entry: Entry) -> int:
    return entry.hits


class Warming:
    """Ways to warm one cache. What to warm can be said as

    - keys (with a loader for those that are in no tier), or a mapping of keys to values,
    - a callable that gives either, called when the warming begins,
    - nothing: the keys that were used most before the cache was last closed.
    """

    def __init__(self, cache: _Warmable) -> None:
        self._cache = cache

    def run(
        self,
        keys: Keys | None = None,
        loader: Callable[[list[Any]], Any] | None = None,
        category: str = CacheCategory.DEFAULT,
        *,
        ttl: float | None = None,
        concurrency: int = 4,
        progress: Callable[[int, int], None] | None = None,
        stop: threading.Event | None = None,
    ) -> WarmReport:
        """Warm a category and wait for it.

        loader: takes a list of keys and gives a mapping, as for ``get_or_load_many``; without one
            only what a shared tier holds is brought into memory.
        concurrency: batches of up to 100 keys under way at once.
        progress: called with keys done and keys in all after every batch, from several threads,
            one at a time.
        stop: when set, no further batch is begun.

        An error of a loader ends its batch only; the report has it. Raises InvalidArgument for
        arguments that cannot be used, and what a callable ``keys`` raises.
        """
        if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
            raise InvalidArgument(f"concurrency is {concurrency!r}: give an integer, 1 or more")
        checked_ttl(ttl, self._cache.shelf(category))
        stopped = stop or threading.Event()
        chosen = self.most_used(category) if keys is None else keys() if callable(keys) else keys
        if isinstance(chosen, str | bytes) or not isinstance(chosen, Iterable):
            raise InvalidArgument(
                f"keys is {chosen!r}: give a list of keys, a mapping of keys to values, or a "
                "callable that gives either"
            )
        values = dict(chosen) if isinstance(chosen, Mapping) else None
        wanted = list(dict.fromkeys(chosen))
        batches = [wanted[low : low + _BATCH] for low in range(0, len(wanted), _BATCH)]
        tally = _Tally(len(wanted), progress)

        def warm(batch: list[Any]) -> None:
            if not stopped.is_set():
                tally.add(len(batch), *self._warmed(batch, values, loader, category, ttl))

        with ThreadPoolExecutor(concurrency, thread_name_prefix="ohlcache-warm") as threads:
            list(threads.map(warm, batches))
        absent = tally.done - tally.warmed - len(tally.failed)
        return WarmReport(tally.warmed, absent, tally.failed, tally.done < len(wanted))

    def every(self, seconds: float, *arguments: Any, **options: Any) -> Schedule:
        """Warm now and again ``seconds`` after each end, in the background, as ``run`` does."""
        is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        if not is_number or not 0 < seconds <= threading.TIMEOUT_MAX:
            raise InvalidArgument(f"seconds is {seconds!r}: give a number above 0")
        return Schedule(
            lambda stop: self.run(*arguments, **options, stop=stop),
            seconds,
            lambda: self._cache.is_closed,
        )

    def most_used(self, category: str = CacheCategory.DEFAULT) -> list[str]:
        """The keys used most before the cache was last closed, most used first."""
        found = self._cache.get(_MOST_USED, category, default=[])
        return [key for key in found if isinstance(key, str)]

    def remember_most_used(self) -> None:
        """Store which keys were used most, in the categories that have a shared tier."""
        for category in self._cache.categories:
            shelf = self._cache.shelf(category)
            used = [entry for entry in list(shelf.entries.values()) if _can_be_named(entry)]
            if shelf.links and used:
                most_used = nlargest(_MOST_REMEMBERED, used, key=_hits)
                keys = [entry.key for entry in most_used]
                self._cache.set(_MOST_USED, keys, category, _REMEMBERED_SECONDS)

    def _warmed(
        self,
        batch: Sequence[Any],
        values: Mapping[Any, Any] | None,
        loader: Callable[[list[Any]], Any] | None,
        category: str,
        ttl: float | None,
    ) -> tuple[int, dict[Any, Exception]]:
        try:
            if values is not None:
                self._cache.set_many({key: values[key] for key in batch}, category, ttl)
                return len(batch), {}
            if loader is None:
                return len(self._cache.get_many(batch, category)), {}
            return len(self._cache.get_or_load_many(batch, loader, category, ttl)), {}
        except Exception as error:  # a loader may raise anything  # noqa: BLE001
            return 0, dict.fromkeys(batch, error)
