"""Whether what calls leave in Python memory stays there.

What a call leaves may be its result, which its caller drops, and tracemalloc is off by then. So the
blocks that are alive in the process are counted from call to call: what is kept shows there too.
"""

from __future__ import annotations

from ohlcache.memory.profiling.growth import Growth
from ohlcache.memory.profiling.watch import Left


class Keeping:
    """Of one function, over its calls. Not thread-safe."""

    def __init__(self) -> None:
        self.retained = Growth()  # bytes
        self._left = Growth()  # blocks, in calls
        self._alive = Growth()  # blocks, from call to call
        self._before: int | None = None

    def begin(self, calls: int, blocks: int) -> None:
        """After so many calls another begins, while so many blocks are alive."""
        if self._before is not None:
            self._alive.add(calls, blocks - self._before)
        self._before = blocks

    def end(self, calls: int, left: Left) -> None:
        """After so many calls the last has left this."""
        self.retained.add(calls, left.bytes)
        self._left.add(calls, left.blocks)

    def renew(self) -> None:
        """What is alive is not to be compared with what was, as in a forked child."""
        self._before = None

    def per_call(self) -> float | None:
        """Bytes that a call leaves, as far as its blocks stay."""
        retained, left, alive = (
            growth.per_call() for growth in (self.retained, self._left, self._alive)
        )
        if retained is None or left is None or alive is None:
            return None
        return retained * min(max(alive / left, 0.0), 1.0) if left > 0 else 0.0

    def persists(self) -> bool | None:
        """Whether calls leave more and more; None for too few of them."""
        verdicts = self.retained.persists(), self._alive.persists()
        return None if None in verdicts else all(verdicts)
