"""A shared tier as the walk sees it: behind a circuit breaker, with counters and a journal."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from ohlcache.cache.clock import Clock
from ohlcache.cache.links.breaker import Breaker
from ohlcache.cache.links.journal import Journal, Missed
from ohlcache.cache.links.trust import Trust
from ohlcache.cache.links.versions import NAMESPACE, new_version
from ohlcache.cache.tiers import Change, SharedTier, Stored
from ohlcache.cache.values import unpack
from ohlcache.drive import Step, Walk
from ohlcache.errors import TierUnavailable, ValueDamaged
from ohlcache.telemetry import Counters, Histogram

_MOST_REPLAYED = 100  # keys in one step
_MOST_MIRRORED = 100_000  # names remembered


class _NoOutcome:
    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


UNAVAILABLE: Any = _NoOutcome("UNAVAILABLE")  # the tier did not carry the operation out
UNCERTAIN: Any = _NoOutcome("UNCERTAIN")  # nobody knows whether it did


class Link:
    """One shared tier (``l2`` or ``l3``) in use.

    trust: whether the tier tells of every change at present.
    journal: what the tier missed while it was out of order.
    above, below: the neighbouring tiers.
    """

    def __init__(
        self,
        name: str,
        tier: SharedTier,
        clock: Clock,
        *,
        raise_errors: bool,
        replayed: Callable[[Mapping[str, str]], None],
    ) -> None:
        """``replayed``: told of versions that were given when the tier worked again."""
        self.name = name
        self.tier = tier
        self.trust = Trust(is_live=False)
        self.journal = Journal()
        self.breaker = Breaker(clock.monotonic)
        self.counters = Counters()
        self.read_time = Histogram()
        self.write_time = Histogram()
        self.above: Link | None = None
        self.below: Link | None = None
        self._wall = clock.wall
        self._raise_errors = raise_errors
        self._replayed = replayed
        self._mirrored: dict[str, str] = {}
        self._replays_fail = False

    @property
    def works(self) -> bool:
        """Whether the tier is in use at present."""
        return self.breaker.is_closed

    def ask(
        self, operation: Step, *, for_caller: bool = True, is_change: bool = False
    ) -> Walk[Any]:
        """What the operation gives; UNAVAILABLE when the tier is out of order or just failed.

        is_change: UNCERTAIN when it failed and may have done it all the same.
        """
        if not self.breaker.is_closed:
            return self._skipped(for_caller)
        began = time.perf_counter()
        try:
            if callable(operation):
                operation = partial(self._in_thread, operation)
            outcome = yield operation
        except TierUnavailable:
            return self._skipped(for_caller)
        except Exception as error:  # a tier may raise anything; its failure is no caller's
            self.counters.count(f"error:{type(error).__name__}")
            self.breaker.fail()
            if self._raise_errors and for_caller:
                raise
            is_refusal = isinstance(error, self.tier.refusals)
            return UNCERTAIN if is_change and not is_refusal else UNAVAILABLE
        spent = self.write_time if is_change else self.read_time
        spent.record(time.perf_counter() - began)
        return outcome

    def _in_thread(self, operation: Callable[[], Any]) -> Any:
        """Carry out what blocks; the breaker may have opened while it waited for a thread."""
        if not self.breaker.is_closed:
            raise TierUnavailable(f"tier {self.name} is out of order")
        return operation()

    def _skipped(self, for_caller: bool) -> Any:
        self.counters.count("skipped")
        if self._raise_errors and for_caller:
            raise TierUnavailable(
                f"tier {self.name} is out of order and not used until a probe succeeds: see stats()"
            )
        return UNAVAILABLE

    # -- changes --------------------------------------------------------------------------------

    def change(self, changes: Sequence[Change], *, publish: bool = True) -> Walk[Any]:
        """Write: the stamp of each change, 0 where refused; UNAVAILABLE or UNCERTAIN.

        Then the journal has the keys. A change with a stamp of its own may be made late, and is
        not uncertain.
        """
        keys = [change.key for change in changes]
        uncertain = [change.key for change in changes if not change.stamp]
        operation = self.tier.write(changes, publish=publish)
        try:
            stamps = yield from self.ask(operation, is_change=True)
        except BaseException:  # an error for the caller, or the caller is gone
            self.journal.add(untold=keys, uncertain=uncertain)
            raise
        if stamps is UNCERTAIN:
            self.journal.add(untold=keys, uncertain=uncertain)
        elif stamps is UNAVAILABLE:
            self.journal.add(untold=keys)
        return stamps

    def bump(self, versions: Mapping[str, str]) -> Walk[None]:
        """Set new versions, at the latest when the tier works again."""
        try:
            outcome = yield from self.ask(self.tier.bump(versions), is_change=True)
        except BaseException:
            self.journal.add(names=versions)
            raise
        if outcome is UNAVAILABLE or outcome is UNCERTAIN:
            self.journal.add(names=versions)

    def mirror(self, versions: Mapping[str, str], authority: Link) -> Walk[None]:
        """Have the tier know the versions that the authority gave.

        A version may change in both while an earlier one is on its way here, so the authority is
        asked again afterwards.
        """
        news = {
            name: version
            for name, version in versions.items()
            if self._mirrored.get(name) != version
        }
        while news:
            if len(self._mirrored) > _MOST_MIRRORED:
                self._mirrored.clear()
            self._mirrored.update(news)
            yield from self.bump(news)
            now = yield from authority.ask(authority.tier.versions(list(news)))
            if now is UNAVAILABLE:
                return
            news = {name: version for name, version in now.items() if news[name] != version}

    # -- making good ----------------------------------------------------------------------------

    def make_good(self) -> Walk[bool]:
        """Prove that the tier works, tell it what it missed and close the breaker.

        Whether that succeeded. What is uncertain is removed. What changed without the tier is
        taken from the tier below, where it loses against anything newer, and removed if there is
        none. Names get versions that never were, since others may have changed them meanwhile.
        """
        missed = None
        try:
            yield self.tier.probe()
            while len(self.journal):
                missed = self.journal.take()
                if self._replays_fail:  # though probes succeed: there is something it cannot take
                    missed = Missed(set(), set(), {NAMESPACE})
                yield from self._replay(missed)
                self.counters.count("replayed", sum(map(len, missed)))
                missed, self._replays_fail = None, False
        except Exception as error:  # noqa: BLE001  # counted; the next probe tries again
            self.counters.count(f"error:{type(error).__name__}")
            if missed is not None:
                self.journal.add(
                    uncertain=missed.uncertain, untold=missed.untold, names=missed.names
                )
                self._replays_fail = isinstance(error, self.tier.refusals)
            self.breaker.fail()
            self.breaker.probe_failed()
            return False
        self.breaker.close()
        return True

    def _replay(self, missed: Missed) -> Walk[None]:
        if missed.names:
            versions = {name: new_version() for name in missed.names}
            yield self.tier.bump(versions)
            self._replayed(versions)
        for keys in _portions(missed.uncertain):
            yield self.tier.write([Change(key, None, None) for key in keys])
        for keys in _portions(missed.untold):
            yield from self._take_over((yield from self._current(keys)))
            if self.above is not None:
                # It may have been filled with what this tier held until now.
                yield from self.above.change([Change(key, None, None) for key in keys])

    def _take_over(self, changes: Sequence[Change]) -> Walk[None]:
        """Make changes; where there is no room for values, let those below show through."""
        try:
            yield self.tier.write(changes)
        except self.tier.refusals as error:
            self.counters.count(f"error:{type(error).__name__}")
            older = [
                change._replace(data=None, ttl_ms=None, stamp=change.stamp - 1)
                if change.data is not None
                else change
                for change in changes
            ]
            yield self.tier.write(older)

    def _current(self, keys: Sequence[str]) -> Walk[list[Change]]:
        """What the tier below has of keys, as changes; removals where it has nothing."""
        states: Mapping[str, Stored] = {}
        if self.below is not None:
            answer = yield from self.below.ask(self.below.tier.read(keys), for_caller=False)
            states = {} if answer is UNAVAILABLE else answer
        return [self._as_change(key, states.get(key)) for key in keys]

    def _as_change(self, key: str, state: Stored | None) -> Change:
        if state is None:
            return Change(key, None, None)
        if state.data is None:
            return Change(key, None, None, state.stamp)
        try:
            left = unpack(state.data).expires - self._wall()
        except ValueDamaged:
            return Change(key, None, None)
        if left <= 0:
            return Change(key, None, None)
        ttl_ms = None if left == float("inf") else max(1, int(left * 1000))
        return Change(key, state.data, ttl_ms, state.stamp)


def _portions(keys: set[str]) -> list[list[str]]:
    listed = sorted(keys)
    return [listed[low : low + _MOST_REPLAYED] for low in range(0, len(listed), _MOST_REPLAYED)]
