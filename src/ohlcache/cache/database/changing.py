"""The changes of one transaction, in terms of both databases.

Every transaction that changes a namespace first locks the namespace's row of the clock, so they
follow one after the other: stamps grow, sizes add up, and of many that claim a key one gets it.
The decisions are made here, in Python, on what the tables hold at that moment.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ohlcache.cache.database import reading
from ohlcache.cache.database.engine import Row, Session
from ohlcache.cache.database.tables import stored_key
from ohlcache.cache.tiers import TOMBSTONE_SECONDS, Change, Claim

ENTRY_BYTES = 100  # what a row takes beside key and data, about
_EVICTED_AT_ONCE = 32
_MOST_EVICTED = 5000  # of one transaction: others wait for it

_CLOCK = "SELECT stamp, entries, bytes FROM ohlcache1_clock WHERE namespace = ?"
_NEW_CLOCK = "INSERT INTO ohlcache1_clock VALUES (?, 0, 0, 0) ON CONFLICT (namespace) DO NOTHING"
_SET_CLOCK = "UPDATE ohlcache1_clock SET stamp = ?, entries = ?, bytes = ? WHERE namespace = ?"
_HELD = "SELECT key, stamp, size, expires FROM ohlcache1_entries WHERE namespace = ? AND key"
_PUT = (
    "INSERT INTO ohlcache1_entries (namespace, key, stamp, data, size, expires, used) "
    "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (namespace, key) DO UPDATE SET "
    "stamp = excluded.stamp, data = excluded.data, size = excluded.size, "
    "expires = excluded.expires, used = excluded.used"
)
_REMOVE = "DELETE FROM ohlcache1_entries WHERE namespace = ? AND key"
_EXPIRED = (
    "SELECT key, size FROM ohlcache1_entries WHERE namespace = ? AND expires <= ? "
    "ORDER BY expires LIMIT ?"
)
_LEAST_USED = "SELECT key, size FROM ohlcache1_entries WHERE namespace = ? ORDER BY used LIMIT ?"
_USE = (
    "UPDATE ohlcache1_entries SET used = ? "
    "WHERE namespace = ? AND used < ? AND data IS NOT NULL AND key"
)
_LEASES = "SELECT key, lease, ends FROM ohlcache1_leases WHERE namespace = ? AND ends > ? AND key"
_LEASE = (
    "INSERT INTO ohlcache1_leases (namespace, key, lease, ends) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (namespace, key) DO UPDATE SET lease = excluded.lease, ends = excluded.ends"
)
_END_LEASES = "DELETE FROM ohlcache1_leases WHERE namespace = ? AND key"
_RELEASE = "DELETE FROM ohlcache1_leases WHERE namespace = ? AND lease = ? AND key"
_SWEEP_LEASES = "DELETE FROM ohlcache1_leases WHERE namespace = ? AND ends <= ?"
_VERSION = (
    "INSERT INTO ohlcache1_versions (namespace, name, version, used) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (namespace, name) DO UPDATE SET version = excluded.version, used = excluded.used"
)
_SWEEP_VERSIONS = "DELETE FROM ohlcache1_versions WHERE namespace = ? AND used <= ?"


class _Held(NamedTuple):
    stamp: int
    size: int
    expires: int | None


@dataclass
class Changing:
    """One transaction in a namespace.

    now: microseconds of the wall clock.
    max_bytes: the limit of what the namespace holds, or None.
    """

    session: Session
    namespace: str
    now: int
    max_bytes: int | None = None
    evicted: int = 0
    oversized: int = 0
    _stamp: int = field(init=False)
    entries: int = field(init=False)
    total_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        query = _CLOCK + self.session.ROW_LOCK
        rows = self.session.rows(query, self.namespace)
        if not rows:
            self.session.run(_NEW_CLOCK, self.namespace)
            rows = self.session.rows(query, self.namespace)
        self._stamp, self.entries, self.total_bytes = rows[0]

    # -- values ---------------------------------------------------------------------------------

    def write(self, changes: Sequence[Change]) -> dict[str, int]:
        """Make the changes that may be made; their stamps, 0 for the others."""
        keys = {change.key: stored_key(change.key) for change in changes}
        held = self._held(keys.values())
        leases = self._leases([keys[change.key] for change in changes if change.lease])
        made: dict[str, int] = {}
        rows: dict[bytes, Row] = {}
        for change in changes:
            key = keys[change.key]
            state = held.get(key)
            if self._is_refused(change, state, leases.get(key)):
                made.setdefault(change.key, 0)
                continue
            stamp = change.stamp or max(self.now, self._stamp + 1)
            self._stamp = max(self._stamp, stamp)
            rows[key] = row = self._row(change, key, stamp)
            self._account(state, row)
            held[key] = _Held(stamp, row[4], row[5])
            leases.pop(key, None)
            made[change.key] = stamp
        if rows:
            self.session.run_each(_PUT, list(rows.values()))
            self.session.run_of(_END_LEASES, rows, self.namespace)
            self._keep_within_limit()
            self._set_clock()
        return made

    def sweep(self, limit: int) -> int:
        """Remove at most ``limit`` expired entries, and ended leases; how many entries it were."""
        expired = self.session.rows(_EXPIRED, self.namespace, self.now, limit)
        self._remove(expired)
        self.session.run(_SWEEP_LEASES, self.namespace, self.now)
        # Who still knows one of them finds its entries gone, as after a bump.
        self.session.run(_SWEEP_VERSIONS, self.namespace, self.now - reading.VERSION_MICROSECONDS)
        self._set_clock()
        return len(expired)

    def use(self, keys: Collection[bytes], at: int) -> None:
        """Note that values were used."""
        self.session.run_of(_USE, keys, at, self.namespace, at)

    def touch(self) -> None:
        """Write, and change nothing."""
        self._set_clock()

    def _held(self, keys: Collection[bytes]) -> dict[bytes, _Held]:
        rows = self.session.rows_of(_HELD, keys, self.namespace)
        return {key: _Held(stamp, size, expires) for key, stamp, size, expires in rows}

    def _is_refused(
        self, change: Change, state: _Held | None, lease: tuple[str, int] | None
    ) -> bool:
        if change.lease and (lease is None or lease[0] != change.lease):
            return True
        if not change.stamp or state is None or state.stamp < change.stamp:
            return False
        return state.expires is None or state.expires > self.now

    def _row(self, change: Change, key: bytes, stamp: int) -> Row:
        data, ttl_ms = change.data, change.ttl_ms
        size = ENTRY_BYTES + len(key) + len(data or b"")
        if data is not None and self.max_bytes is not None and size > self.max_bytes:
            self.oversized += 1
            data, size = None, ENTRY_BYTES + len(key)
        if data is None:
            expires = self.now + int(TOMBSTONE_SECONDS * 1e6)
            return self.namespace, key, stamp, None, size, expires, expires
        until = None if ttl_ms is None else self.now + ttl_ms * 1000
        return self.namespace, key, stamp, data, size, until, self.now

    def _account(self, old: _Held | None, row: Row) -> None:
        self.entries += old is None
        self.total_bytes += row[4] - (old.size if old else 0)

    def _keep_within_limit(self) -> None:
        """Expired entries go first, then those that were not used for longest.

        After a limit was lowered by much it takes several transactions.
        """
        if self.max_bytes is None:
            return
        while self.total_bytes > self.max_bytes and self.evicted < _MOST_EVICTED:
            rows = self.session.rows(
                _EXPIRED, self.namespace, self.now, _EVICTED_AT_ONCE
            ) or self.session.rows(_LEAST_USED, self.namespace, _EVICTED_AT_ONCE)
            if not rows:
                return
            excess = self.total_bytes - self.max_bytes
            count = 0
            while excess > 0 and count < len(rows):
                excess -= rows[count][1]
                count += 1
            self._remove(rows[:count])
            self.evicted += count

    def _remove(self, rows: Sequence[Row]) -> None:
        if rows:
            self.session.run_of(_REMOVE, [row[0] for row in rows], self.namespace)
        self.entries -= len(rows)
        self.total_bytes -= sum(row[1] for row in rows)

    def _set_clock(self) -> None:
        self.session.run(_SET_CLOCK, self._stamp, self.entries, self.total_bytes, self.namespace)

    # -- leases ---------------------------------------------------------------------------------

    def claim(
        self, names: Mapping[bytes, str], lease: str, lease_ms: int, useless: Mapping[str, int]
    ) -> dict[str, Claim]:
        """Values, or the lease for those that nobody else holds; ``names``: stored key -> key."""
        found = reading.states(self.session, self.namespace, names, self.now)
        leases = self._leases(names)
        claims: dict[str, Claim] = {}
        taken: list[Row] = []
        for key, name in names.items():
            state = found.get(name)
            holder, ends = leases.get(key, (lease, 0))
            if (
                state is not None
                and state.stored.data is not None
                and state.stored.stamp > useless.get(name, -1)
            ):
                claims[name] = Claim(state.stored, is_held=False, wait_ms=0)
            elif holder == lease:
                claims[name] = Claim(None, is_held=True, wait_ms=0)
                taken.append((self.namespace, key, lease, self.now + lease_ms * 1000))
            else:
                wait_ms = math.ceil((ends - self.now) / 1000)
                claims[name] = Claim(None, is_held=False, wait_ms=wait_ms)
        if taken:
            self.session.run_each(_LEASE, taken)
        return claims

    def renew(self, leases: Mapping[bytes, str], lease_ms: int) -> None:
        """Have the leases that are still held end ``lease_ms`` from now."""
        held = self._leases(leases)
        ends = self.now + lease_ms * 1000
        kept = [
            (self.namespace, key, lease, ends)
            for key, lease in leases.items()
            if key in held and held[key][0] == lease
        ]
        if kept:
            self.session.run_each(_LEASE, kept)

    def release(self, keys: Collection[bytes], lease: str) -> None:
        """Give up the leases that are still held."""
        self.session.run_of(_RELEASE, keys, self.namespace, lease)

    def _leases(self, keys: Collection[bytes]) -> dict[bytes, tuple[str, int]]:
        if not keys:
            return {}
        rows = self.session.rows_of(_LEASES, keys, self.namespace, self.now)
        return {key: (lease, ends) for key, lease, ends in rows}

    # -- versions -------------------------------------------------------------------------------

    def versions(self, names: Mapping[bytes, str]) -> dict[str, str]:
        """The versions of the names, now used; those that have none get one."""
        found = reading.versions(self.session, self.namespace, names, since=0)
        versions = {name: found.get(name) or uuid.uuid4().hex for name in names.values()}
        self.bump(versions)
        return versions

    def bump(self, versions: Mapping[str, str]) -> None:
        """Set new versions."""
        rows: Iterable[Row] = (
            (self.namespace, stored_key(name), version, self.now)
            for name, version in versions.items()
        )
        self.session.run_each(_VERSION, list(rows))
