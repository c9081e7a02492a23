"""One relief: asking for memory, way by way, until RSS is below a target.

What a way says it let go of is not believed: RSS is read before and after each step. Memory that a
step freed may still lie with the allocator, so it is given back within the step where RSS did not
fall by what was claimed. Nobody is asked for more than is still wanted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ohlcache.memory.allocator import trim
from ohlcache.memory.usage import ReadUsage

_MOST_TURNS = 8  # of one way in one relief
_PIECE = 8 * 2**20  # bytes to ask for, of what takes time
_COMES_BACK = 0.5  # share of a claim that RSS has to fall by
_WORTH_ANOTHER_TURN = 0.25
_NEXT_TO_NOTHING = 0.1


class Way(NamedTuple):
    """Somebody who can give memory back.

    free: takes the bytes wanted, gives the bytes let go of, or None where there is no account.
    takes_time: it works for what it gives, as compressing does. It is asked for small pieces, and
        after the others when there is no time.
    """

    name: str
    order: int
    free: Callable[[int], int | None]
    takes_time: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """What one turn of one way brought. Bytes.

    claimed: what it let go of by its own account; None where it gave none.
    recovered: what RSS fell by; negative if the process grew more meanwhile.
    error: type and message of what it raised.
    """

    name: str
    asked: int
    claimed: int | None
    recovered: int
    seconds: float
    error: str | None = None


class Relief:
    """Asks the ways in their order. ``run`` once; the other attributes may be read meanwhile.

    target: bytes of RSS; may be lowered while the relief runs.
    is_urgent: somebody waits; may be set while the relief runs.
    asking: the way that is at work, since when.
    written_off: the way that hung; the relief ends when that comes back.
    """

    def __init__(
        self,
        target: int,
        ways: Sequence[Way],
        read: ReadUsage,
        clock: Callable[[], float],
    ) -> None:
        self.target = target
        self.is_urgent = False
        self.steps: list[Step] = []
        self.asking: tuple[Way, float] | None = None
        self.written_off: Way | None = None
        self.done = threading.Event()
        self._ways = ways
        self._read = read
        self._clock = clock
        self.before = self.after = read().rss

    @property
    def recovered(self) -> int:
        """Bytes that RSS fell by, over all steps."""
        return sum(step.recovered for step in self.steps)

    @property
    def is_met(self) -> bool:
        """Whether RSS came down to the target."""
        return self.after <= self.target

    @property
    def is_in_vain(self) -> bool:
        """Whether it brought next to nothing of what was wanted. For one that is over."""
        wanted = self.before - self.target
        return not self.is_met and self.before - self.after < _NEXT_TO_NOTHING * wanted

    def run(self) -> None:
        """Ask until RSS is at the target or everybody was asked."""
        try:
            self._ask_all()
            self.after = self._read().rss
        finally:
            self.done.set()

    def _ask_all(self) -> None:
        postponed: list[Way] = []
        for way in self._ways:
            if not self._ask(way, postponed):
                return
        self.is_urgent = False
        for way in postponed:
            if not self._ask(way, postponed):
                return

    def _ask(self, way: Way, postponed: list[Way]) -> bool:
        """Have a way free what is wanted; whether somebody else has to be asked."""
        for _ in range(_MOST_TURNS):
            wanted = self._read().rss - self.target
            if wanted <= 0 or self.written_off is not None:
                return False
            if way.takes_time and self.is_urgent:
                postponed.append(way)
                return True
            step = self._turn(way, min(wanted, _PIECE) if way.takes_time else wanted)
            self.steps.append(step)
            # Letting go of more is a loss without a gain where little of it comes back.
            if not step.claimed or step.recovered < _WORTH_ANOTHER_TURN * step.claimed:
                break
        return True

    def _turn(self, way: Way, wanted: int) -> Step:
        before, began = self._read().rss, self._clock()
        self.asking = (way, began)
        claimed: int | None = None
        error = None
        try:
            claimed = way.free(wanted)
        except BaseException as raised:  # noqa: BLE001  # SystemExit, too: told in the step
            error = f"{type(raised).__name__}: {' '.join(str(raised).split())}"
        recovered = before - self._read().rss
        if recovered < min(wanted, _COMES_BACK * (wanted if claimed is None else claimed)):
            trim()
            recovered = before - self._read().rss
        self.asking = None
        return Step(way.name, wanted, claimed, recovered, self._clock() - began, error)
