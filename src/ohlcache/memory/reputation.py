"""Which ways took time and gave next to nothing: for a while they are asked last.

Compressing values that do not get smaller, for one, costs much and brings nothing back, each time.
A collection that found no garbage is not repeated at all for a while. It is doubled each time that
it happens again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ohlcache.memory.relief import Step, Way
from ohlcache.memory.ways import GARBAGE

FIRST_WHILE, LONGEST_WHILE = 1.0, 60.0  # seconds
_TAKES_TIME = 0.005  # seconds; what takes less may be asked as often as one likes
_NEXT_TO_NOTHING = 0.1  # of what was asked for


class Reputation:
    """What is known of the ways, by name."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._bad: dict[str, tuple[float, float]] = {}  # until when, for how long

    def ordered(self, ways: Iterable[Way]) -> list[Way]:
        """The ways as they are, but for those of bad reputation, which come last or not at all."""
        now = self._clock()
        bad = {name for name, (until, _) in list(self._bad.items()) if until > now}
        asked = [way for way in ways if way.order < GARBAGE or way.name not in bad]
        return sorted(asked, key=lambda way: way.name in bad)

    def note(self, steps: Sequence[Step]) -> None:
        """What the steps of a relief brought."""
        for name in {step.name for step in steps}:
            turns = [step for step in steps if step.name == name]
            took = sum(step.seconds for step in turns)
            brought = sum(step.recovered for step in turns)
            if took < _TAKES_TIME or brought >= _NEXT_TO_NOTHING * turns[0].asked:
                self._bad.pop(name, None)
                continue
            _, before = self._bad.get(name, (0.0, FIRST_WHILE / 2))
            pause = min(LONGEST_WHILE, 2 * before)
            self._bad[name] = (self._clock() + pause, pause)
