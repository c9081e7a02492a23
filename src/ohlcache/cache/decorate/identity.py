"""What the instance or class that a method belongs to counts as in a key."""

from __future__ import annotations

import uuid
from typing import Any
from weakref import ref

from ohlcache.cache.keys import fingerprint

# By id, since some cannot be hashed. An entry leaves as its object does, before the id can belong
# to another one.
known_identities: dict[int, str] = {}
_references: dict[int, ref[Any]] = {}


def identity(owner: Any) -> str:
    """The text that stands for ``self`` or ``cls``.

    The content where that has a fingerprint (dataclasses, named tuples, Enum members), and the name
    of a class; otherwise the object itself: then it has values of its own, in this process only.

    Raises TypeError for an object with neither content nor room for a weak reference.
    """
    known = known_identities.get(id(owner))
    if known is not None:
        return known
    try:
        text = fingerprint(owner)
    except TypeError:  # no content to go by
        _remember(owner, text := f"object {uuid.uuid4().hex}")
    else:
        if isinstance(owner, type):  # its name does not change, as content may
            _remember(owner, text)
    return text


def _remember(owner: Any, text: str) -> None:
    number = id(owner)

    def forget(_: ref[Any]) -> None:
        known_identities.pop(number, None)
        _references.pop(number, None)

    try:
        _references[number] = ref(owner, forget)
    except TypeError:
        kind = type(owner)
        raise TypeError(
            f"{kind.__module__}.{kind.__qualname__} has instances that cannot be told apart: "
            "add '__weakref__' to its __slots__, or give key="
        ) from None
    known_identities[number] = text
