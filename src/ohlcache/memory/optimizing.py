"""Doing now what helps: what costs nobody a cached value, and more only where memory is short."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ohlcache.memory.pressure import Pressure
from ohlcache.memory.relief import Relief, Step
from ohlcache.memory.snapshot import MemorySnapshot
from ohlcache.memory.ways import compressing, without_loss

SECONDS = 60.0  # that it may take


@dataclass(frozen=True, slots=True)
class OptimizeReport:
    """What ``optimize`` did and what it gained.

    gained_bytes: what RSS fell by.
    notes: in words, what else there is to know: what was left as it is and why.
    """

    before: MemorySnapshot
    after: MemorySnapshot
    steps: tuple[Step, ...]
    gained_bytes: int
    notes: tuple[str, ...]


class Optimizing:
    """One run: ``steps`` and ``notes`` when it is over."""

    def __init__(self, pressure: Pressure) -> None:
        self.steps: list[Step] = []
        self.notes: list[str] = []
        self._pressure = pressure

    def free_what_is_free(self, *, is_short: bool) -> None:
        """Garbage and the allocator's free memory; cold values compressed if memory is short."""
        if not is_short:
            self.notes.append("cold values were not compressed: memory is not short")
        ways = [*(compressing() if is_short else ()), *without_loss()]
        self._note(self._pressure.request(0, ways))

    def go_below(self, target: int) -> None:
        """Have everybody give memory until RSS is at ``target``."""
        relief = self._pressure.request(target)
        self._note(relief)
        if relief is not None and not relief.is_met:
            self.notes.append("memory is still short: nobody who was asked has more to give")

    def _note(self, relief: Relief | None) -> None:
        if relief is None:
            self.notes.append(
                "nothing was asked for: a relief is put off, or this is one of its callbacks"
            )
            return
        if not relief.done.wait(SECONDS):
            self.notes.append(f"not waited for after {SECONDS:.0f} s: see stats() for what hangs")
        self.steps += relief.steps

    def outcome(self) -> Iterator[str]:
        """The notes, and the steps that failed in words."""
        yield from self.notes
        for step in self.steps:
            if step.error is not None:
                yield f"{step.name} failed: {step.error}"
