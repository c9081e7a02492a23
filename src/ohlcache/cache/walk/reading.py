"""The way of a read: memory, then the shared tiers from the nearest on.

It is written once, as generators that :mod:`ohlcache.drive` carries out for both kinds of callers.
What a lower tier has is written to those above it with the stamp that it has, which loses against
anything newer there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from ohlcache.cache.clock import Clock
from ohlcache.cache.links import NOT_LIVE, UNAVAILABLE, Authority, Link
from ohlcache.cache.memory import Entry
from ohlcache.cache.shelves import ABSENT, MISS, Found, Mark, Note, Shelf
from ohlcache.cache.tiers import Change, Stored
from ohlcache.cache.values import Record, decode, decompress, unpack
from ohlcache.drive import Walk
from ohlcache.errors import ValueDamaged, ValueRefused

LARGE = 64 * 1024  # bytes from which coding goes to a thread under asyncio


class Reader:
    """Reads values of any category."""

    def __init__(self, authority: Authority, clock: Clock, pickle_key: bytes | None) -> None:
        self.authority = authority
        self.clock = clock
        self._pickle_key = pickle_key

    def read(self, shelf: Shelf, keys: Sequence[str]) -> Walk[dict[str, Found]]:
        """What there is of the keys and has not expired: fresh, stale, or remembered absence."""
        found: dict[str, Found] = {}
        doubtful: dict[str, Entry] = {}
        missing = []
        for key in keys:
            entry, is_trusted = shelf.held(key)
            if entry is not None and is_trusted:
                found[key] = shelf.opened(entry)
                continue
            missing.append(key)
            if entry is not None:
                doubtful[key] = entry
        if missing:
            opened = 0
            if shelf.links:
                opened = yield from _SharedRead(self, shelf, missing, doubtful, found).walk()
            elif doubtful:
                opened = yield from self._vouch(shelf, doubtful, found)
            shelf.counters.count("l1.misses", len(missing) - opened)
        return found

    def _vouch(
        self, shelf: Shelf, doubtful: Mapping[str, Entry], found: dict[str, Found]
    ) -> Walk[int]:
        """Serve what memory alone holds if its versions are in force; how many keys it were."""
        mark, opened = shelf.mark(), 0
        for key, entry in doubtful.items():
            yield from self.authority.learn(entry.note.versions)
            if self.authority.versions.match(entry.note.versions):
                shelf.confirm(entry, mark)
                found[key] = shelf.opened(entry)
                opened += 1
            else:
                shelf.counters.count("l1.invalidated")
                shelf.forget(key, entry)
        return opened

    def value(self, record: Record) -> Any:
        """The value of a record. Raises ValueDamaged or ValueRefused."""
        if record.is_absent:
            return ABSENT
        return decode(decompress(record.payload), signing_key=self._pickle_key)


class _SharedRead:
    """One read of the shared tiers.

    wanted: keys not found yet, by what they are called in the tiers.
    doubtful: entries in memory that may be out of date.
    removed: the stamps of removals met; what is older does not count.
    asked: the tiers that answered, with the stamps of the damaged states that they hold.
    """

    def __init__(
        self,
        reader: Reader,
        shelf: Shelf,
        wanted: Sequence[str],
        doubtful: dict[str, Entry],
        found: dict[str, Found],
    ) -> None:
        self._reader = reader
        self._shelf = shelf
        self._mark = shelf.mark()
        # Only what was read while the coordinating tier answered may be trusted afterwards.
        self._vouched = Mark(self._mark.change, NOT_LIVE)
        self._wanted = {shelf.full(key): key for key in wanted}
        self._doubtful = doubtful
        self._found = found
        self._removed: dict[str, int] = {}
        self._asked: list[tuple[Link, dict[str, int]]] = []
        self._opened_keys = 0

    def walk(self) -> Walk[int]:
        """Carry it out; how many keys memory answered after all."""
        for link in self._shelf.links:
            states = yield from link.ask(link.tier.read(list(self._wanted)))
            if states is not UNAVAILABLE:
                if link is self._shelf.links[0]:
                    self._vouched = self._mark
                yield from self._take(link, states)
            if not self._wanted:
                break
        for link, damaged in self._asked:
            if damaged:
                yield from self._clean(link, damaged)
        if self._doubtful:
            self._settle_doubts()
        return self._opened_keys

    def _open(self, key: str, entry: Entry) -> None:
        self._found[key] = self._shelf.opened(entry)
        self._opened_keys += 1

    def _take(self, link: Link, states: Mapping[str, Stored]) -> Walk[None]:
        """Take what a tier has of the wanted keys."""
        damaged: dict[str, int] = {}
        taken = yield from self._opened(link, states, damaged)
        for full in taken:
            del self._wanted[full]
        counters = self._shelf.counters
        if taken:
            counters.count(f"{link.name}.hits", len(taken))
        if self._wanted:
            counters.count(f"{link.name}.misses", len(self._wanted))
        for above, damaged_above in self._asked:
            yield from self._fill(above, damaged_above, taken)
        self._asked.append((link, damaged))

    def _opened(
        self, link: Link, states: Mapping[str, Stored], damaged: dict[str, int]
    ) -> Walk[dict[str, tuple[Stored, Record]]]:
        """Find what the states say: those that give a value."""
        taken = {}
        for full, state in states.items():
            record = self._examined(link, full, state, damaged)
            if record is None or not (
                self._reader.authority.vouches_for(record.versions)
                or (yield from self._is_in_force(link, record))
            ):
                continue
            key = self._wanted[full]
            if not self._has_confirmed(key, state):
                decode = partial(self._decoded, link, key, state, record, damaged)
                value = (yield decode) if len(record.payload) > LARGE else decode()
                if value is MISS:
                    continue
                self._keep(key, value, state, record)
            taken[full] = state, record
        return taken

    def _examined(
        self, link: Link, full: str, state: Stored, damaged: dict[str, int]
    ) -> Record | None:
        """The record of a state that is a sound value and no older than a removal."""
        key = self._wanted[full]
        if state.data is None:
            self._removed[key] = max(state.stamp, self._removed.get(key, 0))
            return None
        if self._removed and state.stamp <= self._removed.get(key, -1):
            return None
        if self._shelf.is_outdated(key, state.stamp):
            self._shelf.counters.count(f"{link.name}.overtaken")
            return None
        try:
            record = unpack(state.data)
        except ValueDamaged:
            self._shelf.counters.count(f"{link.name}.damaged")
            damaged[key] = state.stamp
            return None
        return record if record.expires > self._reader.clock.wall() else None

    def _is_in_force(self, link: Link, record: Record) -> Walk[bool]:
        """Whether the versions of a record are in force, asking for those not known."""
        authority = self._reader.authority
        yield from authority.learn(record.versions)
        if authority.versions.match(record.versions):
            return True
        self._shelf.counters.count(f"{link.name}.invalidated")
        return False

    def _has_confirmed(self, key: str, state: Stored) -> bool:
        """Whether what memory holds of the key is this state, or a newer one."""
        entry = self._doubtful.get(key) if self._doubtful else None
        if entry is None or entry.note.stamp < state.stamp:
            return False
        if entry.note.stamp == state.stamp:
            self._shelf.confirm(entry, self._vouched)
        self._open(key, entry)
        return True

    def _decoded(
        self, link: Link, key: str, state: Stored, record: Record, damaged: dict[str, int]
    ) -> Any:
        """The value of a record; MISS when it cannot be had."""
        try:
            return self._reader.value(record)
        except ValueDamaged:
            self._shelf.counters.count(f"{link.name}.damaged")
            damaged[key] = state.stamp
        except ValueRefused:  # signed with another key: not ours to remove
            self._shelf.counters.count(f"{link.name}.refused")
            link.counters.count("error:ValueRefused")
        return MISS

    def _keep(self, key: str, value: Any, state: Stored, record: Record) -> None:
        shelf = self._shelf
        note = Note.of(record, state.stamp, self._reader.clock)
        kept = shelf.keep(key, value, note, self._vouched)
        self._found[key] = Found(value, note) if kept is None else shelf.handed_out(kept)

    # -- putting tiers right --------------------------------------------------------------------

    def _fill(
        self,
        link: Link,
        damaged: dict[str, int],
        taken: Mapping[str, tuple[Stored, Record]],
    ) -> Walk[None]:
        """Write what a lower tier had to one above it, in place of anything damaged."""
        above = []
        for full, (state, record) in taken.items():
            replaced = damaged.pop(self._shelf.bare(full), None)
            stamp = state.stamp if replaced is None else max(state.stamp, replaced + 1)
            ttl_ms = ttl_until(record.expires, self._reader.clock)
            above.append(Change(full, state.data, ttl_ms, stamp))
        if above:
            yield from link.ask(link.tier.write(above, publish=False), is_change=True)

    def _clean(self, link: Link, damaged: Mapping[str, int]) -> Walk[None]:
        """Remove damaged states for which no sound one was found."""
        removals = [
            Change(self._shelf.full(key), None, None, stamp + 1) for key, stamp in damaged.items()
        ]
        yield from link.ask(link.tier.write(removals, publish=False), is_change=True)

    def _settle_doubts(self) -> None:
        """Decide about what memory holds, nobody vouches for, and no tier had."""
        shelf = self._shelf
        coordinator_answered = any(link is shelf.links[0] for link, _ in self._asked)
        for key, entry in self._doubtful.items():
            if key in self._found:
                continue
            if coordinator_answered or self._removed.get(key, 0) >= entry.note.stamp:
                shelf.forget(key, entry)
            else:  # the tier that could say better is out of order
                shelf.counters.count("l1.unverified")
                self._open(key, entry)


def ttl_until(expires: float, clock: Clock) -> int | None:
    """Milliseconds until a moment of the wall clock; None for never."""
    if expires == math.inf:
        return None
    return max(1, int((expires - clock.wall()) * 1000))
