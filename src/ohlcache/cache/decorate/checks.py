"""What ``@cached`` is given, checked when it decorates."""

from __future__ import annotations

import functools
import inspect
import math
import types
from collections.abc import Callable, Iterable
from datetime import timedelta
from numbers import Real
from typing import Any

from ohlcache.errors import InvalidArgument

Seconds = float | timedelta | None
KeyMaker = str | Callable[..., Any] | None
TagMaker = str | Iterable[str] | Callable[..., str | Iterable[str]]

_BINDERS = {classmethod: "classmethod", staticmethod: "staticmethod"}


def checked_category(category: Any) -> str:
    """The category's name. Whether there is one of it is known at the first call."""
    if isinstance(category, str):
        return category
    hint = "; without one write @cached()" if callable(category) else ""
    raise InvalidArgument(f"category is {category!r}: give its name{hint}")


def checked_seconds(ttl: Any) -> float | None:
    """Seconds; None stays."""
    if ttl is None:
        return None
    seconds = ttl.total_seconds() if isinstance(ttl, timedelta) else ttl
    is_number = isinstance(seconds, Real) and not isinstance(seconds, bool)
    if is_number and 0 <= float(seconds) < math.inf:
        return float(seconds)
    raise InvalidArgument(
        f"ttl_seconds is {ttl!r}: give seconds, 0 or more, or a timedelta; None is the category's"
    )


def checked_key(key: Any) -> KeyMaker:
    """A template, a callable or None."""
    if key is None or isinstance(key, str) or callable(key):
        return key  # type: ignore[no-any-return]
    raise InvalidArgument(
        f"key is {key!r}: give a template such as 'user:{{user_id}}', a callable that takes the "
        "arguments, or None"
    )


def checked_tags(tags: Any) -> tuple[str, ...] | Callable[..., Any]:
    """Texts, or a callable."""
    if callable(tags):
        return tags  # type: ignore[no-any-return]
    found = (tags,) if isinstance(tags, str) else tags
    if isinstance(found, Iterable):
        found = tuple(found)
        if all(isinstance(tag, str) and tag for tag in found):
            return found
    raise InvalidArgument(
        f"tags is {tags!r}: give a text, several, or a callable that takes the arguments"
    )


def checked_function(function: Any, key: KeyMaker) -> None:
    """Raises InvalidArgument for what cannot be cached; without a key a name is needed for one."""
    label = label_of(function)
    binder = _BINDERS.get(type(function))
    if binder is not None:
        raise InvalidArgument(f"function {label} is a {binder}: write @{binder} above @cached")
    if not callable(function):
        raise InvalidArgument(f"function is {function!r}: decorate a function")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise InvalidArgument(
            f"function {label} is a generator, which can be read only once: return a list"
        )
    if key is None and not _has_own_name(function):
        raise InvalidArgument(
            f"function {label} has no name that would tell it from others of its kind: give key=, "
            "or decorate a function that calls it"
        )


def checked_signature(function: Callable[..., Any], bulk: str | None) -> inspect.Signature:
    """The signature of a function, which has to have the parameter ``bulk``."""
    label = label_of(function)
    try:
        signature = inspect.signature(function)
    except ValueError:  # some builtins
        raise InvalidArgument(
            f"function {label} does not tell its parameters: decorate a function that calls it"
        ) from None
    if bulk is None:
        return signature
    taken = [name for name, one in signature.parameters.items() if one.kind not in _VARIABLE]
    if bulk not in taken:
        raise InvalidArgument(
            f"bulk is {bulk!r}, which is no parameter of {label} that takes the list of keys: "
            f"use {', '.join(taken) or 'none'}"
        )
    return signature


_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def label_of(function: Any) -> str:
    """What messages call a function."""
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calls give a coroutine."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004  # an object with an async __call__
    )


def _has_own_name(function: Any) -> bool:
    owner = getattr(function, "__self__", None)
    is_bound = owner is not None and not isinstance(owner, types.ModuleType)
    is_named = isinstance(getattr(function, "__qualname__", None), str)
    return is_named and not is_bound and not isinstance(function, functools.partial)
