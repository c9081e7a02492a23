"""What the walk asks of a tier that processes share: Redis or a database.

A tier stores opaque bytes under text keys. Every value and every removal has a *stamp*, an integer
of microseconds that grows with each change: of two states of a key the one with the larger stamp
is the newer, in whichever tier it lies. Stamps are given by the first tier that is asked to change
a key (microseconds of its clock, and always larger than its last one); other tiers then take the
change with its stamp and refuse it when they hold a newer one. A removal stays as a *tombstone*
(no data, a stamp) for a while, so that an older value that is still under way loses against it.

Operations are steps for :mod:`ohlcache.drive`: callables, or exchanges with two doors. They raise
whatever their library raises; the walk counts errors and decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from ohlcache.drive import Step
from ohlcache.telemetry.board import Board

TOMBSTONE_SECONDS = 30.0  # far longer than a read or a write may be under way


class Stored(NamedTuple):
    """A state of a key in a tier; ``data`` is None for a removed key."""

    stamp: int
    data: bytes | None


class Change(NamedTuple):
    """A state that a key shall have.

    data: None removes the key and leaves a tombstone.
    ttl_ms: milliseconds until it expires; None for never.
    stamp: 0 has the tier give one and make the change in any case. Otherwise the change is made
        only if the tier holds nothing of that stamp or a newer one.
    lease: the change is made only if the key's lease is still this one; "" for no condition.

    A change that is made ends the key's lease, whosever it is.
    """

    key: str
    data: bytes | None
    ttl_ms: int | None
    stamp: int = 0
    lease: str = ""


class Claim(NamedTuple):
    """What a claim of a key gave: its state, or the lease (``is_held``), or how long to wait.

    stored: the state when there is a live value; then no lease was taken.
    is_held: the caller now holds the lease and has to load.
    wait_ms: milliseconds until the lease of another ends at the latest.
    """

    stored: Stored | None
    is_held: bool
    wait_ms: int


class Events(Protocol):
    """What a tier tells of changes that other processes made. Called from any thread."""

    def changed(self, changes: Sequence[tuple[str, int]]) -> None:
        """Keys have a new state in the tier: (key, stamp) of each. Stamp 0: not known, newer."""

    def bumped(self, versions: Mapping[str, str]) -> None:
        """Names have a new version."""

    def lost(self) -> None:
        """Changes may have been missed, or may be from now on: trust nothing held."""

    def live(self) -> None:
        """Every change from now on will be told."""


class SharedTier(Protocol):
    """A tier that several processes share."""

    @property
    def refusals(self) -> tuple[type[BaseException], ...]:
        """Errors after which an operation has certainly changed nothing."""

    @property
    def board(self) -> Board:
        """Where the processes of the namespace leave reports; that changes no key."""

    def read(self, keys: Sequence[str]) -> Step:
        """-> dict[str, Stored]: the states of the keys that have one, tombstones included."""

    def write(self, changes: Sequence[Change], *, publish: bool = True) -> Step:
        """-> dict[str, int]: the stamp of each change that was made, 0 where it was refused.

        publish: tell the other processes (their ``Events.changed``).
        """

    def claim(
        self,
        keys: Sequence[str],
        lease: str,
        lease_ms: int,
        useless: Mapping[str, int] | None = None,
    ) -> Step:
        """-> dict[str, Claim]: values that are there; for the others the lease, or a wait.

        useless: key -> stamp up to which a value that is there does not count: the caller has seen
            it and wants to load a newer one.
        """

    def renew(self, leases: Mapping[str, str], lease_ms: int) -> Step:
        """Keep leases (key -> lease) that are still held for ``lease_ms`` from now. -> None."""

    def release(self, keys: Iterable[str], lease: str) -> Step:
        """Give leases up that are still held. -> None."""

    def versions(self, names: Sequence[str]) -> Step:
        """-> dict[str, str]: the version of each name; one that has none gets a unique one."""

    def bump(self, versions: Mapping[str, str]) -> Step:
        """Set new versions (name -> unique text) and tell the other processes. -> None."""

    def probe(self) -> Step:
        """Raise unless the tier can be read and written. -> None."""

    def listen(self, events: Events) -> None:
        """Tell ``events`` of changes that other processes make, until closed. Returns at once."""

    def renew_after_fork(self) -> None:
        """In a forked child: leave the parent's connections alone, be a process of one's own."""

    def stats(self) -> dict[str, object]:
        """Counters and sizes as plain numbers; must not raise when the tier is unreachable."""

    def close(self) -> None:
        """Stop listening and close every connection of this process."""
