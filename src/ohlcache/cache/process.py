"""The cache that all parts of a process share, and the decorator on it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, overload

from ohlcache.cache.categories import CacheCategory
from ohlcache.cache.decorate import Cached, CachedFunction, KeyMaker, Seconds, TagMaker
from ohlcache.cache.manager import CacheManager, open_caches
from ohlcache.telemetry.board import Board

Arguments = ParamSpec("Arguments")
Value = TypeVar("Value")

_lock = threading.Lock()
_cache: CacheManager | None = None


def get_cache_manager() -> CacheManager:
    """The cache of this process, built on first use from the settings in force.

    ``OHLCACHE_CONFIG`` names a YAML file, ``OHLCACHE_CACHE__…`` overrides it; with neither, values
    are kept in memory only. After ``close()`` the next call builds a new one.

    Raises InvalidArgument for settings that cannot be used.
    """
    global _cache  # noqa: PLW0603  # one for the process is what this is about
    if _cache is None or _cache.is_closed:
        with _lock:
            if _cache is None or _cache.is_closed:
                _cache = CacheManager()
    return _cache


def shared_board() -> Board | None:
    """The board of a shared tier of any cache that is open in this process and works."""
    boards = (cache.board for cache in open_caches())
    return next((board for board in boards if board is not None), None)


@overload
def cached(category: Callable[Arguments, Value], /) -> CachedFunction[Arguments, Value]: ...
@overload
def cached(
    category: str = CacheCategory.DEFAULT,
    ttl_seconds: Seconds = None,
    *,
    key: KeyMaker = None,
    tags: TagMaker = (),
    bulk: str | None = None,
) -> Cached: ...
def cached(
    category: Any = CacheCategory.DEFAULT,
    ttl_seconds: Seconds = None,
    *,
    key: KeyMaker = None,
    tags: TagMaker = (),
    bulk: str | None = None,
) -> Any:
    """Answer calls of a function, method or coroutine function from the cache of this process.

    ``@cached`` without parentheses decorates with the defaults. ``@classmethod`` and
    ``@staticmethod`` stand above it.

    category: as for ``CacheManager.set``.
    ttl_seconds: seconds or a timedelta; None: the category's TTL.
    key: None: the function's name and all its arguments, by type and content, whether given by
        position, by keyword or by default. Otherwise a template (``"user:{user_id}"``) or a
        callable that takes the arguments and gives the key. Such a key is used as it is, so that
        ``CacheManager.delete`` and others find the value by it; all functions of the category that
        make the same key share its value.
    tags: names for ``invalidate_tag``, as they are or templates (``"symbol:{symbol}"``), or a
        callable that takes the arguments and gives them.
    bulk: the parameter that takes a list of keys. The function has to return a mapping; each key is
        cached by itself and the function is called with those that are missing.

    The name is that of module and function. Of functions that are defined in functions, of lambdas
    and of those of a script or notebook (``__main__``) it also has a digest: of the code, the
    defaults and what it closes over, as they are at the first call, and of the script's path. So
    the same code has the same values in every process, and other code has others; what a global
    variable holds does not count. A function that closes over something without content to go by,
    such as a connection, has values of its own, which no other process finds.

    The function gets ``invalidate(*args)``, ``refresh(*args)`` and ``cache_info()``. A method's
    self counts by its content where that is known (dataclasses, named tuples), otherwise each
    instance has its own values; cls counts by its name. What a call returns is shared: do not
    change it.

    Raises InvalidArgument, when decorating, for an argument that cannot be used and for what is no
    function with a name of its own (partials, callable objects, bound methods; with ``key=`` these
    can be cached too). A call raises TypeError for an argument that has no content to go by.
    """
    made = Cached(
        get_cache_manager,
        CacheCategory.DEFAULT if callable(category) else category,
        ttl_seconds,
        key=key,
        tags=tags,
        bulk=bulk,
    )
    return made(category) if callable(category) else made
