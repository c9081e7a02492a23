"""The way of a write: the shared tiers from the nearest on, memory last.

The first tier that works makes the change and gives it its stamp; the tiers below take it with that
stamp, and refuse it when they hold something newer. A tier that is out of order gets it later.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from ohlcache.cache.clock import Clock
from ohlcache.cache.links import UNAVAILABLE, UNCERTAIN, Authority, Link, Stamps, tag_name
from ohlcache.cache.memory import size_of
from ohlcache.cache.shelves import ABSENT, ALWAYS_NEWER, NO_TIER, Found, Mark, Note, Shelf
from ohlcache.cache.tiers import Change
from ohlcache.cache.values import Record, compress, encode, pack
from ohlcache.cache.walk.flight import Flights
from ohlcache.cache.walk.reading import LARGE, ttl_until
from ohlcache.drive import Walk


class Draft(NamedTuple):
    """Values about to be stored: their bytes were made first, since that may fail.

    sizes: what they and their keys take in memory, where that had to be known.
    """

    values: Mapping[str, Any]
    payloads: Mapping[str, bytes]
    sizes: Mapping[str, int]


class Terms(NamedTuple):
    """Under which conditions values are stored.

    ttl: seconds for which they are fresh; None for ever.
    cost: seconds that loading them took.
    """

    ttl: float | None
    versions: dict[str, str]
    cost: float = 0.0


class Right(NamedTuple):
    """By which right the outcome of a load is stored.

    link: the tier that gave the lease; None when no tier could.
    stamp: a stamp given before the load, for when no tier gives one.
    """

    link: Link | None
    lease: str
    stamp: int


class Writer:
    """Writes and removes values of any category."""

    def __init__(
        self,
        authority: Authority,
        flights: Flights,
        stamps: Stamps,
        clock: Clock,
        pickle_key: bytes | None,
    ) -> None:
        self._authority = authority
        self._flights = flights
        self._stamps = stamps
        self._clock = clock
        self._pickle_key = pickle_key

    def write(
        self, shelf: Shelf, values: Mapping[str, Any], ttl: float | None, tags: Sequence[str]
    ) -> Walk[None]:
        """Give keys new values. Raises TypeError for a value that no shared tier could hold."""
        draft = yield from self.draft(shelf, values)
        names = (*shelf.names, *map(tag_name, tags))
        yield from self._authority.learn(names)
        mark = shelf.mark()
        terms = Terms(ttl, self._authority.versions.of(names))
        self._flights.detach(map(shelf.full, values))
        yield from self.store(shelf, draft, terms, mark, None)

    def remove(self, shelf: Shelf, keys: Sequence[str]) -> Walk[None]:
        """Remove keys from every tier and process."""
        self._flights.detach(map(shelf.full, keys))
        for key in keys:
            shelf.drop(key, ALWAYS_NEWER)
        removals = [Change(shelf.full(key), None, None) for key in keys]
        stamps = yield from self._change(shelf, removals, None)
        for key in keys:
            shelf.drop(key, stamps[shelf.full(key)])

    def draft(self, shelf: Shelf, values: Mapping[str, Any]) -> Walk[Draft]:
        """Values and their bytes. Raises TypeError for one that cannot be serialised."""
        if not shelf.links:
            return Draft(values, {}, {})
        payloads, sizes = {}, {}
        for key, value in values.items():
            code = partial(self._payload, shelf, value)
            sizes[key] = size_of(key) + size_of(value)
            payloads[key] = (yield code) if sizes[key] > LARGE else code()
        return Draft(values, payloads, sizes)

    def _payload(self, shelf: Shelf, value: Any) -> bytes:
        if value is ABSENT:
            return b""
        encoded = encode(value, signing_key=self._pickle_key)
        payload = compress(encoded, shelf.compression)
        shelf.counters.count("encoded_bytes", len(encoded))
        shelf.counters.count("saved_bytes", len(encoded) - len(payload))
        return payload

    def store(
        self, shelf: Shelf, draft: Draft, terms: Terms, mark: Mark, right: Right | None
    ) -> Walk[dict[str, Found]]:
        """Store values in all tiers; what was found newer meanwhile stays.

        right: for the outcome of a load; None for a value that is set whatever was there.
        """
        now = self._clock.wall()
        changes, records = [], {}
        for key, value in draft.values.items():
            ttl = terms.ttl
            if ttl is not None and shelf.policy.jitter:
                ttl *= 1 - shelf.policy.jitter * random.random()
            fresh_until = math.inf if ttl is None else now + ttl
            expires = fresh_until + shelf.policy.stale_seconds
            payload = draft.payloads.get(key, b"")
            is_absent = value is ABSENT
            record = Record(
                now, fresh_until, expires, terms.cost, terms.versions, is_absent, payload
            )
            records[key] = record
            if shelf.links:
                ttl_ms = ttl_until(expires, self._clock)
                changes.append(Change(shelf.full(key), pack(record), ttl_ms))
        if shelf.links:
            try:
                stamps = yield from self._change(shelf, changes, right)
            except BaseException:  # an error for the caller, or the caller is gone
                for key in draft.values:  # nobody knows whether it was changed
                    shelf.drop(key, ALWAYS_NEWER)
                raise
        else:
            stamp = right.stamp if right else self._stamps.next()
            stamps = dict.fromkeys(map(shelf.full, draft.values), stamp)
            if right is None:  # of changes at the same time in one memory any may be the last
                mark = mark._replace(change=ALWAYS_NEWER)
        stored = {}
        for key, value in draft.values.items():
            note = Note.of(records[key], stamps[shelf.full(key)], self._clock)
            entry = None
            if note.stamp:
                size = draft.sizes.get(key)
                entry = shelf.keep(key, value, note, mark, is_change=True, size=size)
            else:
                shelf.counters.count("loads_overtaken")
            stored[key] = Found(value, note) if entry is None else shelf.handed_out(entry)
        return stored

    def unstored(self, values: Mapping[str, Any], terms: Terms) -> dict[str, Found]:
        """Values as they are handed out when they are not to be kept anywhere."""
        now = self._clock.monotonic()
        note = Note(0, now, now, terms.versions, terms.cost)
        return {
            key: Found(value, note._replace(is_absent=value is ABSENT))
            for key, value in values.items()
        }

    def _change(
        self, shelf: Shelf, changes: Sequence[Change], right: Right | None
    ) -> Walk[dict[str, int]]:
        """Make changes in every tier: the stamp of each by full key, 0 where it was refused."""
        stamps: dict[str, int] | None = None
        for link in shelf.links:
            if stamps is None:
                lease = right.lease if right and link is right.link else ""
                batch = [change._replace(lease=lease) for change in changes] if lease else changes
                outcome = yield from link.change(batch)
                if outcome is UNAVAILABLE or outcome is UNCERTAIN:
                    if lease:  # whether the lease was still held will never be known
                        return dict.fromkeys((change.key for change in changes), 0)
                else:
                    stamps = outcome
                    changes = _stamped(changes, outcome)
            elif changes:
                yield from link.change(changes, publish=False)
        return stamps or dict.fromkeys((change.key for change in changes), NO_TIER)


def _stamped(changes: Iterable[Change], stamps: Mapping[str, int]) -> list[Change]:
    """The changes that were made, with their stamps."""
    return [
        change._replace(stamp=stamps[change.key], lease="")
        for change in changes
        if stamps[change.key]
    ]
