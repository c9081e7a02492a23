"""Removing what has expired, a little at a time, and noting what was used.

Reading must not write, so that a value was used is kept in memory and written now and then: the
tier evicts by a recency that is right to within a minute or so.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ohlcache.background import Background
from ohlcache.cache.database import reading
from ohlcache.cache.database.changing import Changing
from ohlcache.cache.database.engine import Engine
from ohlcache.cache.database.reading import Found
from ohlcache.cache.database.tables import stored_key
from ohlcache.telemetry import Counters

_AT_ONCE = 500  # entries in one transaction: others wait for some milliseconds at most
_REST_SECONDS = 0.01  # for others, between two transactions
_USE_MICROSECONDS = 60_000_000  # a use that is noted is not noted again for so long
_MOST_USES = 10_000  # held in memory

Change = Callable[[Callable[[Changing], Any]], Any]


class Sweeper:
    """Sweeps one namespace on a thread of its own."""

    def __init__(
        self,
        engine: Engine,
        change: Change,
        namespace: str,
        clock: Callable[[], float],
        seconds: float,
        counters: Counters,
    ) -> None:
        """Call ``change`` for transactions; sweep every so many ``seconds``."""
        self._engine = engine
        self._change = change
        self._namespace = namespace
        self._clock = clock
        self._seconds = seconds
        self._counters = counters
        self._used: dict[str, int] = {}
        self._background = Background("ohlcache-sweep", self._run)
        self.start = self._background.start
        self.close = self._background.end

    def note_use(self, found: Mapping[str, Found], now: int) -> None:
        """Values were read."""
        for key, state in found.items():
            if now - state.used > _USE_MICROSECONDS and len(self._used) < _MOST_USES:
                self._used[key] = now

    def renew_after_fork(self) -> None:
        """Begin anew in the child."""
        self._used = {}
        self._background.renew_after_fork()

    # -- on the thread --------------------------------------------------------------------------

    def _run(self, ended: threading.Event) -> None:
        while not ended.wait(self._seconds):
            try:
                self._sweep(ended)
            except Exception as error:  # noqa: BLE001  # the next sweep tries again
                self._counters.count(f"sweep_errors.{type(error).__name__}")

    def _sweep(self, ended: threading.Event) -> None:
        self._write_uses(ended)
        while not ended.is_set() and self._has_leftovers():
            removed = self._change(lambda changing: changing.sweep(_AT_ONCE))
            self._counters.count("expired", removed)
            if removed < _AT_ONCE:
                break
            ended.wait(_REST_SECONDS)
        self._engine.give_space_back()

    def _has_leftovers(self) -> bool:
        now = int(self._clock() * 1e6)
        return self._engine.read(
            lambda session: reading.has_leftovers(session, self._namespace, now)
        )

    def _write_uses(self, ended: threading.Event) -> None:
        used, self._used = self._used, {}
        if used:
            at = max(used.values())
            keys = [stored_key(key) for key in used]
            for first in range(0, len(keys), _AT_ONCE):
                some = keys[first : first + _AT_ONCE]
                self._change(partial(Changing.use, keys=some, at=at))
                ended.wait(_REST_SECONDS)
