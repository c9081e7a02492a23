"""What the memory tier holds for a key."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from copy import copy
from typing import Any

Reveal = Callable[["Entry"], Any]


class Entry:
    """A value with its expiry, its uses and what the policies note about it.

    value: what is kept; hand it out only if ``reveal`` is None.
    reveal: called with the entry at every hit; gives the value to hand out. A policy that has to
        see the hits of an entry puts itself here, in front of ``guard``.
    guard: None, or what makes a value to hand out from the kept one (a frame, compressed bytes).
    size: bytes that the entry is accounted with.
    fresh_until, expires: seconds of the tier's clock; ``fresh_until <= expires``.
    hits: counted without a lock, so that threads may lose some.
    epoch, note: for the layer above.
    weight: what the policy counts: ``size`` where bytes are limited, otherwise 1.
    seen: how many of the hits the policy has taken into account; ``hits - seen`` are new.
    at: when the policy knows it was used last, by a count of its own.
    is_main: whether the policy holds the entry among the proved ones.

    The tier fills it in; a constructor would take a tenth of the time of a set.
    """

    __slots__ = (
        "at",
        "epoch",
        "expires",
        "fresh_until",
        "guard",
        "hits",
        "is_main",
        "key",
        "note",
        "reveal",
        "seen",
        "size",
        "value",
        "weight",
    )

    key: Hashable
    value: Any
    size: int
    weight: int
    fresh_until: float
    expires: float
    guard: Reveal | None
    reveal: Reveal | None
    note: Any
    epoch: Any
    hits: int
    seen: int
    at: int
    is_main: bool

    def with_value(self, value: Any, size: int, weight: int, guard: Reveal | None) -> Entry:
        """The same entry in another form: compressed, or decompressed again."""
        other = copy(self)
        other.value, other.size, other.weight = value, size, weight
        other.reveal = other.guard = guard
        return other
