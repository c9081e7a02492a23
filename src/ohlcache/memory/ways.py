"""The ways to get memory back: the allocator's free memory, what parts and users offer, garbage.

First goes what costs nobody anything, then what costs its owner least, last a full collection of
garbage: it holds up every thread, and little of what fills a process is in cycles.
"""

from __future__ import annotations

import gc
import inspect
from collections.abc import Callable
from typing import Any

from ohlcache.errors import InvalidArgument
from ohlcache.memory.relief import Way
from ohlcache.reclaim import COMPRESS, offers

ALLOCATOR, CALLBACK, GARBAGE = 0, 40, 90  # orders; those of parts lie between the first two
_AT_WORK = 10.0  # seconds that ours are waited for which work, or hold up every thread anyway


def all_ways(callbacks: list[Way]) -> list[Way]:
    """Everybody who can be asked, in order."""
    ways = [FREE_MEMORY, *_of_parts(), *callbacks, COLLECTION]
    return sorted(ways, key=lambda way: way.order)


def without_loss() -> list[Way]:
    """What costs nobody anything but time."""
    return [COLLECTION, FREE_MEMORY]


def compressing() -> list[Way]:
    """Those who keep what they have, in less memory."""
    return [way for way in _of_parts() if way.takes_time]


def _of_parts() -> list[Way]:
    return [
        Way(*one, takes_time=True, patience=_AT_WORK) if one.order <= COMPRESS else Way(*one)
        for one in offers()
    ]


def way_of(callback: Callable[..., Any], name: str | None, order: int) -> Way:
    """A user's callback as a way. Raises InvalidArgument for one that could not be called."""
    shown = name or getattr(callback, "__qualname__", None) or type(callback).__name__
    if not callable(callback) or inspect.iscoroutinefunction(callback):
        raise InvalidArgument(
            f"callback {shown} is {_kind(callback)}: give a function that can be called "
            "with the bytes wanted, or with nothing"
        )
    takes_bytes = _takes_bytes(callback, shown)

    def free(wanted: int) -> int | None:
        given = callback(wanted) if takes_bytes else callback()
        return given if isinstance(given, int) and not isinstance(given, bool) else None

    return Way(shown, order, free)


def _kind(callback: object) -> str:
    return "a coroutine function" if callable(callback) else f"a {type(callback).__name__}"


def _takes_bytes(callback: Callable[..., Any], shown: str) -> bool:
    try:
        parameters = inspect.signature(callback).parameters.values()
    except ValueError:  # built in, without a signature
        return False
    positional = [one for one in parameters if one.kind <= one.VAR_POSITIONAL]
    required = [
        one
        for one in parameters
        if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]
    if len(required) > 1 or any(one.kind is one.KEYWORD_ONLY for one in required):
        names = ", ".join(one.name for one in required)
        raise InvalidArgument(
            f"callback {shown} requires ({names}): it is called with the bytes wanted at most, "
            "give the others defaults"
        )
    # What a built-in takes if anything (gc.collect: a generation) is not bytes.
    return bool(required) or (bool(positional) and not inspect.isbuiltin(callback))


def _let_go_of_nothing(_: int) -> None:
    """Free memory is given back within a step in which too little was let go of."""


def _collect(_: int) -> None:
    gc.collect()


FREE_MEMORY = Way("free memory of the allocator", ALLOCATOR, _let_go_of_nothing)
COLLECTION = Way("garbage collection", GARBAGE, _collect, patience=_AT_WORK)
