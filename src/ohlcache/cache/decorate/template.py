"""Texts into which the arguments of a call are filled: ``"user:{user_id}"``."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from string import Formatter
from typing import Any

from ohlcache.errors import InvalidArgument


class Template:
    """A text with fields in braces that name parameters of one function.

    field: what messages call the text, "key" or "tags".
    names: the parameters that it names.

    Raises InvalidArgument for one that names anything else.
    """

    def __init__(self, field: str, text: str, function: str, parameters: Collection[str]) -> None:
        self._field = field
        self._text = text
        self._function = function
        self._use = f"use {', '.join(parameters)}" if parameters else "there are none"
        try:
            self.names = frozenset(_names(text))
        except ValueError as error:
            raise InvalidArgument(
                f"{field} is {text!r}, which is no template ({error}): write '{{{{' and '}}}}' for "
                "braces of the text"
            ) from None
        unknown = sorted(self.names.difference(parameters))
        if unknown:
            raise InvalidArgument(
                f"{field} is {text!r}, and {function} has no parameter {unknown[0]!r}: {self._use}"
            )

    def filled(self, arguments: Mapping[str, Any]) -> str:
        """The text of a call."""
        try:
            return self._text.format_map(arguments)
        except (LookupError, AttributeError, TypeError, ValueError) as error:
            raise InvalidArgument(
                f"{self._field} is {self._text!r}, which the arguments of {self._function} do not "
                f"fill ({type(error).__name__}: {error}): {self._use}"
            ) from None


def _names(text: str) -> Iterator[str]:
    for _, field, form, _ in Formatter().parse(text):
        if field is not None:
            yield field.partition(".")[0].partition("[")[0]
            yield from _names(form or "")
