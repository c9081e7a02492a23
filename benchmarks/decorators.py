"""Decorators that cache a function in memory: ours and those of the peers that are installed."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ohlcache.cache import CacheManager

OURS = "ohlcache"

_SIZE = 20_000
_TTL = 600


@dataclass(frozen=True, slots=True)
class Decorate:
    """How a cache decorates a function. ``refuses``: calls that it has no key for."""

    decorator: Callable[[Any], Any]
    refuses: tuple[str, ...] = ()

    def __call__(self, function: Any) -> Any:
        return self.decorator(function)


@contextmanager
def synchronous(scratch: Path) -> Iterator[Mapping[str, Decorate]]:
    """Decorators of functions, by name; the caches are new and closed afterwards."""
    with ExitStack() as stack:
        ours = stack.enter_context(CacheManager({}))
        found = {
            OURS: Decorate(ours.cached(ttl_seconds=_TTL)),
            "lru_cache, no TTL": Decorate(functools.lru_cache(_SIZE)),
        }
        for package, make in _SYNCHRONOUS.items():
            if find_spec(package):
                found |= make(stack, scratch)
        yield found


@contextmanager
def asynchronous() -> Iterator[Mapping[str, Decorate]]:
    """Decorators of async functions, by name."""
    with CacheManager({}) as ours:
        found = {OURS: Decorate(ours.cached(ttl_seconds=_TTL))}
        for package, make in _ASYNCHRONOUS.items():
            if find_spec(package):
                found |= make()
        yield found


def missing() -> list[str]:
    """The packages of peers that are not installed."""
    return [package for package in {**_SYNCHRONOUS, **_ASYNCHRONOUS} if not find_spec(package)]


Made = dict[str, Decorate]


def _cachebox(*_: Any) -> Made:
    import cachebox

    return {
        "cachebox TTL": Decorate(cachebox.cached(cachebox.TTLCache(_SIZE, _TTL))),
        "cachebox LRU, no TTL": Decorate(cachebox.cached(cachebox.LRUCache(_SIZE))),
    }


def _cachetools(stack: ExitStack, scratch: Path) -> Made:  # noqa: ARG001
    import cachetools

    return {"cachetools": Decorate(cachetools.cached(cachetools.TTLCache(_SIZE, _TTL)))}


def _theine(*_: Any) -> Made:
    import theine

    return {"theine": Decorate(theine.Memoize(_SIZE, timedelta(seconds=_TTL)))}


def _dogpile(stack: ExitStack, scratch: Path) -> Made:  # noqa: ARG001
    from dogpile.cache import make_region

    region = make_region().configure("dogpile.cache.memory", expiration_time=_TTL)
    return {"dogpile": Decorate(region.cache_on_arguments(), refuses=("str and keyword",))}


def _diskcache(stack: ExitStack, scratch: Path) -> Made:
    import diskcache

    folder = stack.enter_context(tempfile.TemporaryDirectory(dir=scratch))
    cache = stack.enter_context(diskcache.Cache(folder))
    return {"diskcache": Decorate(cache.memoize(expire=_TTL), refuses=("method, one str",))}


def _flask_caching(stack: ExitStack, scratch: Path) -> Made:  # noqa: ARG001
    from flask import Flask
    from flask_caching import Cache

    application = Flask(__name__)
    options = {"CACHE_TYPE": "SimpleCache", "CACHE_THRESHOLD": _SIZE}
    cache = Cache(application, config=options)
    stack.enter_context(application.app_context())
    return {"Flask-Caching": Decorate(cache.memoize(timeout=_TTL))}


def _aiocache() -> Made:
    import aiocache

    return {"aiocache": Decorate(aiocache.cached(ttl=_TTL))}


def _cashews() -> Made:
    from cashews import Cache

    cache = Cache()
    cache.setup(f"mem://?size={_SIZE}")
    return {"cashews": Decorate(cache(ttl=_TTL))}


_SYNCHRONOUS = {
    "cachebox": _cachebox,
    "cachetools": _cachetools,
    "theine": _theine,
    "dogpile": _dogpile,
    "diskcache": _diskcache,
    "flask_caching": _flask_caching,
}
_ASYNCHRONOUS = {
    "cachebox": _cachebox,
    "theine": _theine,
    "aiocache": _aiocache,
    "cashews": _cashews,
}
