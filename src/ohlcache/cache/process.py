"""The cache that all parts of a process share, and the decorator on it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from ohlcache.cache.categories import CacheCategory
from ohlcache.cache.decorate import Cached, KeyMaker
from ohlcache.cache.manager import CacheManager

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


def cached(
    category: str = CacheCategory.DEFAULT,
    ttl_seconds: float | None = None,
    *,
    key: KeyMaker = None,
    tags: Iterable[str] | Callable[..., Iterable[str]] = (),
    bulk: str | None = None,
) -> Cached:
    """Answer calls of a function, method or coroutine function from the cache of this process.

    category, ttl_seconds: as for ``CacheManager.set``; None: the category's TTL.
    key: None: the function's name and all its arguments, by type and content, whether given by
        position, by keyword or by default. Otherwise a template (``"user:{user_id}"``) or a
        callable that takes the arguments and gives the key.
    tags: names for ``invalidate_tag``, or a callable that takes the arguments and gives them.
    bulk: the parameter that takes a list of keys. The function has to return a mapping; each key is
        cached by itself and the function is called with those that are missing.

    The function gets ``invalidate(*args)``, ``refresh(*args)`` and ``cache_info()``. A method's
    self counts by its content where that is known (dataclasses, named tuples), otherwise each
    instance has its own values. What a call returns is shared: do not change it.

    Raises TypeError at a call for an argument that has no content to go by (give ``key=``).
    """
    return Cached(get_cache_manager, category, ttl_seconds, key=key, tags=tags, bulk=bulk)
