"""Whether memory grows from call to call, seen over many calls in fixed memory.

The growth so far is noted as calls are made: at most ``_MOST`` points, evenly spaced over all
calls; when there are more, every other one is dropped. So the steps between points become longer
with the number of calls, and even a leak of few bytes a call shows in each step, though RSS moves
by pages and Python's arenas. Noting takes no memory, which would count as growth.
"""

from __future__ import annotations

from array import array
from itertools import pairwise
from statistics import median

LEAST_CALLS = 10

_MOST = 64
_WARM_UP = 4  # the first of so many parts of the calls may fill caches, import, and so on
_LEAST_STEPS = 8
_GROWING = 0.8  # of the steps must grow; of 8 or more, chance makes them do so in 4% of all cases
_NET = 0.5  # of what steps gained must not be given back, as a sawtooth would


class Growth:
    """Bytes gained over calls. Not thread-safe."""

    def __init__(self) -> None:
        self.total = 0
        self._calls = array("q", bytes(8 * (_MOST + 1)))
        self._totals = array("q", bytes(8 * (_MOST + 1)))
        self._noted = 1  # nothing after no calls
        self._spacing = 1

    def add(self, calls: int, nbytes: int) -> None:
        """``nbytes`` more (or less) after so many calls in all."""
        self.total += nbytes
        if calls - self.calls < self._spacing:
            return
        self._calls[self._noted] = calls
        self._totals[self._noted] = self.total
        self._noted += 1
        if self._noted > _MOST:
            self._drop_every_other()

    def _drop_every_other(self) -> None:
        fewer = len(self._calls[::2])
        for noted in (self._calls, self._totals):
            noted[:fewer] = noted[::2]
        self._noted = fewer
        self._spacing *= 2

    @property
    def calls(self) -> int:
        """Up to the last point."""
        return self._calls[self._noted - 1]

    def per_call(self) -> float | None:
        """Bytes that a call gains, in the median over the steps after warm-up.

        None for less than ``LEAST_CALLS`` calls.
        """
        return median(self._rates()) if self.calls >= LEAST_CALLS else None

    def persists(self) -> bool | None:
        """Whether the growth goes on and on; None where too few calls were noted to judge."""
        gains = self._gains()
        if len(gains) < _LEAST_STEPS:
            return None
        gained = sum(gain for gain in gains if gain > 0)
        growing = sum(gain > 0 for gain in gains)
        return (
            growing >= _GROWING * len(gains)
            and sum(gains) >= _NET * gained
            and self._goes_on(gains)
        )

    @staticmethod
    def _goes_on(gains: list[int]) -> bool:
        """Whether the later half still gains: a cache that is full has stopped growing."""
        half = len(gains) // 2
        return sum(gains[half:]) >= _NET * sum(gains[:half])

    def _after_warm_up(self) -> list[tuple[int, int]]:
        noted = range(self._noted // _WARM_UP, self._noted)
        return [(self._calls[each], self._totals[each]) for each in noted]

    def _gains(self) -> list[int]:
        points = self._after_warm_up()
        return [after[1] - before[1] for before, after in pairwise(points)]

    def _rates(self) -> list[float]:
        points = self._after_warm_up()
        return [
            (after[1] - before[1]) / (after[0] - before[0]) for before, after in pairwise(points)
        ]
