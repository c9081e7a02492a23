"""The turns of one process at fetching: what it holds a lease for, and what it waits for.

A background thread, there only while something is held or waited for, renews the leases and looks
whether what others were fetching has become free. Nobody's thread is blocked by waiting.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from ohlcache.candles import Interval, IntervalSet
from ohlcache.candles.interval import difference
from ohlcache.errors import StoreError
from ohlcache.history.engine import Session
from ohlcache.history.reports import SeriesKey
from ohlcache.history.turns.leases import Claim, Held, Leases

LEASE_SECONDS = 5.0

_RENEWALS = 3  # within the time of a lease
_FIRST_LOOK, _LONGEST_LOOK = 0.005, 0.05  # seconds from one look at the leases of others to another


class _Waiting(NamedTuple):
    key: SeriesKey
    ranges: IntervalSet
    resume: Callable[[], None]


class Turns:
    """Claims ranges for one process, keeps them while they are held and waits for others'."""

    def __init__(self, leases: Leases, seconds: float, counts: Counter[str]) -> None:
        """``seconds``: how long a lease lasts without renewal."""
        self._leases = leases
        self._seconds = seconds
        self._counts = counts
        self._owner = f"{os.getpid()}-{uuid.uuid4().hex}"
        self._lock = threading.Lock()
        self._held: set[Held] = set()
        self._waiting: list[_Waiting] = []
        self._news = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def claim(self, key: SeriesKey, wanted: IntervalSet) -> Claim:
        """Take what of ``wanted`` is neither stored nor being fetched. Raises StoreErrors."""
        claim = self._leases.claim(key, wanted, self._owner, self._seconds)
        if claim.granted:
            with self._lock:
                self._held.update((key, range_) for range_ in claim.granted)
                self._look_after()
        return claim

    def may_overwrite(self, key: SeriesKey, granted: Interval, session: Session) -> bool:
        """Whether a page that is being written is still this process's own to fetch."""
        is_held = self._leases.is_held(session, key, granted, self._owner)
        self._counts["pages outrun"] += not is_held
        return is_held

    def release(self, key: SeriesKey, granted: IntervalSet) -> None:
        """Give up what was granted: it is stored, or cannot be fetched."""
        if not granted:
            return
        with self._lock:
            self._held.difference_update((key, range_) for range_ in granted)
        try:
            self._leases.release(key, granted, self._owner)
        except StoreError as error:  # not the fetch's failure: the lease ends by itself
            self._counts[f"lease error:{type(error).__name__}"] += 1

    def wait(self, key: SeriesKey, busy: IntervalSet, resume: Callable[[], None]) -> None:
        """Have ``resume`` called once some of ``busy`` is no longer being fetched by others."""
        self._counts["waited"] += 1
        with self._lock:
            self._waiting.append(_Waiting(key, busy, resume))
            self._look_after()
        self._news.set()

    def close(self) -> None:
        """Renew nothing and wait for nothing any more."""
        with self._lock:
            self._is_closed = True
            self._waiting.clear()
            thread = self._thread
        self._news.set()
        if thread is not None:
            thread.join()

    # -- the background thread ------------------------------------------------------------------

    def _look_after(self) -> None:
        if not self._is_closed and (self._thread is None or not self._thread.is_alive()):
            self._thread = threading.Thread(target=self._run, name="ohlcache-turns", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        looks = _FIRST_LOOK
        renew_at = time.monotonic() + self._seconds / _RENEWALS
        while self._has_work():
            until_renewal = max(0.0, renew_at - time.monotonic())
            if self._news.wait(min(looks, until_renewal) if self._waiting else until_renewal):
                self._news.clear()
                looks = _FIRST_LOOK
            if self._waiting:
                looks = _FIRST_LOOK if self._resume_free() else min(_LONGEST_LOOK, 2 * looks)
            if time.monotonic() >= renew_at:
                self._renew()
                renew_at = time.monotonic() + self._seconds / _RENEWALS

    def _has_work(self) -> bool:
        with self._lock:
            if self._is_closed or not (self._held or self._waiting):
                self._thread = None
                return False
            return True

    def _renew(self) -> None:
        with self._lock:
            before = set(self._held)
        if not before:
            return
        try:
            still = self._leases.renew(before, self._owner, self._seconds)
        except StoreError as error:  # the next renewal tries again
            self._counts[f"lease error:{type(error).__name__}"] += 1
            return
        with self._lock:
            lost = (before & self._held) - still
            # Fetched on all the same: another may fetch it too, and the store merges both.
            self._held -= lost
        self._counts["leases lost"] += len(lost)

    def _resume_free(self) -> bool:
        """Whether someone's wait has ended."""
        with self._lock:
            waiting = list(self._waiting)
        try:
            busy = self._leases.busy(one.key for one in waiting)
        except StoreError as error:  # whoever waits meets it at the claim, and tells its callers
            self._counts[f"lease error:{type(error).__name__}"] += 1
            free = waiting
        else:
            free = [one for one in waiting if difference(one.ranges, busy[one.key])]
        with self._lock:
            free = [one for one in free if one in self._waiting]
            self._waiting = [one for one in self._waiting if one not in free]
        for one in free:
            one.resume()
        return bool(free)
