"""What the memory tier asks of a policy: which entry goes next.

A policy is told of entries that come and go, always under the tier's lock. Hits happen without
that lock: a policy sees them as ``entry.hits`` when it looks at an entry, or sets ``entry.reveal``
to a function of its own that is called at every hit of the entry and ends as :func:`unveil` does.
"""

from __future__ import annotations

from typing import Any, Protocol

from ohlcache.cache.memory.entry import Entry


class Policy(Protocol):
    """The order in which entries leave."""

    def add(self, entry: Entry, now: float) -> None:
        """A key that was not held is."""

    def replace(self, old: Entry, new: Entry, now: float) -> None:
        """A held key was given a new value, which is a use of it."""

    def convert(self, old: Entry, new: Entry) -> None:
        """An entry took another form; nobody used it."""

    def remove(self, entry: Entry) -> None:
        """An entry was deleted or has expired."""

    def evict(self) -> Entry:
        """Take out the entry that goes next. There is at least one."""

    def spare(self, entry: Entry) -> None:
        """The entry just taken out stays in a smaller form, as one that goes soon."""

    def clear(self) -> None:
        """Nothing is held any more."""

    def stats(self) -> dict[str, object]:
        """What the policy adds to the tier's figures."""


def unveil(entry: Entry) -> Any:
    """The value to hand out, as the hit path does it where no policy looks on."""
    guard = entry.guard
    return entry.value if guard is None else guard(entry)
