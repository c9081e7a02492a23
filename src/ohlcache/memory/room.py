"""Room for growth that a part announces: memory is got back before it is needed.

A look at the memory now and then comes too late for a history of hundreds of MB that is decoded in
a tenth of a second. Whoever is about to take much says so first and waits, for a bounded time,
until what RSS will be then lies below the critical mark.

What was let through and is not seen in RSS yet counts as taken. Of that, the newest of each thread
is known: parts work off what they announce in the thread that announced it, so a new word of it
means that the one before has become memory.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

from ohlcache.memory.marks import Marks
from ohlcache.memory.pacing import LEAST_SECONDS
from ohlcache.memory.pressure import Pressure
from ohlcache.memory.usage import ReadUsage, Usage

SMALL = 2**20  # bytes: less is gathered until it is as much
PATIENCE = 0.5  # seconds that an announcement may be held up
_PAUSE = 0.01  # seconds between attempts
_UNTIL_SEEN = 0.5  # seconds after which announced growth is RSS, or never came


class Room:
    """Lets announced growth through as long as there is room for it, and otherwise makes some.

    stir: called when so much was announced that the memory should be looked at soon.
    """

    def __init__(
        self,
        pressure: Pressure,
        marks: Callable[[Usage], Marks],
        read: ReadUsage,
        clock: Callable[[], float],
        stir: Callable[[], None],
    ) -> None:
        self._pressure = pressure
        self._marks = marks
        self._read = read
        self._clock = clock
        self._stir = stir
        self.renew()

    def renew(self) -> None:
        """Begin anew: a forked child does not have its parent's threads, nor what they took."""
        self._gathered = 0
        self._stirred = -math.inf
        self.announced = 0
        self.held_up = 0
        self.unmet = 0
        self.seconds = 0.0
        self._lock = threading.RLock()  # a finaliser may run, and announce memory, anywhere
        self._growing: dict[int, tuple[int, float]] = {}  # by thread: bytes, and until when

    def make(self, nbytes: int) -> None:
        """So many bytes are about to be taken by this thread."""
        if nbytes < SMALL:
            # Threads may lose some of this; it is only there so that many small ones count.
            self._gathered += nbytes
            if self._gathered < SMALL:
                return
            nbytes, self._gathered = self._gathered, 0
        if self._pressure.is_inside:
            return  # a way that needs memory to give more of it back
        self.announced += 1
        if self._excess(nbytes) is not None:
            self._hold_up(nbytes)

    def _excess(self, nbytes: int, *, in_any_case: bool = False) -> tuple[int, int] | None:
        """None where there is room, which is taken; otherwise what RSS has to come down to first.

        With it, the bytes that other threads are taking.
        """
        me = threading.get_ident()
        with self._lock:
            now = self._clock()
            self._growing.pop(me, None)
            for thread in [one for one, (_, until) in self._growing.items() if until <= now]:
                del self._growing[thread]
            others = sum(taken for taken, _ in self._growing.values())
            usage = self._read()
            marks = self._marks(usage)
            expected = usage.rss + others + nbytes
            if expected > marks.admissible and not in_any_case:
                return max(0, marks.admissible - others - nbytes), others
            self._growing[me] = (nbytes, now + _UNTIL_SEEN)
        if expected > marks.warning and now - self._stirred >= LEAST_SECONDS:
            self._stirred = now
            self._stir()
        return None

    def _hold_up(self, nbytes: int) -> None:
        began = self._clock()
        self.held_up += 1
        if not self._is_admitted(nbytes, began + PATIENCE):
            self.unmet += 1
            self._excess(nbytes, in_any_case=True)
        self.seconds += self._clock() - began

    def _is_admitted(self, nbytes: int, deadline: float) -> bool:
        """Ask for memory and try again, until there is room, or none will come, or time is up."""
        for _ in range(int(PATIENCE / _PAUSE)):
            excess = self._excess(nbytes)
            if excess is None:
                return True
            target, others = excess
            relief = self._pressure.request(target, is_urgent=True)
            if relief is not None:
                relief.done.wait(_PAUSE)
            elif others:
                threading.Event().wait(_PAUSE)  # until what others take can be given back
            is_hopeless = relief is None or (relief.done.is_set() and relief.is_in_vain)
            if self._clock() >= deadline or (is_hopeless and not others):
                break
        return self._excess(nbytes) is None

    def stats(self) -> dict[str, Any]:
        """Announcements of at least 1 MB, how many were held up, for how long, and in vain."""
        return {
            "announced": self.announced,
            "held_up": self.held_up,
            "unmet": self.unmet,
            "seconds": self.seconds,
        }
