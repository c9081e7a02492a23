"""Versions of the namespace, of categories and of tags: any number of values invalidated in O(1).

A value carries the versions that were in force before it was loaded. It is valid as long as they
still are, so that giving a name a new version invalidates everything that carries the old one, in
every tier and process, also what is being loaded at the time. Versions are unique texts, never
counters or times: one that was lost and made anew can only invalidate too much.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable, Mapping

NAMESPACE = "*"

_MOST_NAMES = 100_000  # remembered at a time; tags may be without end


def category_name(category: str) -> str:
    """The name whose version all values of a category carry."""
    return f"c:{category}"


def tag_name(tag: str) -> str:
    """The name whose version all values with a tag carry."""
    return f"t:{tag}"


def new_version() -> str:
    """A version that never was."""
    return uuid.uuid4().hex[:16]


class Versions:
    """The versions that this process knows to be in force.

    The tier that coordinates is the authority. Word of a change only makes a version unknown, so
    that it is asked for again: words of several changes may arrive in another order than they
    happened.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, str] = {}
        self._last: dict[str, str] = {}  # for when nobody can be asked
        self._number = 0
        self._changed: dict[str, int] = {}
        self._forgotten = 0  # the number up to which changes are not remembered by name

    def mark(self) -> int:
        """This moment, to be taken before asking the tier."""
        return self._number

    def unknown(self, names: Iterable[str]) -> list[str]:
        """Those whose version has to be asked for."""
        known = self._known
        return [name for name in names if name not in known]

    def of(self, names: Iterable[str]) -> dict[str, str]:
        """The versions of names; of one that is not known the last that was, or a new one."""
        with self._lock:
            return {name: self._of(name) for name in names}

    def _of(self, name: str) -> str:
        version = self._known.get(name) or self._last.get(name)
        if version is None:
            version = self._last[name] = new_version()
        return version

    def are_in_force(self, versions: Mapping[str, str]) -> bool:
        """Whether all of these are known to be in force."""
        known = self._known
        # A loop, since all() would cost four times as much.
        for name, version in versions.items():  # noqa: SIM110
            if known.get(name) != version:
                return False
        return True

    def match(self, versions: Mapping[str, str]) -> bool:
        """Whether all of these are in force, as far as is known."""
        known, last = self._known, self._last
        return all(
            (known.get(name) or last.get(name)) == version for name, version in versions.items()
        )

    def learn(self, versions: Mapping[str, str], since: int) -> None:
        """Take what the tier answered after the mark, but for names that changed since."""
        with self._lock:
            for name, version in versions.items():
                if self._changed.get(name, self._forgotten) <= since:
                    self._known[name] = self._last[name] = version
            if len(self._last) > _MOST_NAMES:
                self._forget()

    def change(self, versions: Mapping[str, str]) -> None:
        """These names have got new versions; whether others came later is not known."""
        with self._lock:
            self._number += 1
            for name, version in versions.items():
                self._changed[name] = self._number
                self._known.pop(name, None)
                self._last[name] = version
            if len(self._changed) > _MOST_NAMES:
                self._forget()

    def doubt(self) -> None:
        """Changes may have been missed: ask again before relying on any version."""
        with self._lock:
            self._number += 1
            self._forgotten = self._number
            self._changed.clear()
            self._known.clear()

    def _forget(self) -> None:
        """Begin anew: what is asked for now may be learned, what was asked before may not."""
        self._number += 1
        self._forgotten = self._number
        for names in (self._known, self._last, self._changed):
            names.clear()

    def renew_after_fork(self) -> None:
        """A new lock: a thread of the parent may have held the old one."""
        self._lock = threading.Lock()
