"""Calls of a cached function: answered from the cache, loaded anew, invalidated."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, Protocol

from ohlcache.cache.decorate.call_keys import Bound, CallKeys
from ohlcache.cache.decorate.checks import KeyMaker, is_async
from ohlcache.cache.decorate.hits import Hits, Raw
from ohlcache.cache.shelves import Shelf


class Answers(Protocol):
    """What cached calls need of a cache, besides its doors for loading."""

    def shelf(self, category: str) -> Shelf:
        """What this process holds of a category."""

    def forget(self, keys: Iterable[Any], category: str) -> None:
        """Drop keys from this process's memory."""

    def delete_many(self, keys: Iterable[Any], category: str) -> None:
        """Remove keys everywhere."""

    def adelete_many(self, keys: Iterable[Any], category: str) -> Coroutine[Any, Any, None]:
        """Remove keys everywhere, for async code."""


class Calls:
    """One cached function."""

    def __init__(
        self,
        function: Callable[..., Any],
        cache: Callable[[], Answers],
        category: str,
        ttl: float | None,
        key: KeyMaker,
        tags: tuple[str, ...] | Callable[..., Any],
        bulk: str | None,
    ) -> None:
        self.hits = Hits()
        self.misses = 0
        self.loads = 0
        self.is_async = is_async(function)
        self._function = function
        self._cache = cache
        self._category = category
        self._ttl = ttl
        self._keys = CallKeys(function, key, tags, bulk)

    @property
    def is_method(self) -> bool:
        """Whether the first argument is the instance or class that it belongs to."""
        return self._keys.owner is not None

    # -- answering ------------------------------------------------------------------------------

    def load(self, args: tuple[Any, ...], kwargs: dict[str, Any], raw: Raw) -> Any:
        """The value of any call."""
        return self._answer(args, kwargs, "get_or_load", raw)

    async def aload(self, args: tuple[Any, ...], kwargs: dict[str, Any], raw: Raw) -> Any:
        """:meth:`load` of an async function."""
        return await self._answer(args, kwargs, "aget_or_load", raw)

    def refresh(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function and store its value."""
        return self._answer(args, kwargs, "refresh")

    async def arefresh(self, *args: Any, **kwargs: Any) -> Any:
        """:meth:`refresh` of an async function."""
        return await self._answer(args, kwargs, "arefresh")

    def _answer(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], door: str, raw: Raw = None
    ) -> Any:
        """What the cache's method of this name gives: the value, or a coroutine of it."""
        call = self._keys.bound(args, kwargs)
        tags = self._keys.tags(call, args, kwargs)
        cache = self._resolved()
        is_asked = not door.endswith("refresh")
        if self._keys.bulk is not None:
            items = self._keys.texts(call)
            if is_asked:
                self._note(items)
            return self._answer_many(getattr(cache, f"{door}_many"), call, items, tags)
        text = self._keys.text(call)
        if is_asked:
            self._note([text])
            self.hits.learn(raw, len(args) + len(kwargs), text)
        loader = self._async_loader if self.is_async else self._loader
        answer = getattr(cache, door)
        return answer(text, loader(args, kwargs), self._category, self._ttl, tags=tags)

    def _note(self, texts: Iterable[str]) -> None:
        """Count which of these memory has."""
        for text in texts:
            _, is_held = self.hits.shelf.held(text)
            if is_held:
                self.hits.count += 1
            else:
                self.misses += 1

    def _loader(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Callable[[], Any]:
        def load() -> Any:
            self.loads += 1
            return self._function(*args, **kwargs)

        return load

    def _async_loader(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Callable[[], Any]:
        async def load() -> Any:
            self.loads += 1
            return await self._function(*args, **kwargs)

        return load

    def _resolved(self) -> Answers:
        """The cache; its memory answers calls directly from now on."""
        cache = self._cache()
        self.hits.shelf = cache.shelf(self._category)
        return cache

    # -- many keys in one call ------------------------------------------------------------------

    def _answer_many(
        self, answer: Callable[..., Any], call: Bound, items: Mapping[str, Any], tags: Iterable[str]
    ) -> Any:
        """What a door for many keys gives of a bulk call; ``items``: which item has which key."""

        def restricted(texts: Iterable[str]) -> Bound:
            self.loads += 1
            return self._keys.restricted(call, [items[text] for text in texts])

        def by_text(found: Any, texts: Iterable[str]) -> Any:
            if not isinstance(found, Mapping):
                return found  # the cache refuses it
            return {text: found[items[text]] for text in texts if items[text] in found}

        def load(texts: list[str]) -> Any:
            some = restricted(texts)
            return by_text(self._function(*some.args, **some.kwargs), texts)

        async def aload(texts: list[str]) -> Any:
            some = restricted(texts)
            return by_text(await self._function(*some.args, **some.kwargs), texts)

        if not self.is_async:
            return _renamed(answer(list(items), load, self._category, self._ttl, tags=tags), items)
        found = answer(list(items), aload, self._category, self._ttl, tags=tags)
        return _renamed_later(found, items)

    # -- invalidating ---------------------------------------------------------------------------

    def invalidate(self, *args: Any, **kwargs: Any) -> Any:
        """Remove the value of a call; of an async function a task that is under way already."""
        call = self._keys.bound(args, kwargs)
        texts = [self._keys.text(call)] if self._keys.bulk is None else list(self._keys.texts(call))
        cache = self._resolved()
        loop = _running_loop() if self.is_async else None
        if loop is None:
            return cache.delete_many(texts, self._category)
        cache.forget(texts, self._category)
        return loop.create_task(cache.adelete_many(texts, self._category))


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _renamed(found: Mapping[str, Any], items: Mapping[str, Any]) -> dict[Any, Any]:
    return {items[text]: value for text, value in found.items()}


async def _renamed_later(found: Any, items: Mapping[str, Any]) -> dict[Any, Any]:
    return _renamed(await found, items)
