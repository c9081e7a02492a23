"""Asking for versions in force, and putting new ones in force."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from ohlcache.cache.links.link import UNAVAILABLE, Link
from ohlcache.cache.links.versions import Versions
from ohlcache.drive import Walk

_MOST_ANSWERS = 3


class Authority:
    """The first shared tier that works says which versions are in force; without any, we do.

    changed: called when versions are no longer what they were.
    """

    def __init__(
        self, links: Sequence[Link], versions: Versions, changed: Callable[[], None]
    ) -> None:
        self.versions = versions
        self._links = tuple(links)
        self._changed = changed

    def vouches_for(self, versions: Mapping[str, str]) -> bool:
        """Whether these are in force, and every change of them would have been heard."""
        is_heard = not self._links or self._links[0].trust.epoch.is_live
        return is_heard and self.versions.are_in_force(versions)

    def learn(self, names: Iterable[str]) -> Walk[None]:
        """Have the versions of names known, as far as a tier answers."""
        if not self._links or self._links[0].trust.epoch.is_live:
            names = self.versions.unknown(names)
            if not names:
                return
        asked = list(names)
        if not self._links:
            self.versions.learn(self.versions.of(asked), self.versions.mark())
        # An answer that a change overtook does not count, and the tier is asked again.
        for _ in range(_MOST_ANSWERS):
            yield from self._ask(asked)
            asked = self.versions.unknown(asked)
            if not asked:
                return

    def _ask(self, names: Sequence[str]) -> Walk[None]:
        mark = self.versions.mark()
        for position, link in enumerate(self._links):
            answer = yield from link.ask(link.tier.versions(names))
            if answer is not UNAVAILABLE:
                self.versions.learn(answer, mark)
                # The tiers below need them for when this one is out of order.
                for lower in self._links[position + 1 :]:
                    yield from lower.mirror(answer, link)
                return

    def bump(self, versions: Mapping[str, str]) -> Walk[None]:
        """Put new versions in force, in every tier and process."""
        self.versions.change(versions)
        self._changed()
        for link in self._links:
            yield from link.bump(versions)
        # Versions that were asked for meanwhile may be the old ones.
        self.versions.change(versions)
        self._changed()
