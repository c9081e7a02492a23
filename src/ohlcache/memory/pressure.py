"""Reliefs: one at a time, in threads of their own, and not over and over in vain.

All who want memory of everybody share the relief under way. One that asks only some waits until
that is over, and is then in nobody's way: what everybody is asked for does not wait for it.

A relief runs in threads of its own. Whoever waits for it can give up waiting, so that a way that
wants a lock that the waiting one holds holds up nobody for long. A way that takes longer than its
patience is *hanging*: the relief goes on without it, and it is not asked again before it comes
back.

A relief is *in vain* when all ways together brought less than a tenth of what was wanted. The next
one is then put off, for twice as long each time, unless the process has grown since.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from ohlcache.memory.allocator import map_large_pieces
from ohlcache.memory.relief import Relief, Step, Way, is_asking
from ohlcache.memory.reputation import Reputation
from ohlcache.memory.usage import ReadUsage

_log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 60.0  # seconds after a relief in vain
_GROWN = 1.02
_RECENTLY = 60.0  # seconds
_LONGEST_RELIEF = 30.0  # seconds that who asks some only waits for the relief under way
_KEPT = 100  # steps to look back on


class Pressure:
    """Carries out reliefs and remembers what they brought."""

    def __init__(
        self,
        ways: Callable[[], list[Way]],
        read: ReadUsage,
        clock: Callable[[], float],
    ) -> None:
        self._ways = ways
        self._read = read
        self._clock = clock
        self.maps_large_pieces = False
        self.renew()

    def renew(self) -> None:
        """Begin anew: a forked child has neither its parent's threads nor done what is counted."""
        self.counts: Counter[str] = Counter()
        self.seconds: defaultdict[str, float] = defaultdict(float)  # by way
        self.recovered: Counter[str] = Counter()  # bytes by way
        self.errors: Counter[str] = Counter()  # by way
        self.steps: deque[Step] = deque(maxlen=_KEPT)
        self._lock = threading.RLock()  # a finaliser may run, and want memory, anywhere
        self._current: Relief | None = None
        self._reputation = Reputation(self._clock)
        self._hanging: dict[Callable[[int], int | None], str] = {}
        self._in_vain = 0
        self._brought_at = -math.inf
        self._resume: tuple[float, float] = (0.0, 0.0)  # a moment, or this RSS

    @property
    def is_inside(self) -> bool:
        """Whether this thread is carrying out a relief: it must not wait for one."""
        return is_asking()

    @property
    def is_in_vain(self) -> bool:
        """Whether the last relief was in vain, and so were those of the last minute."""
        return self._in_vain > 0 and self._clock() - self._brought_at > _RECENTLY

    @property
    def hanging(self) -> list[str]:
        """The names of ways that are left running and have not come back."""
        with self._lock:
            return sorted(self._hanging.values())

    def request(
        self, target: int, ways: Sequence[Way] | None = None, *, is_urgent: bool = False
    ) -> Relief | None:
        """Have RSS brought down to ``target``: the relief to wait for.

        None when it is put off, or asked for from within a relief.
        is_urgent: what takes time is asked last.
        ways: who is asked; None: everybody, by the relief under way if there is one. With these,
            it begins after that one, and is never put off nor in vain.
        """
        if self.is_inside:
            self.counts["reentered"] += 1
            return None
        with self._lock:
            current = self._under_way()
            if ways is not None:
                relief = self._relief(target, ways)
                self._begin(relief, after=current)
                return relief
            if current is not None:
                current.target = min(current.target, target)
                current.is_urgent |= is_urgent
                return current
            if self._is_put_off():
                self.counts["put_off"] += 1
                return None
            relief = self._current = self._relief(target, self._reputation.ordered(self._ways()))
            relief.is_urgent = is_urgent
        self.maps_large_pieces = map_large_pieces()
        self._begin(relief)
        return relief

    def _relief(self, target: int, ways: Sequence[Way]) -> Relief:
        return Relief(target, ways, self._read, self._clock, self)

    def _begin(self, relief: Relief, after: Relief | None = None) -> None:
        thread = threading.Thread(
            target=self._carry_out, args=(relief, after), name="ohlcache-relief", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:  # no memory for another stack: better here than not at all
            self._carry_out(relief, None)

    def _carry_out(self, relief: Relief, after: Relief | None) -> None:
        if after is not None:
            after.done.wait(_LONGEST_RELIEF)
        relief.run()

    def _note(self, steps: Sequence[Step]) -> None:
        new_errors = []
        with self._lock:
            self.steps += steps
            self._reputation.note(steps)
            for step in steps:
                self.recovered[step.name] += step.recovered
                self.seconds[step.name] += step.seconds
                if step.error is not None:
                    self.errors[step.name] += 1
                    new_errors += [step] if self.errors[step.name] == 1 else []
        for step in new_errors:
            _log.warning(
                "pressure callback %r raised %s: the others go on; further errors are counted "
                "in stats()",
                step.name,
                step.error,
            )

    def _judge(self, relief: Relief) -> None:
        if not relief.is_in_vain:
            self._in_vain = 0
            if relief.steps:
                self._brought_at = self._clock()
            return
        self.counts["in_vain"] += 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2**self._in_vain)
        self._in_vain += 1
        self._resume = (self._clock() + pause, relief.after * _GROWN)

    def _is_put_off(self) -> bool:
        moment, rss = self._resume
        return self._in_vain > 0 and self._clock() < moment and self._read().rss < rss

    def _under_way(self) -> Relief | None:
        """The relief at work."""
        current = self._current
        return None if current is None or current.done.is_set() else current

    # -- as the witness of reliefs --------------------------------------------------------------

    def may_be_asked(self, way: Way) -> bool:
        """Whether a way is not left running."""
        return way.free not in self._hanging

    def leave(self, way: Way) -> None:
        """A way takes longer than its patience, and is left running."""
        with self._lock:
            self._hanging[way.free] = way.name
            self.counts["written_off"] += 1
        _log.warning(
            "pressure callback %r has not returned for %.0f s: it is not asked again before it "
            "does; have it return soon",
            way.name,
            way.patience,
        )

    def see_return(self, way: Way, step: Step) -> None:
        """A way that was left is back: what it brought counts, and it may be asked again."""
        self._note([step])
        with self._lock:
            self._hanging.pop(way.free, None)
            if step.gained:
                self._brought_at = self._clock()

    def conclude(self, relief: Relief) -> None:
        """A relief is over: it is judged, and another one may begin."""
        self._note(relief.steps)
        with self._lock:
            self.counts["reliefs"] += 1
            if self._current is relief:
                self._current = None
                self._judge(relief)

    def stats(self) -> dict[str, Any]:
        """Reliefs by outcome; bytes recovered, seconds and errors by way; the newest steps.

        maps_large_pieces: whether the allocator has been told to return them at once.
        """
        return {
            **{name: self.counts[name] for name in _COUNTED},
            "seconds": dict(self.seconds),
            "recovered_bytes": dict(self.recovered),
            "errors": dict(self.errors),
            "hanging": self.hanging,
            "maps_large_pieces": self.maps_large_pieces,
            "steps": [asdict(step) for step in list(self.steps)],
        }


_COUNTED = ("reliefs", "in_vain", "put_off", "reentered", "written_off")
