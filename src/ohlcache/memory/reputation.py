"""Which ways took time and gave next to nothing for it: for a while they are not asked, or last.

Compressing values that do not get smaller, for one, costs much and brings nothing back, each time.
The while is a multiple of the time that was taken, and doubled each time that it happens again.
What works for what it gives, and a full collection, is not asked at all meanwhile; others may have
what nobody else has, and are asked last.

A way's own account is believed here, where it gives one: by how much RSS fell tells also what
others took and gave meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ohlcache.memory.relief import Step, Way
from ohlcache.memory.ways import GARBAGE

FIRST_WHILE, LONGEST_WHILE = 1.0, 600.0  # seconds
_REST = 50  # times as long as it took: in vain, a way takes at most 2% of the time
_TAKES_TIME = 0.005  # seconds; what takes less may be asked as often as one likes
_NEXT_TO_NOTHING = 0.1  # of what was asked for
_LEAST_RATE = 10 * 2**20  # bytes/s


class Reputation:
    """What is known of the ways, by name."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._bad: dict[str, tuple[float, float]] = {}  # until when, for how long

    def ordered(self, ways: Iterable[Way]) -> list[Way]:
        """The ways as they are, but for those of bad reputation, which come last or not at all."""
        now = self._clock()
        bad = {name for name, (until, _) in list(self._bad.items()) if until > now}
        asked = [way for way in ways if not (way.name in bad and _is_costly(way))]
        return sorted(asked, key=lambda way: way.name in bad)

    def note(self, steps: Sequence[Step]) -> None:
        """What the steps of a relief brought."""
        for name in {step.name for step in steps}:
            turns = [step for step in steps if step.name == name]
            took = sum(step.seconds for step in turns)
            brought = sum(
                step.recovered if step.claimed is None else step.claimed for step in turns
            )
            if took < _TAKES_TIME or _is_worth(brought, turns[0].asked, took):
                self._bad.pop(name, None)
                continue
            _, before = self._bad.get(name, (0.0, 0.0))
            pause = min(LONGEST_WHILE, max(FIRST_WHILE, _REST * took, 2 * before))
            self._bad[name] = (self._clock() + pause, pause)


def _is_worth(brought: int, asked: int, took: float) -> bool:
    return brought >= max(_NEXT_TO_NOTHING * asked, _LEAST_RATE * took)


def _is_costly(way: Way) -> bool:
    return way.takes_time or way.order >= GARBAGE
