"""``@cached``: calls of a function answered from the cache.

A call becomes a key: the function's qualified name and its bound arguments, defaults filled in, so
that ``f(1)``, ``f(x=1)`` and ``f(1, y=default)`` are the same. Arguments count by type and content.
Making that text takes microseconds, so calls whose arguments are plain scalars are looked up by the
arguments themselves first; the index holds texts only and is thrown away when it grows.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, ParamSpec, Protocol, TypeVar, overload

from ohlcache.cache.decorate.calls import Answers, Calls, KeyMaker
from ohlcache.cache.shelves import MISS
from ohlcache.errors import InvalidArgument

Arguments = ParamSpec("Arguments")
Value_co = TypeVar("Value_co", covariant=True)


class CacheInfo(NamedTuple):
    """What the cache did for one function in this process.

    hits: calls answered from memory; misses: calls that had to look further.
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
        ttl_seconds: float | None,
        *,
        key: KeyMaker,
        tags: Iterable[str] | Callable[..., Iterable[str]],
        bulk: str | None,
    ) -> None:
        self._cache = cache
        self._category = category
        self._ttl = ttl_seconds
        self._key = key
        self._tags = tags if callable(tags) or isinstance(tags, str) else tuple(tags)
        self._bulk = bulk

    def __call__(
        self, function: Callable[Arguments, Value_co]
    ) -> CachedFunction[Arguments, Value_co]:
        """The function, answering from the cache. Raises InvalidArgument for one that cannot be."""
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise InvalidArgument(
                f"function {function.__qualname__} is a generator, which can be read only once: "
                "return a list"
            )
        calls = Calls(
            function, self._cache, self._category, self._ttl, self._key, self._tags, self._bulk
        )
        plain = _async_wrapper(calls) if calls.is_async else _wrapper(calls)
        functools.update_wrapper(plain, function)
        _equip(plain, calls)
        equipped: Any = CachedMethod(plain, calls) if calls.is_method else plain
        return equipped  # type: ignore[no-any-return]


def _wrapper(calls: Calls) -> Any:
    find, load = _finder(calls), calls.load

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        value = find(args, kwargs)
        return load(args, kwargs) if value is MISS else value

    return wrapper


def _async_wrapper(calls: Calls) -> Any:
    find, aload = _finder(calls), calls.aload

    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        value = find(args, kwargs)
        return await aload(args, kwargs) if value is MISS else value

    return wrapper


def _finder(calls: Calls) -> Callable[[tuple[Any, ...], dict[str, Any]], Any]:
    return calls.find_method if calls.is_method else calls.find


def _equip(wrapper: Any, calls: Calls) -> None:
    wrapper.invalidate = calls.invalidate
    wrapper.refresh = calls.arefresh if calls.is_async else calls.refresh
    wrapper.cache_info = lambda: CacheInfo(calls.hits, calls.misses, calls.loads)


class CachedMethod:
    """A cached method: bound to an instance it has ``invalidate`` and the rest bound as well."""

    def __init__(self, plain: Any, calls: Calls) -> None:
        functools.update_wrapper(self, plain)
        self._plain = plain
        self._calls = calls
        _equip(self, calls)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it with the instance as the first argument."""
        return self._plain(*args, **kwargs)

    def __get__(self, instance: Any, owner: Any) -> Any:
        if instance is None:
            return self
        bound = functools.partial(self._plain, instance)
        bound.invalidate = functools.partial(self.invalidate, instance)  # type: ignore[attr-defined]
        bound.refresh = functools.partial(self.refresh, instance)  # type: ignore[attr-defined]
        bound.cache_info = self.cache_info  # type: ignore[attr-defined]
        return bound
