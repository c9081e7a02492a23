"""``@cached``: calls of a function answered from the cache.

A call becomes a key: the function's qualified name and its bound arguments, defaults filled in, so
that ``f(1)``, ``f(x=1)`` and ``f(1, y=default)`` are the same. Arguments count by type and content.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, ParamSpec, Protocol, TypeVar, overload

from ohlcache.cache.decorate.calls import Answers, Calls
from ohlcache.cache.decorate.checks import (
    KeyMaker,
    Seconds,
    TagMaker,
    checked_category,
    checked_function,
    checked_key,
    checked_seconds,
    checked_tags,
)
from ohlcache.cache.decorate.hits import Raw
from ohlcache.cache.decorate.method import CachedMethod

Arguments = ParamSpec("Arguments")
Value_co = TypeVar("Value_co", covariant=True)


class CacheInfo(NamedTuple):
    """What the cache did for one function in this process.

    hits: calls that memory answered; misses: calls that it could not answer. Of a bulk function
        each key counts, not each call.
    loads: times that the function itself ran.
    """

    hits: int
    misses: int
    loads: int


class CachedFunction(Protocol[Arguments, Value_co]):
    """A function that answers from the cache."""

    def __call__(self, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Value_co:
        """The value of the call: from the cache, or from the function."""

    def invalidate(self, *args: Any, **kwargs: Any) -> Any:
        """Remove the value of this call. Of an async function: begins at once; may be awaited."""

    def refresh(self, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Value_co:
        """Run the function whatever the cache holds, and store its value."""

    def cache_info(self) -> CacheInfo:
        """Counts of this process."""

    @overload
    def __get__(self, instance: None, owner: Any) -> CachedFunction[Arguments, Value_co]: ...
    @overload
    def __get__(self, instance: object, owner: Any) -> CachedFunction[..., Value_co]: ...


class Cached:
    """The decorator; see :func:`ohlcache.cached`."""

    def __init__(
        self,
        cache: Callable[[], Answers],
        category: str,
        ttl_seconds: Seconds,
        *,
        key: KeyMaker,
        tags: TagMaker,
        bulk: str | None,
    ) -> None:
        self._cache = cache
        self._category = checked_category(category)
        self._ttl = checked_seconds(ttl_seconds)
        self._key = checked_key(key)
        self._tags = checked_tags(tags)
        self._bulk = bulk

    def __call__(
        self, function: Callable[Arguments, Value_co]
    ) -> CachedFunction[Arguments, Value_co]:
        """The function, answering from the cache. Raises InvalidArgument for one that cannot be."""
        checked_function(function, self._key)
        calls = Calls(
            function, self._cache, self._category, self._ttl, self._key, self._tags, self._bulk
        )
        plain: Any = _async_wrapper(calls) if calls.is_async else _wrapper(calls)
        functools.update_wrapper(plain, function)
        plain.invalidate = calls.invalidate
        plain.refresh = calls.arefresh if calls.is_async else calls.refresh
        plain.cache_info = lambda: CacheInfo(calls.hits.count, calls.misses, calls.loads)
        return CachedMethod(plain) if calls.is_method else plain  # type: ignore[return-value]


def _wrapper(calls: Calls) -> Callable[..., Any]:
    return calls.hits.finder(calls.load, is_method=calls.is_method)


class _Unanswered(NamedTuple):
    """A call that memory did not answer."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    raw: Raw


def _async_wrapper(calls: Calls) -> Callable[..., Any]:
    find, aload = calls.hits.finder(_Unanswered, is_method=calls.is_method), calls.aload

    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        found = find(*args, **kwargs)
        return await aload(*found) if type(found) is _Unanswered else found

    return wrapper
