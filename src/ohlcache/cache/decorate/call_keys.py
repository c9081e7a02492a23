"""The key of each call of a function, and its tags."""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

from ohlcache.cache.decorate.checks import KeyMaker, checked_signature, label_of
from ohlcache.cache.decorate.identity import identity
from ohlcache.cache.decorate.template import Template
from ohlcache.cache.keys import KeyText, arguments_text, function_name, key_text
from ohlcache.errors import InvalidArgument

Bound = inspect.BoundArguments

_OWNERS = ("self", "cls")


class CallKeys:
    """Calls of one function, bound to its parameters, and their keys.

    owner: the parameter that takes the instance or class of a method; None for a function.
    bulk: the parameter that takes a list of keys, or None.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        key: KeyMaker,
        tags: tuple[str, ...] | Callable[..., Any],
        bulk: str | None,
    ) -> None:
        self._function = function
        self._alone = uuid.uuid4().hex
        self._signature = checked_signature(function, bulk)
        self._label = label_of(function)
        self.bulk = bulk
        names = list(self._signature.parameters)
        self.owner = names[0] if names and names[0] in _OWNERS else None
        self._key = self._template("key", key) if isinstance(key, str) else key
        self._tags = (
            tags
            if callable(tags)
            else [self._template("tags", tag) if _is_template(tag) else tag for tag in tags]
        )
        self._refuse_what_calls_would_share()

    def _template(self, field: str, text: str) -> Template:
        return Template(field, text, self._label, list(self._signature.parameters))

    def _refuse_what_calls_would_share(self) -> None:
        parameters = self._signature.parameters.keys() - {self.owner}
        if isinstance(self._key, Template) and parameters and not self._key.names:
            raise InvalidArgument(
                f"key names no parameter of {self._label}, so that all calls would get one value: "
                f"use {', '.join(sorted(parameters))} in braces, or a callable"
            )
        if isinstance(self._tags, list):
            named = {name for tag in self._tags if isinstance(tag, Template) for name in tag.names}
            if self.bulk in named:
                raise InvalidArgument(
                    f"tags name {self.bulk!r}, the list of keys of {self._label}, and all keys of "
                    "a call get the same tags: name another parameter"
                )

    def bound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Bound:
        """A call with its defaults. Raises TypeError for arguments that do not fit."""
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self._label}() {error}") from None
        bound.apply_defaults()
        return bound

    def text(self, call: Bound) -> KeyText:
        """The key of a call."""
        if isinstance(self._key, Template):
            return KeyText(key_text(self._key.filled(call.arguments)))
        if self._key is not None:
            return KeyText(key_text(self._key(*call.args, **call.kwargs)))
        arguments = call.arguments
        if self.owner is not None:
            arguments = {**arguments, self.owner: identity(arguments[self.owner])}
        return KeyText(arguments_text(self._name, arguments.items()))

    def texts(self, call: Bound) -> dict[str, Any]:
        """The keys that a bulk call is for, with the item of its list that each belongs to."""
        assert self.bulk is not None
        items = call.arguments[self.bulk]
        if isinstance(items, str | bytes) or not isinstance(items, Iterable):
            raise InvalidArgument(f"{self.bulk} of {self._label} is {items!r}: give a list of keys")
        return {self.text(self.restricted(call, item)): item for item in items}

    def restricted(self, call: Bound, items: Any) -> Bound:
        """A bulk call for these items."""
        assert self.bulk is not None
        return Bound(self._signature, {**call.arguments, self.bulk: items})

    def tags(self, call: Bound, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterable[str]:
        """The tags of a call."""
        if callable(self._tags):
            found: Iterable[str] = self._tags(*args, **kwargs)
            return found
        return [
            tag.filled(call.arguments) if isinstance(tag, Template) else tag for tag in self._tags
        ]

    @cached_property
    def _name(self) -> str:
        """The function's name, made at its first call: what it closes over is there by then."""
        try:
            return function_name(self._function)
        except TypeError:  # it closes over what has no content: its values are its own
            return f"{self._label}#{self._alone}"


def _is_template(tag: str) -> bool:
    return "{" in tag or "}" in tag
