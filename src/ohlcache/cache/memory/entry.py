"""What the memory tier holds for a key."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
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

    def __init__(
        self,
        key: Hashable,
        value: Any,
        size: int,
        weight: int,
        fresh_until: float = math.inf,
        expires: float = math.inf,
        guard: Reveal | None = None,
        note: Any = None,
        epoch: Any = None,
    ) -> None:
        self.key = key
        self.value = value
        self.size = size
        self.weight = weight
        self.fresh_until = fresh_until
        self.expires = expires
        self.reveal = self.guard = guard
        self.note = note
        self.epoch = epoch
        self.hits = 0
        self.seen = 0
        self.at = 0
        self.is_main = False

    def with_value(self, value: Any, size: int, weight: int, guard: Reveal | None) -> Entry:
        """The same entry in another form: compressed, or decompressed again."""
        other = Entry(
            self.key,
            value,
            size,
            weight,
            self.fresh_until,
            self.expires,
            guard,
            self.note,
            self.epoch,
        )
        other.hits, other.seen = self.hits, self.seen
        return other
