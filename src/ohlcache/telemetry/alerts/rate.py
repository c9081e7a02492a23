"""The increase per second of a counter over a window of time."""

from __future__ import annotations

from collections import deque

_SAMPLES = 512  # kept of a window, however often the counter is looked at


class Rate:
    """The increase per second over the last ``seconds``.

    It is reckoned from the newest look at the counter that lies at least ``seconds`` back, so over
    the window and up to one interval between looks (and a 512th of the window) more. A counter that
    is smaller than before has started again, from 0.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._counter: float | None = None
        self._total = 0.0  # the increase since the first look
        self._samples: deque[tuple[float, float]] = deque()  # time, total

    def measure(self, counter: float, at: float) -> float | None:
        """The rate at this moment; None until a whole window has been seen."""
        self._total += self._increase(counter)
        self._counter = counter
        samples = self._samples
        if not samples or at - samples[-1][0] >= self._seconds / _SAMPLES:
            samples.append((at, self._total))
        while len(samples) > 1 and at - samples[1][0] >= self._seconds:
            samples.popleft()
        start, total = samples[0]
        if at - start < self._seconds:
            return None
        return (self._total - total) / (at - start)

    def _increase(self, counter: float) -> float:
        if self._counter is None:
            return 0.0
        if counter >= self._counter:
            return counter - self._counter
        return max(counter, 0.0)
