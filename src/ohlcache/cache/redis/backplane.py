"""What messages and invalidations from the server mean; no I/O.

A message is ``[origin, shard, sequence, (kind, what, of)…]``, msgpack, published by the script that
made the change. Kinds: ``c`` a key and its new stamp; ``x`` a key that changed but whose copies
elsewhere stay good; ``b`` a name and its new version. The sequence counts the messages of a shard,
so a missing one is noticed with the next.

With tracking, the server also names every key that changed, whoever changed it. It does so at the
end of its loop turn, after the message of the script: keys that no message since the last
invalidation explains were changed by a client that is none of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from ohlcache.cache.redis.keys import Layout
from ohlcache.cache.tiers import Events


class Backplane:
    """Turns what the server sends into events, and notices what was missed."""

    def __init__(
        self, origin: str, layout: Layout, events: Events, count: Callable[..., None]
    ) -> None:
        self._origin, self._layout, self._events, self._count = origin, layout, events, count
        self._sequences: dict[int, int] = {}
        self._explained: set[str] = set()
        self._is_live = False

    def connected(self) -> None:
        """Everything from now on arrives here."""
        self._sequences.clear()
        self._explained.clear()
        self._is_live = True
        self._events.live()

    def disconnected(self) -> None:
        """Nothing may be trusted until connected again."""
        if self._is_live:
            self._is_live = False
            self._events.lost()

    def message(self, payload: bytes) -> None:
        """A message arrived."""
        try:
            origin, shard, sequence, news = _parse(payload, self._layout.shards)
        except (msgspec.DecodeError, msgspec.ValidationError, ValueError, IndexError):
            self._count(damaged_messages=1)
            self._missed()
            return
        self._count(messages=1)
        self._follow(shard, sequence)
        self._explained.update(what for kind, what, _ in news if kind != "b")
        if origin == self._origin:
            return
        changed = [(what, int(of)) for kind, what, of in news if kind == "c"]
        bumped = {what: of for kind, what, of in news if kind == "b"}
        if changed:
            self._events.changed(changed)
        if bumped:
            self._events.bumped(bumped)

    def invalidated(self, keys: Sequence[bytes] | None) -> None:
        """The server names keys that changed; None for all of them."""
        if keys is None:
            self._count(flushes=1)
            self._missed()
            return
        prefix = len(self._layout.data_prefixes[0])
        names = [key[prefix:].decode(errors="replace") for key in keys]
        foreign = [(name, 0) for name in names if name not in self._explained]
        self._explained.clear()
        if foreign:
            self._count(foreign_changes=len(foreign))
            self._events.changed(foreign)

    def _follow(self, shard: int, sequence: int) -> None:
        if not sequence:  # the server had no room to count
            return
        expected = self._sequences.get(shard, sequence - 1) + 1
        self._sequences[shard] = sequence
        if sequence != expected:
            self._count(gaps=1)
            self._missed()

    def _missed(self) -> None:
        self._events.lost()
        self._events.live()


def _parse(payload: bytes, shards: int) -> tuple[str, int, int, list[tuple[str, str, str]]]:
    """The parts of a message. Raises one of several errors for a damaged one."""
    words = msgspec.msgpack.decode(payload, type=list[str | int])
    origin, shard, sequence = words[0], words[1], words[2]
    news = msgspec.convert(
        list(zip(words[3::3], words[4::3], words[5::3], strict=True)), list[tuple[str, str, str]]
    )
    if not (isinstance(origin, str) and isinstance(shard, int) and isinstance(sequence, int)):
        raise ValueError("a message has an origin, a shard and a sequence")
    if not 0 <= shard < shards or any(
        kind not in ("b", "c", "x") or (kind == "c" and not of.isdecimal()) for kind, _, of in news
    ):
        raise ValueError("a message is of a known shard and kind")
    return origin, shard, sequence, news
