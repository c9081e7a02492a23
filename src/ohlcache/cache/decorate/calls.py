"""Calls of a cached function: their keys, and how they are answered."""

from __future__ import annotations

import asyncio
import inspect
import uuid
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, ClassVar, Protocol
from weakref import ref

from ohlcache.cache.keys import KeyText, arguments_text, fingerprint, key_text
from ohlcache.cache.shelves import ABSENT, MISS, Shelf
from ohlcache.errors import InvalidArgument

KeyMaker = str | Callable[..., Any] | None

_SCALARS = frozenset((str, int, float, bool, bytes, type(None)))
_MOST_INDEXED = 65_536

_identities: dict[int, tuple[ref[Any], str]] = {}  # by id: some cannot be hashed


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


class _Nowhere:
    """Holds nothing: before the first call there may be no cache yet."""

    entries: ClassVar[dict[str, Any]] = {}


class Calls:
    """One cached function."""

    def __init__(
        self,
        function: Callable[..., Any],
        cache: Callable[[], Answers],
        category: str,
        ttl: float | None,
        key: KeyMaker,
        tags: str | tuple[str, ...] | Callable[..., Iterable[str]],
        bulk: str | None,
    ) -> None:
        self.hits = 0
        self.misses = 0
        self.loads = 0
        self.is_async = inspect.iscoroutinefunction(function)
        self._function = function
        self._cache = cache
        self._category = category
        self._ttl = ttl
        self._key = key
        self._tags = tags
        self._bulk = bulk
        self._name = f"{function.__module__}.{function.__qualname__}"
        self._signature = inspect.signature(function)
        parameters = list(self._signature.parameters)
        self.is_method = parameters[:1] == ["self"]
        if bulk is not None and bulk not in parameters:
            raise InvalidArgument(
                f"bulk is {bulk!r}, which is no parameter of {self._name}: name the one that takes "
                "the list of keys"
            )
        self._index: dict[Any, str] = {}
        self._shelf: Any = _Nowhere

    # -- answering ------------------------------------------------------------------------------

    def find(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The value of a call that memory may answer at once, or MISS."""
        # Written out instead of calling Shelf.hit: a call costs as much as the rest of it.
        try:
            if len(args) == 1 and not kwargs:
                arg = args[0]
                entry = self._shelf.entries[self._index[arg, type(arg)]]
            else:
                entry = self._shelf.entries[self._index[_raw(args, kwargs)]]
        except (KeyError, TypeError):  # TypeError: an argument that counts by its content
            return MISS
        shelf = self._shelf
        if entry.fresh_until <= shelf.monotonic() or entry.epoch is not shelf.trust.epoch:
            return MISS
        entry.hits += 1
        value = entry.value if entry.reveal is None else entry.reveal(entry)
        if value is ABSENT:
            return MISS
        self.hits += 1
        return value

    def find_method(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """:meth:`find` of a method: an instance that counts as itself is found by its identity."""
        return self.find(_indexable(args), kwargs)

    def load(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The value of any call."""
        return self._answer(args, kwargs, "get_or_load")

    async def aload(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """:meth:`load` of an async function."""
        return await self._answer(args, kwargs, "aget_or_load")

    def refresh(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function and store its value."""
        return self._answer(args, kwargs, "refresh")

    async def arefresh(self, *args: Any, **kwargs: Any) -> Any:
        """:meth:`refresh` of an async function."""
        return await self._answer(args, kwargs, "arefresh")

    def _answer(self, args: tuple[Any, ...], kwargs: dict[str, Any], door: str) -> Any:
        """What the cache's method of this name gives: the value, or a coroutine of it."""
        self.misses += 1
        cache = self._resolved()
        tags = self._tags(*args, **kwargs) if callable(self._tags) else self._tags
        if self._bulk is not None:
            return self._answer_many(cache, args, kwargs, f"{door}_many", tags)
        text = self._indexed(args, kwargs)
        loader = self._async_loader if self.is_async else self._loader
        answer = getattr(cache, door)
        return answer(KeyText(text), loader(args, kwargs), self._category, self._ttl, tags=tags)

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
        self._shelf = cache.shelf(self._category)
        return cache

    # -- many keys in one call ------------------------------------------------------------------

    def _answer_many(
        self,
        cache: Answers,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        door: str,
        tags: Iterable[str],
    ) -> Any:
        bulk = self._bulk
        assert bulk is not None
        bound = self._bound(args, kwargs)
        keys = {self._text(bound, one): one for one in bound.arguments[bulk]}

        def restricted(texts: Iterable[str]) -> inspect.BoundArguments:
            self.loads += 1
            bound.arguments[bulk] = [keys[text] for text in texts]
            return bound

        def by_text(found: Any, texts: list[str]) -> Any:
            if not isinstance(found, Mapping):
                return found  # the cache refuses it
            return {text: found[keys[text]] for text in texts if keys[text] in found}

        def load(texts: list[str]) -> Any:
            call = restricted(texts)
            return by_text(self._function(*call.args, **call.kwargs), texts)

        async def aload(texts: list[str]) -> Any:
            call = restricted(texts)
            return by_text(await self._function(*call.args, **call.kwargs), texts)

        answer = getattr(cache, door)
        loader = aload if self.is_async else load
        found = answer(list(map(KeyText, keys)), loader, self._category, self._ttl, tags=tags)
        return _renamed_later(found, keys) if self.is_async else _renamed(found, keys)

    # -- invalidating ---------------------------------------------------------------------------

    def invalidate(self, *args: Any, **kwargs: Any) -> Any:
        """Remove the value of a call; of an async function a task that is under way already."""
        cache = self._resolved()
        bound = self._bound(args, kwargs)
        if self._bulk is None:
            texts = [KeyText(self._text(bound))]
        else:
            texts = [KeyText(self._text(bound, one)) for one in bound.arguments[self._bulk]]
        loop = _running_loop() if self.is_async else None
        if loop is None:
            return cache.delete_many(texts, self._category)
        cache.forget(texts, self._category)
        return loop.create_task(cache.adelete_many(texts, self._category))

    # -- keys -----------------------------------------------------------------------------------

    def _indexed(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        text = self._text(self._bound(args, kwargs))
        if self.is_method:
            args = _indexable(args)
        values = (*args, *kwargs.values())
        # Zeros of either sign are equal but not the same.
        if all(type(one) in _SCALARS and (one != 0 or type(one) is not float) for one in values):
            if len(self._index) >= _MOST_INDEXED:
                self._index.clear()
            self._index[_raw(args, kwargs)] = text
        return text

    def _bound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> inspect.BoundArguments:
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return bound

    def _text(self, bound: inspect.BoundArguments, one: Any = MISS) -> str:
        """The key of a call; ``one``: of a single key of a bulk call."""
        arguments = dict(bound.arguments)
        if one is not MISS:
            assert self._bulk is not None
            arguments[self._bulk] = one
        if isinstance(self._key, str):
            return key_text(self._filled(self._key, arguments))
        if self._key is not None:
            if one is MISS:
                return key_text(self._key(*bound.args, **bound.kwargs))
            return key_text(self._key(**arguments))
        if self.is_method:
            arguments["self"] = _identity(arguments["self"])
        return arguments_text(self._name, arguments.items())

    def _filled(self, template: str, arguments: Mapping[str, Any]) -> str:
        try:
            return template.format_map(arguments)
        except (KeyError, IndexError, AttributeError, ValueError) as error:
            raise InvalidArgument(
                f"key is {template!r}, which the arguments of {self._name} do not fill "
                f"({type(error).__name__}: {error}): use {', '.join(arguments)}"
            ) from None


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _raw(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
    """A call as the index knows it: the arguments with their types, since 1 == 1.0 == True."""
    if kwargs:
        named = kwargs.values()
        return (args, *map(type, args), *kwargs.items(), *map(type, named))
    if len(args) == 1:
        return (args[0], type(args[0]))
    return (args, *map(type, args))


def _renamed(found: Mapping[str, Any], keys: Mapping[str, Any]) -> dict[Any, Any]:
    return {keys[text]: value for text, value in found.items()}


async def _renamed_later(found: Any, keys: Mapping[str, Any]) -> dict[Any, Any]:
    return _renamed(await found, keys)


def _identity(instance: Any) -> Any:
    """What an instance counts as in the key of its method.

    Its content where that has a fingerprint (dataclasses, named tuples, Enum members); otherwise
    itself: then every instance has values of its own, in this process only.
    """
    try:
        return fingerprint(instance)
    except TypeError:  # no content to go by
        known = _known_identity(instance)
        if known is None:
            number, known = id(instance), f"instance {uuid.uuid4().hex}"
            _identities[number] = ref(instance, lambda _: _identities.pop(number, None)), known
        return known


def _known_identity(instance: Any) -> str | None:
    found = _identities.get(id(instance))
    return found[1] if found is not None and found[0]() is instance else None


def _indexable(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """A method's arguments with the identity in place of an instance that counts as itself."""
    identity = _known_identity(args[0]) if args else None
    return args if identity is None else (identity, *args[1:])
