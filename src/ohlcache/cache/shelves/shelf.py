"""One category in process memory, kept in step with what the other processes do."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any, NamedTuple

from ohlcache.cache.clock import Clock
from ohlcache.cache.keys import DERIVED, KeyText
from ohlcache.cache.links import NAMESPACE, Epoch, Link, Trust, Versions, category_name
from ohlcache.cache.memory import Entry, MemoryTier, size_of
from ohlcache.cache.shelves.budget import Budget
from ohlcache.cache.shelves.changes import ALWAYS_NEWER, Changes
from ohlcache.cache.values import Compression, Record
from ohlcache.reclaim import announce
from ohlcache.settings import CategorySettings
from ohlcache.telemetry import Counters, Histogram

_MB = 2**20
_EARLIEST_REFRESH = 0.1  # of the TTL before it ends
_WORTH_ANNOUNCING = 2**20  # bytes


class _Nothing:
    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


ABSENT: Any = _Nothing("ABSENT")  # the value of a remembered "there is none"
MISS: Any = _Nothing("MISS")  # no value


class Note(NamedTuple):
    """What is known of a value besides the value.

    fresh_until, expires: by the monotonic clock of this process.
    stamp: of the state in the shared tiers.
    cost: seconds that loading took; 0 for a value that was set.
    is_absent: a remembered "there is none".
    """

    stamp: int
    fresh_until: float
    expires: float
    versions: dict[str, str]
    cost: float = 0.0
    is_absent: bool = False

    @staticmethod
    def of(record: Record, stamp: int, clock: Clock) -> Note:
        """The note on a record of this stamp."""
        offset = clock.monotonic() - clock.wall()
        return Note(
            stamp,
            record.fresh_until + offset,
            record.expires + offset,
            record.versions,
            record.cost,
            record.is_absent,
        )


class Found(NamedTuple):
    """A value and what is known of it."""

    value: Any
    note: Note


class Mark(NamedTuple):
    """A moment before I/O: what is kept afterwards must not be older than what is known then."""

    change: int
    epoch: Epoch


class Shelf:
    """The values of one category that this process holds.

    links: the shared tiers of the category, nearest first; the first coordinates.
    trust: of the tier that coordinates; without one, of what says which versions are in force.
    """

    def __init__(
        self,
        name: str,
        policy: CategorySettings,
        tier: MemoryTier,
        *,
        links: Sequence[Link],
        trust: Trust,
        versions: Versions,
        budget: Budget,
        clock: Clock,
    ) -> None:
        self.name = name
        self.links = tuple(links)
        self.trust = trust
        self._budget = budget
        self.versions = versions
        self.clock = clock
        self.monotonic = clock.monotonic
        self.counters = Counters()
        self.load_time = Histogram()
        self.hits = 0
        self.hit_time = Histogram()  # of one hit in 64: timing all would cost as much as they do
        self.names = (NAMESPACE, category_name(name))
        self.tier = tier
        self.entries = self.tier.entries
        self._prefix = f"{name}:"
        self._changes = Changes()
        self.adopt(policy)

    def adopt(self, policy: CategorySettings) -> None:
        """Go on by another policy; what is held beyond its limits leaves."""
        self.policy = policy
        max_bytes = None if policy.max_size_mb is None else int(policy.max_size_mb * _MB)
        self.tier.resize(policy.max_entries, max_bytes)
        self._most_bytes = min(max_bytes or self._budget.max_bytes, self._budget.max_bytes)
        self.compression = _compression(policy)
        self._is_kept = "l1" in policy.tiers

    def full(self, key: str) -> str:
        """The key in tiers that all categories share."""
        return self._prefix + key

    def bare(self, full: str) -> str:
        """The key within the category."""
        return full[len(self._prefix) :]

    def hit(self, key: Any) -> Any:
        """The value that may be served at once, ABSENT, or MISS, of a key as callers give it.

        Takes no lock.
        """
        # Texts of other types (StrEnum) and those that look derived are held under other texts.
        if key[:1] == DERIVED if type(key) is str else type(key) is not KeyText:
            return MISS
        entry = self.entries.get(key)
        now = self.monotonic()
        if entry is None or entry.fresh_until <= now or entry.epoch is not self.trust.epoch:
            return MISS
        entry.hits += 1
        hits = self.hits = self.hits + 1
        if hits & 63:
            return entry.value if entry.reveal is None else entry.reveal(entry)
        return self.timed(entry, now)

    def timed(self, entry: Entry, began: float) -> Any:
        """The value of an entry; how long the hit takes is recorded."""
        value = entry.value if entry.reveal is None else entry.reveal(entry)
        self.hit_time.record(self.monotonic() - began)
        return value

    # -- what is held ---------------------------------------------------------------------------

    def mark(self) -> Mark:
        """This moment, to be taken before I/O."""
        return Mark(self._changes.mark(), self.trust.epoch)

    def held(self, key: str) -> tuple[Entry | None, bool]:
        """The entry of a key that has not expired, and whether it may be served without asking."""
        entry = self.entries.get(key)
        if entry is None or entry.expires <= self.clock.monotonic():
            return None, False
        epoch = self.trust.epoch
        if entry.epoch is epoch:
            return entry, True
        if not self.versions.match(entry.note.versions):
            self.counters.count("l1.invalidated")
            self.forget(key, entry)
            return None, False
        is_of_this_era = entry.epoch is not None and entry.epoch.era == epoch.era
        if not (is_of_this_era and epoch.is_live):
            return entry, False
        if not self.versions.are_in_force(entry.note.versions):
            return entry, False
        entry.epoch = epoch
        return entry, True

    def opened(self, entry: Entry) -> Found:
        """The value of an entry; counts as a hit."""
        entry.hits += 1
        self.hits += 1
        return self.handed_out(entry)

    @staticmethod
    def handed_out(entry: Entry) -> Found:
        """The value of an entry as callers may have it."""
        return Found(entry.value if entry.reveal is None else entry.reveal(entry), entry.note)

    def keep(
        self,
        key: str,
        value: Any,
        note: Note,
        mark: Mark,
        *,
        is_change: bool = False,
        size: int | None = None,
    ) -> Entry | None:
        """Hold a state that was read or written since the mark, unless a newer one is known.

        is_change: this process made the state; older ones that are still being read are refused.
        size: bytes of key and value, if known.
        """
        if not self._is_kept:
            return None
        size = size_of(key) + size_of(value) if size is None else size
        if size >= _WORTH_ANNOUNCING:
            announce(size)
        # Before it is held: afterwards it might be the one that the policy lets go. For what is
        # too large to be held nothing else has to leave.
        if size <= self._most_bytes:
            self._budget.enforce(coming=size)
        with self.tier.lock:
            if not self._changes.allow(key, mark.change, note.stamp):
                self.counters.count("l1.overtaken")
                self._discard_older(key, note.stamp)
                return None
            if is_change:
                self._changes.note(key, note.stamp, mark.change)
            entry = self.tier.put(
                key,
                value,
                fresh_until=self._refresh_at(note),
                expires=note.expires,
                note=note,
                epoch=mark.epoch if mark.epoch.is_live else None,
                size=size,
            )
        if entry is None:
            self.counters.count("l1.too_large")
        else:
            self._budget.enforce()
        return entry

    def confirm(self, entry: Entry, mark: Mark) -> None:
        """The entry was compared with what coordinates after the mark: it may be trusted."""
        entry.epoch = mark.epoch if mark.epoch.is_live else None

    def is_outdated(self, key: str, stamp: int) -> bool:
        """Whether a newer state of the key than this one is known."""
        return self._changes.outdate(key, stamp)

    def drop(self, key: str, stamp: int) -> bool:
        """A newer state of the key is known: what is held of it leaves. Whether there was one."""
        stamp = stamp or ALWAYS_NEWER
        with self.tier.lock:
            self._changes.note(key, stamp)
            return self._discard_older(key, stamp)

    def _discard_older(self, key: str, stamp: int) -> bool:
        entry = self.entries.get(key)
        if entry is None or entry.note.stamp >= stamp:
            return False
        return self.tier.discard(key)

    def forget(self, key: str, entry: Entry) -> None:
        """Let an entry go that is no longer valid."""
        with self.tier.lock:
            if self.entries.get(key) is entry:
                self.tier.discard(key)

    def _refresh_at(self, note: Note) -> float:
        """When a hit shall have the value loaded anew: at the latest when its TTL ends.

        XFetch (Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache Stampede Prevention,
        VLDB 2015) draws at each access whether to refresh early; drawing the moment once when the
        value is kept has the same distribution and costs a hit nothing.
        """
        beta = self.policy.early_refresh
        if not note.cost or not beta or note.fresh_until == math.inf:
            return note.fresh_until
        early = note.cost * beta * random.expovariate(1.0)
        ttl = note.fresh_until - self.clock.monotonic()
        return note.fresh_until - min(early, _EARLIEST_REFRESH * ttl)


def _compression(policy: CategorySettings) -> Compression | None:
    if policy.compression is False:
        return None
    codec = "zstd" if policy.compression is True else policy.compression
    return Compression(codec, policy.compression_min_bytes, policy.compression_min_saving)
