"""Single-flight: of all who want the same keys loaded, one loads and the others wait.

A flight runs by itself (in its own task under asyncio), so that no caller's cancellation touches
it. It belongs to the keys until they change: who comes after a change begins a new one, and what
the old one brings is given to those who waited for it but is not kept.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass
from typing import Any

from ohlcache.cache.walk.loader import LoaderThreads
from ohlcache.drive import Walk, drive, drive_async
from ohlcache.errors import OhlcacheError

_LOOK_SECONDS = 0.1  # between two looks whether another event loop still runs


class FlightAborted(OhlcacheError):
    """The event loop that carried out a load has ended; somebody else has to load."""


class WaitBlocksLoop(OhlcacheError):
    """A blocking wait in the very event loop that carries out the flight would never end."""


class Flight:
    """A load of some keys (as shared tiers name them); ``future`` gives what was found."""

    def __init__(self, keys: Iterable[str]) -> None:
        self.keys = frozenset(keys)
        self.future: Future[dict[str, Any]] = Future()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.task: asyncio.Task[None] | None = None

    @property
    def is_stranded(self) -> bool:
        """Whether it is carried out by an event loop that does not run (any more)."""
        return self.loop is not None and not self.loop.is_running()

    def landing(self) -> Landing:
        """The step that waits for the outcome."""
        return Landing(self)

    def settle(self, outcome: dict[str, Any] | None, error: BaseException | None) -> None:
        """Give those who wait the outcome, or the error."""
        if error is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(outcome or {})


@dataclass(frozen=True, slots=True)
class Landing:
    """Wait for a flight; its own end is none of the waiter's doing."""

    flight: Flight

    def run(self) -> dict[str, Any]:
        """Raises WaitBlocksLoop when this thread runs the loop that carries the flight out.

        Raises FlightAborted when that loop has stopped.
        """
        future = self.flight.future
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        if loop is not None and loop is self.flight.loop and not future.done():
            raise WaitBlocksLoop("an async load of the same key is under way in this event loop")
        if self.flight.loop is None:
            return future.result()
        while not future.done():
            wait([future], _LOOK_SECONDS)
            self._refuse_stranded()
        return future.result()

    async def arun(self) -> dict[str, Any]:
        """A cancelled task leaves the flight alone. Raises FlightAborted as :meth:`run`."""
        future = asyncio.wrap_future(self.flight.future)
        if self.flight.loop not in (None, asyncio.get_running_loop()):
            # Of a future that was never looked at asyncio would log the error.
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
            while not future.done():
                await asyncio.wait([future], timeout=_LOOK_SECONDS)
                self._refuse_stranded()
        return await asyncio.shield(future)

    def _refuse_stranded(self) -> None:
        if not self.flight.future.done() and self.flight.is_stranded:
            raise FlightAborted("the event loop that carries out the load has stopped")


class Flights:
    """The flights of one cache by key."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flights: dict[str, Flight] = {}

    def join(self, keys: Sequence[str]) -> tuple[Flight | None, dict[str, Flight]]:
        """A new flight for those keys that have none, and the flights of the others."""
        with self._lock:
            joined = {key: self._flights[key] for key in keys if key in self._flights}
            mine = [key for key in keys if key not in joined]
            if not mine:
                return None, joined
            flight = Flight(mine)
            self._flights.update(dict.fromkeys(mine, flight))
            return flight, joined

    def leave(self, flight: Flight) -> None:
        """The flight is over."""
        with self._lock:
            for key in flight.keys:
                if self._flights.get(key) is flight:
                    del self._flights[key]

    def detach(self, keys: Iterable[str]) -> None:
        """These keys changed: who comes now must not join a flight that began before."""
        if self._flights:
            with self._lock:
                for key in keys:
                    self._flights.pop(key, None)

    def detach_all(self) -> None:
        """Anything may have changed."""
        with self._lock:
            self._flights.clear()

    def __len__(self) -> int:
        return len(self._flights)

    def renew_after_fork(self) -> None:
        """A forked child has none of its parent's threads, so none of its flights."""
        self._lock = threading.Lock()
        self._flights = {}


class Launch:
    """Carry a flight out: inline in a thread, in a task of its own in an event loop.

    background: threads to carry it out in when the caller does not wait for it.
    """

    def __init__(
        self,
        flights: Flights,
        flight: Flight,
        walk: Walk[dict[str, Any]],
        threads: Executor,
        background: LoaderThreads | None = None,
    ) -> None:
        self._flights = flights
        self._flight = flight
        self._walk = walk
        self._threads = threads
        self._background = background

    def run(self) -> None:
        """Returns when the flight is over, or at once; an error is in the flight's future."""
        if self._background is None:
            self._carry_out()
        else:
            self._background.submit(self._carry_out)

    def _carry_out(self) -> None:
        try:
            outcome = drive(self._walk)
        except BaseException as error:
            self._over(None, error)
            if not isinstance(error, Exception):
                raise  # KeyboardInterrupt and the like concern this thread
        else:
            self._over(outcome, None)

    async def arun(self) -> None:
        """Returns at once."""
        self._flight.loop = asyncio.get_running_loop()
        self._flight.task = self._flight.loop.create_task(self._fly())
        # A task that ends before its first step never enters its own try block.
        self._flight.task.add_done_callback(self._ended)

    async def _fly(self) -> None:
        try:
            outcome = await drive_async(self._walk, self._threads)
        except Exception as error:  # belongs to those who wait  # noqa: BLE001
            self._over(None, error)
        else:
            self._over(outcome, None)

    def abandon(self) -> None:
        """It did not begin, or its thread was interrupted: whoever waits has to begin another."""
        self._walk.close()
        self._over(None, None)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or not self._flight.future.done():
            self._walk.close()
            self._over(None, None)

    def _over(self, outcome: dict[str, Any] | None, error: BaseException | None) -> None:
        self._flights.leave(self._flight)
        if self._flight.future.done():
            return
        if outcome is None and (error is None or not isinstance(error, Exception)):
            error = FlightAborted("the load was ended before it was done")
        self._flight.settle(outcome, error)
