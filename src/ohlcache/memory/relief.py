"""One relief: asking for memory, way by way, until RSS is below a target.

What a way says it let go of is not believed: RSS is read before and after each step. Memory that a
step freed may still lie with the allocator, so it is given back within the step where RSS did not
fall by what was claimed. Nobody is asked for more than is still wanted.

The ways are asked in a thread of their own, one after the other. One that takes longer than its
patience is left running there, and the next is asked in another thread.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import NamedTuple, Protocol

from ohlcache.memory.allocator import trim
from ohlcache.memory.usage import ReadUsage

PATIENCE = 1.0  # seconds that one turn of a way is waited for
_GLANCE = 0.05  # seconds between looks whether it takes longer
_MOST_TURNS = 8  # of one way in one relief
_PIECE = 8 * 2**20  # bytes to ask for, of what takes time
_COMES_BACK = 0.5  # share of a claim that RSS has to fall by
_WORTH_ANOTHER_TURN = 0.25
_NEXT_TO_NOTHING = 0.1

_this_thread = threading.local()


def is_asking() -> bool:
    """Whether this thread is asking for memory: it must not wait for more."""
    return getattr(_this_thread, "is_asking", False)


class Way(NamedTuple):
    """Somebody who can give memory back.

    free: takes the bytes wanted, gives the bytes let go of, or None where there is no account.
    takes_time: it works for what it gives, as compressing does. It is asked for small pieces, and
        after the others when there is no time.
    patience: seconds that one turn of it is waited for.
    """

    name: str
    order: int
    free: Callable[[int], int | None]
    takes_time: bool = False
    patience: float = PATIENCE


@dataclass(frozen=True, slots=True)
class Step:
    """What one turn of one way brought. Bytes.

    claimed: what it let go of by its own account; None where it gave none.
    recovered: what RSS fell by; negative if the process grew more meanwhile. Of a turn that was
        not waited for, what RSS fell by beyond what the others brought, and no more than claimed.
    error: type and message of what it raised.
    """

    name: str
    asked: int
    claimed: int | None
    recovered: int
    seconds: float
    error: str | None = None

    @property
    def gained(self) -> int:
        """Bytes recovered that may be its doing: none where it says that it let go of none."""
        return 0 if self.claimed == 0 else max(0, self.recovered)


class Turn(NamedTuple):
    """A way at work.

    before: bytes of RSS when it was asked.
    began: when that was.
    steps, late: how many steps there were before, and bytes that had come late.
    """

    way: Way
    before: int
    began: float
    steps: int
    late: int


class Witness(Protocol):
    """Knows which ways are left running, and judges what a relief brought."""

    def may_be_asked(self, way: Way) -> bool:
        """Whether it is not one of them."""

    def leave(self, way: Way) -> None:
        """Its patience is over: it goes on alone."""

    def see_return(self, way: Way, step: Step) -> None:
        """It is back, with this, which is in no relief's steps."""

    def conclude(self, relief: Relief) -> None:
        """It is over, but nobody knows yet."""


class Relief:
    """Asks the ways in their order. ``run`` once; the other attributes may be read meanwhile.

    target: bytes of RSS; may be lowered while the relief runs.
    is_urgent: somebody waits; may be set while the relief runs.
    done: set when it is over, whoever was left running.
    """

    def __init__(
        self,
        target: int,
        ways: Sequence[Way],
        read: ReadUsage,
        clock: Callable[[], float],
        witness: Witness,
    ) -> None:
        self.target = target
        self.is_urgent = False
        self.steps: list[Step] = []
        self.done = threading.Event()
        self._read = read
        self._clock = clock
        self._witness = witness
        self._postponed: list[Way] = []
        self._to_ask = chain(ways, self._postponed)
        self._lock = threading.Lock()  # a turn either ends in time or is left
        self._turn: Turn | None = None
        self._late = 0  # bytes brought by ways that were left
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
        """Whether all ways together brought next to nothing of what was wanted. When it is over.

        What they brought counts also where others took it at once.
        """
        wanted = self.before - self.target
        brought = max(self.before - self.after, sum(step.gained for step in self.steps))
        return not self.is_met and brought < _NEXT_TO_NOTHING * wanted

    def run(self) -> None:
        """Ask until RSS is at the target or everybody was asked."""
        self._go_on()
        while not self.done.wait(_GLANCE):
            if self._leave():
                self._go_on()

    def _go_on(self) -> None:
        try:
            threading.Thread(target=self._ask_rest, name="ohlcache-asking", daemon=True).start()
        except RuntimeError:  # no memory for another stack: better here than not at all
            self._ask_rest()

    def _leave(self) -> bool:
        """Leave the way at work running, if its patience is over."""
        with self._lock:
            turn = self._turn
            if turn is None or self._clock() - turn.began < turn.way.patience:
                return False
            self._turn = None
            self._witness.leave(turn.way)
        return True

    def _ask_rest(self) -> None:
        _this_thread.is_asking = True
        is_left = False
        try:
            is_left = self._is_left_at_work()
            if not is_left:
                self.after = self._read().rss
        finally:
            if not is_left:
                self._end()
            _this_thread.is_asking = False

    def _end(self) -> None:
        try:
            self._witness.conclude(self)
        finally:
            self.done.set()

    def _is_left_at_work(self) -> bool:
        """Ask until RSS is at the target or everybody was asked; whether a way was left first."""
        for way in self._to_ask:
            for _ in range(_MOST_TURNS):
                wanted = self._read().rss - self.target
                if wanted <= 0:
                    return False
                if not self._witness.may_be_asked(way):
                    break
                if way.takes_time and self.is_urgent and way not in self._postponed:
                    self._postponed.append(way)
                    break
                step = self._step(way, min(wanted, _PIECE) if way.takes_time else wanted)
                if step is None:
                    return True
                self.steps.append(step)
                # Letting go of more is a loss without a gain where little of it comes back.
                if not step.claimed or step.recovered < _WORTH_ANOTHER_TURN * step.claimed:
                    break
        return False

    def _step(self, way: Way, wanted: int) -> Step | None:
        """What a turn of a way brought; None where it was left meanwhile."""
        turn = Turn(way, self._read().rss, self._clock(), len(self.steps), self._late)
        self._turn = turn
        claimed: int | None = None
        error = None
        try:
            claimed = way.free(wanted)
        except BaseException as raised:  # noqa: BLE001  # SystemExit, too: told in the step
            error = f"{type(raised).__name__}: {' '.join(str(raised).split())}"
        recovered = self._fallen_in(turn)
        if recovered < min(wanted, _COMES_BACK * (wanted if claimed is None else claimed)):
            trim()
            recovered = self._fallen_in(turn)
        step = Step(way.name, wanted, claimed, recovered, self._clock() - turn.began, error)
        with self._lock:
            if self._turn is turn:
                self._turn = None
                return step
            step = self._alone(step, turn)
            self._late += step.recovered
        self._witness.see_return(way, step)
        return None

    def _fallen_in(self, turn: Turn) -> int:
        """Bytes that RSS fell by, but for what ways brought that were left before."""
        return turn.before - self._read().rss - (self._late - turn.late)

    def _alone(self, step: Step, turn: Turn) -> Step:
        """The step of a way that was left, without what the others brought meanwhile."""
        others = sum(other.recovered for other in self.steps[turn.steps :])
        alone = max(0, step.recovered - others)
        return replace(step, recovered=alone if step.claimed is None else min(alone, step.claimed))


def _ask_nobody() -> None:
    _this_thread.is_asking = False


if hasattr(os, "register_at_fork"):  # the thread that forks is its child's only one
    os.register_at_fork(after_in_child=_ask_nobody)
