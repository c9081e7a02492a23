"""The memory tier: values in this process, bounded by bytes, entries, or both.

A hit reads a plain dict and takes no lock: an entry is complete when it is put there and is never
changed in what a reader sees. Writes hold one lock. What has expired leaves before anything else;
then the policy says what goes, and a large value that had hits is compressed before it does.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Hashable
from typing import Any

from ohlcache.cache.memory.cold import LARGE, Compressed, deflate, inflate
from ohlcache.cache.memory.entry import Entry
from ohlcache.cache.memory.expiry import Expiry
from ohlcache.cache.memory.guard import protect
from ohlcache.cache.memory.hybrid import Hybrid
from ohlcache.cache.memory.lfu import LFU
from ohlcache.cache.memory.lru import LRU
from ohlcache.cache.memory.policy import Policy, unveil
from ohlcache.cache.memory.sizing import FLAT, size_of
from ohlcache.cache.memory.tally import Tally
from ohlcache.errors import InvalidArgument

POLICIES: dict[str, Callable[[], Policy]] = {"hybrid": Hybrid, "lru": LRU, "lfu": LFU}

ENTRY_OVERHEAD = 800  # bytes, measured: the entry and its places in dict, queue, memory and expiry
_NEVER = math.inf
_EXPIRED_AT_ONCE = 16  # that a write removes on its way
_RIGID_IN_A_ROW = 3  # values that hardly get smaller; those left are probably of their kind


class MemoryTier:
    """A cache in the memory of this process, safe to use from any thread.

    max_entries: how many entries at most; None for any number.
    max_bytes: how many bytes they take at most, keys and an overhead of 800 bytes each included;
        None for any number.
    policy: which entry goes when there is no room. ``hybrid`` adapts between recency and
        frequency, ``lru`` and ``lfu`` are exact.
    clock: seconds of a clock that never goes back.
    grown: called, without the lock, after a hit made the tier larger (a compressed value is held
        decompressed again); for a bound over several tiers.

    Arrays and frames are kept as copies and handed out read-only or as shallow copies; other
    values are shared with whoever set or got them: do not change those.

    entries: the entries by key, to be read without the lock. Whoever hands out ``entry.value``
        from here adds one to ``entry.hits``, and calls ``entry.reveal(entry)`` for the value where
        that is not None.
    lock: held by writes; whoever holds it sees and makes several changes at once.
    bytes: what is held, never more than ``max_bytes`` once a write is done.
    tally: what was counted; ``stats`` adds what has to be looked up in the entries.

    Raises InvalidArgument for limits that are not positive integers and for unknown policies.
    """

    def __init__(
        self,
        *,
        max_entries: int | None = None,
        max_bytes: int | None = None,
        policy: str = "hybrid",
        clock: Callable[[], float] = time.monotonic,
        grown: Callable[[], None] | None = None,
    ) -> None:
        if policy not in POLICIES:
            raise InvalidArgument(f"policy is {policy!r}: use one of {', '.join(POLICIES)}")
        self.entries: dict[Hashable, Entry] = {}
        self.lock = threading.RLock()
        self.bytes = 0
        self._clock = clock
        self._grown = grown
        self._policy = POLICIES[policy]()
        self._expiry = Expiry(self.entries)
        self.tally = Tally()
        self._set_limits(max_entries, max_bytes)

    # -- reading, without the lock --------------------------------------------------------------

    def get(self, key: Hashable, default: Any = None) -> Any:
        """The value of a key, or ``default``."""
        try:
            entry = self.entries[key]
        except KeyError:
            self.tally.misses += 1
            return default
        if entry.expires <= self._clock():
            self.tally.misses += 1
            return default
        entry.hits += 1
        if entry.reveal is None:
            return entry.value
        return entry.reveal(entry)

    def __contains__(self, key: Hashable) -> bool:
        entry = self.entries.get(key)
        return entry is not None and entry.expires > self._clock()

    # -- writing --------------------------------------------------------------------------------

    def set(self, key: Hashable, value: Any, ttl: float | None = None) -> None:
        """Keep a value for ``ttl`` seconds (None: no end; 0: do not keep it, nor an older one).

        A value larger than ``max_bytes`` is not kept. Raises InvalidArgument for a negative TTL.
        """
        now = self._clock()
        if ttl is None:
            self._keep(key, value, now, _NEVER, _NEVER, None, None, None)
            return
        try:
            is_valid = ttl >= 0
        except TypeError:
            is_valid = False
        if not is_valid:
            raise InvalidArgument(f"ttl is {ttl!r}: give seconds, 0 or more, or None for no end")
        until = now + ttl
        self._keep(key, value, now, until, until, None, None, None)

    def put(
        self,
        key: Hashable,
        value: Any,
        *,
        fresh_until: float = math.inf,
        expires: float = math.inf,
        note: Any = None,
        epoch: Any = None,
        size: int | None = None,
    ) -> Entry | None:
        """Keep a value until a moment of the tier's clock.

        size: of key and value, if known; None: it is measured.

        Gives the entry, or None where none was kept because it has expired already or is too
        large; then an older one is gone too.
        """
        return self._keep(key, value, self._clock(), fresh_until, expires, note, epoch, size)

    def discard(self, key: Hashable) -> bool:
        """Remove a key. Whether it was held."""
        with self.lock:
            entry = self.entries.pop(key, None)
            if entry is None:
                return False
            self._policy.remove(entry)
            self._retire(entry)
            return True

    def delete(self, key: Hashable) -> bool:
        """Remove a key. Whether it had a value."""
        with self.lock:
            was_held = key in self
            self.discard(key)
            return was_held

    def clear(self) -> None:
        """Remove everything; what was counted stays."""
        with self.lock:
            for entry in self.entries.values():
                self.tally.retired_hits += entry.hits
            self.entries.clear()
            self._policy.clear()
            self._expiry.clear()
            self.bytes = 0

    def count_anew(self) -> None:
        """Forget what was counted, as a forked child does; hits of entries are theirs and stay."""
        self.tally = Tally()

    def resize(self, max_entries: int | None, max_bytes: int | None) -> None:
        """Take other limits; what is held beyond them leaves. Raises as the constructor."""
        with self.lock:
            weighed_bytes = self._weighs_bytes
            self._set_limits(max_entries, max_bytes)
            if self._weighs_bytes != weighed_bytes:
                self._reweigh()
            now = self._clock()
            while len(self.entries) > self._max_entries or self.bytes > self._max_bytes:
                self._make_room("policy", now)

    def shrink(self, nbytes: int) -> int:
        """Free at least so many bytes, if as many are held; how many it were.

        In the policy's order: large values that had hits are compressed when their turn comes
        first, and go when it comes again.
        """
        return self._let_go(nbytes, "shrink")

    def evict(self, nbytes: int) -> int:
        """Free at least so many bytes, if as many are held, compressing none; how many it were."""
        return self._let_go(nbytes, "pressure")

    def _let_go(self, nbytes: int, cause: str) -> int:
        with self.lock:
            before, now = self.bytes, self._clock()
            while self.entries and before - self.bytes < nbytes:
                self._make_room(cause, now)
            return before - self.bytes

    def compress(self, nbytes: int) -> int:
        """Free so many bytes without losing a value, if that can be; how many it were.

        Large values become smaller, those with the fewest hits first. The next hit of one
        decompresses it.
        """
        with self.lock:
            held = list(self.entries.values())
        freed = rigid = 0
        for entry in sorted(held, key=_hits):
            if freed >= nbytes or rigid == _RIGID_IN_A_ROW:
                break
            if entry.size < LARGE or isinstance(entry.value, Compressed):
                continue
            smaller = self._compressed(entry)
            rigid = rigid + 1 if smaller is None else 0
            if smaller is not None and self._replaced(entry, smaller):
                freed += entry.size - smaller.size
        return freed

    def _replaced(self, entry: Entry, smaller: Entry) -> bool:
        with self.lock:
            is_held = self.entries.get(entry.key) is entry
            if is_held:
                self._policy.convert(entry, smaller)
                self._exchange(entry, smaller)
                self.tally.compressions += 1
            return is_held

    # -- what is held ---------------------------------------------------------------------------

    def __len__(self) -> int:
        with self.lock:
            self._expire(self._clock())
            return len(self.entries)

    def keys(self) -> list[Hashable]:
        """The keys that have a value."""
        with self.lock:
            self._expire(self._clock())
            return list(self.entries)

    def stats(self) -> dict[str, object]:
        """Figures since the tier was made, and what it holds now.

        hits, misses, sets, too_large (not kept), evictions by cause (policy, expired, shrink,
        pressure), entries, bytes (with the overheads), compressions and decompressions, and of
        what is compressed at present the entries, bytes and bytes saved. Threads may lose some
        hits and misses against each other.
        """
        with self.lock:
            self._expire(self._clock())
            return self.tally.figures(self.entries.values()) | self._policy.stats()

    # -- under the lock -------------------------------------------------------------------------

    def _set_limits(self, max_entries: int | None, max_bytes: int | None) -> None:
        for field, limit in (("max_entries", max_entries), ("max_bytes", max_bytes)):
            if limit is not None and (not isinstance(limit, int) or limit < 1):
                raise InvalidArgument(f"{field} is {limit!r}: give an integer above 0, or None")
        self._max_entries = math.inf if max_entries is None else max_entries
        self._max_bytes = math.inf if max_bytes is None else max_bytes
        self._weighs_bytes = max_bytes is not None

    def _keep(
        self,
        key: Hashable,
        value: Any,
        now: float,
        fresh_until: float,
        expires: float,
        note: Any,
        epoch: Any,
        size: int | None,
    ) -> Entry | None:
        guard = None
        if type(value) not in FLAT:
            value, guard = protect(value)
        if size is None:
            size = key.__sizeof__() if type(key) is str else size_of(key)
            size += value.__sizeof__() if type(value) is str else size_of(value)
        size += ENTRY_OVERHEAD
        entry = Entry()
        entry.key = key
        entry.value = value
        entry.size = size
        entry.weight = size if self._weighs_bytes else 1
        entry.fresh_until = fresh_until
        entry.expires = expires
        entry.reveal = entry.guard = guard
        entry.note = note
        entry.epoch = epoch
        entry.hits = entry.seen = entry.at = 0
        entry.is_main = False
        entries, expiry, policy = self.entries, self._expiry, self._policy
        tally, lock = self.tally, self.lock
        lock.acquire()  # half the time of a with statement on an RLock
        try:
            if expiry.first <= now:
                self._expire(now, _EXPIRED_AT_ONCE)
            if key in entries or expires <= now or self._weighs_bytes:
                if not self._place(entry, now):
                    return None
            else:
                if len(entries) >= self._max_entries:  # then there is nothing left that expired
                    gone = policy.evict()
                    del entries[gone.key]
                    self.bytes -= gone.size
                    tally.retired_hits += gone.hits
                    tally.evicted["policy"] += 1
                policy.add(entry, now)
            entries[key] = entry
            self.bytes += size
            tally.sets += 1
            if expires != _NEVER:
                newcomers = expiry.newcomers
                newcomers.append(key)
                if expires < expiry.first:  # noqa: PLR1730  # min() takes three times as long
                    expiry.first = expires
                if len(newcomers) > expiry.most_newcomers:
                    expiry.begin_anew()
            return entry
        finally:
            lock.release()

    def _place(self, entry: Entry, now: float) -> bool:
        """Make room for an entry and tell the policy. Whether it may be kept."""
        entries, key, size, max_bytes = self.entries, entry.key, entry.size, self._max_bytes
        if entry.expires <= now or size > max_bytes:
            self.tally.too_large += entry.expires > now
            self.discard(key)
            return False
        old = entries.get(key)
        while (self.bytes + size > max_bytes or len(entries) >= self._max_entries) and (
            old is None or self.bytes - old.size + size > max_bytes
        ):
            self._make_room("policy", now)
            old = entries.get(key)
        if old is None:
            self._policy.add(entry, now)
        else:
            self._policy.replace(old, entry, now)
            self._retire(old)
        return True

    def _make_room(self, cause: str, now: float) -> None:
        """One entry leaves or gets smaller."""
        if self._expiry.first <= now and self._expire(now, 1):
            return
        entry = self._policy.evict()
        if entry.size >= LARGE and entry.hits and self._is_short_of_bytes(cause):
            smaller = self._compressed(entry)
            if smaller is not None:
                self._policy.spare(smaller)
                self._exchange(entry, smaller)
                self.tally.compressions += 1
                return
        del self.entries[entry.key]
        self.bytes -= entry.size
        self.tally.retired_hits += entry.hits
        self.tally.evicted[cause] += 1

    def _expire(self, now: float, at_most: float = math.inf) -> int:
        """Remove so many entries that have expired; how many it were."""
        removed = 0
        while removed < at_most and self._expiry.first <= now:
            entry = self._expiry.pop(now)
            if entry is not None:
                self.discard(entry.key)
                removed += 1
        self.tally.evicted["expired"] += removed
        return removed

    def _retire(self, entry: Entry) -> None:
        """An entry is no longer held."""
        self.bytes -= entry.size
        self.tally.retired_hits += entry.hits

    def _reweigh(self) -> None:
        """Another kind of limit rules: the policy begins anew."""
        self._policy.clear()
        now = self._clock()
        for entry in self.entries.values():
            entry.weight = self._weight(entry.size)
            self._policy.add(entry, now)

    def _weight(self, size: int) -> int:
        return size if self._weighs_bytes else 1

    # -- compressed entries ---------------------------------------------------------------------

    def _is_short_of_bytes(self, cause: str) -> bool:
        """Whether a smaller entry is of use, or one less is asked for."""
        if cause != "policy":
            return cause == "shrink"  # under pressure of the process, nothing takes its time
        return self._weighs_bytes and len(self.entries) < self._max_entries

    def _compressed(self, entry: Entry) -> Entry | None:
        if isinstance(entry.value, Compressed):
            return None
        compressed = deflate(entry)
        if compressed is None:
            return None
        size = size_of(entry.key) + len(compressed.data) + ENTRY_OVERHEAD
        return entry.with_value(compressed, size, self._weight(size), self._inflate)

    def _inflate(self, entry: Entry) -> Any:
        """The value of a compressed entry, which is kept decompressed again if there is room."""
        compressed: Compressed = entry.value
        value, guard = inflate(compressed)
        size = compressed.raw_size
        raw = entry.with_value(value, size, self._weight(size), guard)
        with self.lock:
            self.tally.decompressions += 1
            is_held = self.entries.get(entry.key) is entry
            is_grown = is_held and self.bytes - entry.size + size <= self._max_bytes
            if is_grown:
                self._policy.convert(entry, raw)
                self._exchange(entry, raw)
        if is_grown and self._grown is not None:
            self._grown()
        return unveil(raw)

    def _exchange(self, old: Entry, new: Entry) -> None:
        """The same entry in another form."""
        self.bytes += new.size - old.size
        self.entries[old.key] = new


def _hits(entry: Entry) -> int:
    return entry.hits
