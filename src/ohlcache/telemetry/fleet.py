"""Several processes seen as one.

Each posts what it reads on a board that all of them can reach, and whoever looks puts together what
lies there. Nobody has to be elected or asked: a report that is not renewed disappears, and with it
the process that posted it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ohlcache.errors import ReportUnreadable
from ohlcache.telemetry.board import Board
from ohlcache.telemetry.counters import Counters
from ohlcache.telemetry.process import Process, this_process
from ohlcache.telemetry.registry import Readings
from ohlcache.telemetry.report import Report, decode, encode

_INTERVALS = 3  # that a report stays: one may be lost, and another late
_PATIENCE = 2.0  # seconds for a post under way to end
_EARLY = 0.1  # of an interval: a post that comes a little early is made all the same
_ALONE = "no shared tier works: only this process is seen"


class ProcessView(NamedTuple):
    """What one process reported.

    at: when it did, by its own wall clock, seconds since the epoch.
    age_seconds: how long ago that was, by the clock of the board.
    """

    process: Process
    at: float
    age_seconds: float
    readings: Readings


class FleetView(NamedTuple):
    """All processes at one moment.

    processes: by name, ``host:pid:start``.
    total: their readings put together: sums, maxima, minima, histograms bucket by bucket.
    unreadable: why a report could not be read, by the name it was posted under.
    problem: why other processes may be missing; "" when none are.
    """

    processes: dict[str, ProcessView]
    total: Readings
    unreadable: dict[str, str]
    problem: str


class Fleet:
    """This process among the others.

    board: gives the board to use, or None while there is none.
    interval_seconds: from post to post.
    errors: counts what fails.
    wall: the wall clock, in seconds since the epoch.
    """

    def __init__(
        self,
        board: Callable[[], Board | None],
        *,
        errors: Counters,
        interval_seconds: float = 5.0,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._board = board
        self._errors = errors
        self.interval_seconds = interval_seconds
        self._wall = wall
        self._counters = Counters()
        self._begin()

    def _begin(self) -> None:
        self._process = this_process()
        self._lock = threading.Lock()
        self._tried_at: float | None = None
        self._posted_on: Board | None = None
        self._newest = Report(self._process, self._wall(), Readings())

    def post(self, readings: Readings, at: float) -> None:
        """Tell the others what this process reads, if it is time to.

        at: seconds of a clock that never goes back. Never raises: a failure is counted, and the
        next attempt is made an interval later.
        """
        self._begin_in_child()
        if not self._lock.acquire(blocking=False):
            return  # another thread is at it
        try:
            self._newest = Report(self._process, self._wall(), readings)
            if (
                self._tried_at is None
                or at - self._tried_at >= (1 - _EARLY) * self.interval_seconds
            ):
                self._tried_at = at
                self._try_to_post()
        finally:
            self._lock.release()

    def view(self) -> FleetView:
        """All processes that report; only this one, and the problem, where that fails."""
        self._begin_in_child()
        try:
            board = self._board()
            posted = board.reports() if board is not None else None
        except Exception as error:  # whatever a board raises  # noqa: BLE001
            self._failed("view", error)
            return self._alone(f"the other processes cannot be seen: {type(error).__name__}")
        if posted is None:
            return self._alone(_ALONE)
        views, unreadable = dict[str, ProcessView](), dict[str, str]()
        for name, (raw, age_seconds) in sorted(posted.items()):
            try:
                process, at, readings = decode(raw)
            except ReportUnreadable as error:
                self._counters.count("unreadable")
                unreadable[name] = str(error)
            else:
                views[name] = ProcessView(process, at, age_seconds, readings)
        return FleetView(views, _total(views.values()), unreadable, "")

    def stats(self) -> dict[str, int]:
        """Counts: posts made, their bytes, posts refused for want of room, failures by kind."""
        return self._counters.snapshot()

    def close(self) -> None:
        """Take this process's report away at once; a later post brings it back."""
        self._begin_in_child()
        # A signal handler may be here while its own thread posts: the report then ends by itself.
        if not self._lock.acquire(timeout=_PATIENCE):
            return
        try:
            board, self._posted_on, self._tried_at = self._posted_on, None, None
            if board is not None:
                board.withdraw(self._process.name)
        except Exception as error:  # it disappears by itself  # noqa: BLE001
            self._failed("withdraw", error)
        finally:
            self._lock.release()

    def _begin_in_child(self) -> None:
        """A forked child is a process of its own; the lock it inherits may be held for ever."""
        if self._process.pid != os.getpid():
            self._begin()

    # -- under the lock -------------------------------------------------------------------------

    def _try_to_post(self) -> None:
        try:
            board = self._board()
            if board is None:
                self._counters.count("without a board")
                return
            raw = encode(self._newest)
            has_room = board.post(self._process.name, raw, _INTERVALS * self.interval_seconds)
        except Exception as error:  # whatever a board raises  # noqa: BLE001
            self._failed("post", error)
            return
        if has_room:
            self._posted_on = board
            self._counters.count("posts")
            self._counters.count("posted_bytes", len(raw))
        else:
            self._counters.count("refused")
            self._errors.count("fleet post: the board is full")

    # -- small parts ----------------------------------------------------------------------------

    def _failed(self, what: str, error: Exception) -> None:
        self._counters.count(f"failed {what}: {type(error).__name__}")
        self._errors.count(f"fleet {what}: {type(error).__name__}")

    def _alone(self, problem: str) -> FleetView:
        process, at, readings = self._newest
        own = ProcessView(process, at, max(0.0, self._wall() - at), readings)
        return FleetView({process.name: own}, readings, {}, problem)


def _total(views: Iterable[ProcessView]) -> Readings:
    total = Readings()
    for view in views:
        total.left_out += view.readings.left_out
        for (metric, labels), value in view.readings.values.items():
            total.add(metric, value, *labels)
    return total
