"""Calls that memory answers at once.

A key's text takes microseconds to make, so calls whose arguments are plain scalars are looked up by
the arguments themselves. The index gives the text and nothing else, so it may be lost at any time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from ohlcache.cache.decorate.identity import known_identities
from ohlcache.cache.shelves import ABSENT

Raw = Any  # a call as the index knows it: the arguments with their types, since 1 == 1.0 == True
Otherwise = Callable[[tuple[Any, ...], dict[str, Any], Raw], Any]

_SCALARS = frozenset((str, int, float, bool, bytes, type(None)))
_MOST_INDEXED = 65_536


class _Nowhere:
    """Holds nothing: before the first call there may be no cache yet."""

    entries: ClassVar[dict[str, Any]] = {}


class Hits:
    """What memory answers of one function: ``shelf`` is where, ``index`` under which text."""

    def __init__(self) -> None:
        self.count = 0
        self.shelf: Any = _Nowhere
        self._index: dict[Raw, str] = {}

    def learn(self, raw: Raw, arguments: int, text: str) -> None:
        """The text of a call of so many arguments, if these are plain scalars."""
        if all(map(_is_plain, raw[:arguments] if type(raw) is tuple else (raw,))):
            if len(self._index) >= _MOST_INDEXED:
                self._index.clear()
            self._index[raw] = text

    def finder(  # noqa: C901  # written out, since each call would cost as much as the rest of it
        self, otherwise: Otherwise, *, is_method: bool
    ) -> Callable[..., Any]:
        """A function that answers what memory can, and has ``otherwise`` answer the rest."""
        index = self._index

        def find(*args: Any, **kwargs: Any) -> Any:
            raw: Raw
            given = args
            if is_method and args:
                owner = args[0]
                given = (known_identities.get(id(owner), owner), *args[1:])
            if kwargs:
                raw = _raw_of_named(given, kwargs)
            elif len(given) == 1:
                (raw,) = given
                if type(raw) is not str:
                    raw = (raw, type(raw))
            elif len(given) == 2:
                one, two = given
                raw = (one, two, type(one), type(two))
            else:
                raw = (*given, *map(type, given))
            shelf = self.shelf
            try:
                entry = shelf.entries[index[raw]]
            except (KeyError, TypeError):  # TypeError: an argument that counts by its content
                return otherwise(args, kwargs, raw)
            now = shelf.monotonic()
            if entry.fresh_until <= now or entry.epoch is not shelf.trust.epoch:
                return otherwise(args, kwargs, raw)
            entry.hits += 1
            hits = shelf.hits = shelf.hits + 1
            if hits & 63 == 0:
                value = shelf.timed(entry, now)
            else:
                value = entry.value if entry.reveal is None else entry.reveal(entry)
            if value is ABSENT:
                return otherwise(args, kwargs, raw)
            self.count += 1
            return value

        return find


def _raw_of_named(given: tuple[Any, ...], kwargs: dict[str, Any]) -> Raw:
    if len(given) == 1 and len(kwargs) == 1:  # the same as below, faster
        (one,), ((name, two),) = given, kwargs.items()
        return (one, two, type(one), type(two), name)
    given += (*kwargs.values(),)
    return (*given, *map(type, given), *kwargs)


def _is_plain(value: Any) -> bool:
    # Zeros of either sign are equal but not the same.
    return type(value) in _SCALARS and (type(value) is not float or value != 0)
