"""What a stretch of code leaves behind, by type and by line: dear, so it is done now and then."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass

from ohlcache.memory.census import Census, take_census
from ohlcache.memory.profiling.tracing import Stretch, tracing
from ohlcache.memory.sites import AllocationSite, Lines, growth_of_lines, take_lines
from ohlcache.memory.suspects import Suspect, growth_of_types

_TOP = 10
_OURS = __package__
_TRIFLE = 1024  # bytes that containers take more without there being more of them, as our own do
_looking = threading.Lock()  # two at a time would each find what the other has counted


@dataclass(frozen=True, slots=True)
class Findings:
    """The types and lines that hold more after than before, the largest first."""

    types: tuple[Suspect, ...] = ()
    lines: tuple[AllocationSite, ...] = ()


class Look:
    """Begun before, ended after. Objects are counted while nothing is traced: it is faster."""

    def __init__(
        self, turn: threading.Lock, census: Census, stretch: Stretch, lines: Lines
    ) -> None:
        self._turn = turn
        self._census = census
        self._stretch = stretch
        self._lines = lines

    @classmethod
    def begin(cls) -> Look | None:
        """None while another look is under way."""
        turn = _looking
        if not turn.acquire(blocking=False):
            return None
        try:
            census = take_census()
            return cls(turn, census, tracing.begin(), take_lines())
        except BaseException:
            turn.release()
            raise

    def end(self) -> Findings:
        """What there is more of; to be asked once."""
        try:
            lines = growth_of_lines(self._lines, take_lines(), _TOP)
            tracing.end(self._stretch)
            after = take_census()
            types = growth_of_types(self._census.with_these(self._own(lines)), after, 2 * _TOP)
            return Findings(tuple(filter(_is_of_others, types))[:_TOP], tuple(lines))
        finally:
            tracing.end(self._stretch)
            del self._census, self._lines
            self._turn.release()

    def _own(self, lines: list[AllocationSite]) -> list[object]:
        """What looking itself has made since the first census, and the second has found."""
        held = [part for line, of_line in self._lines.items() for part in (line, line[0], of_line)]
        return [
            *(self, vars(self), self._census, self._census.tallies, self._stretch, self._lines),
            *(lines, *lines, *(site.file for site in lines)),
            *held,
        ]


def _is_of_others(suspect: Suspect) -> bool:
    if suspect.type_name.startswith(_OURS):
        return False
    return suspect.count_growth > 0 or suspect.bytes_growth >= _TRIFLE


def _renew_turn() -> None:
    """In a forked child nobody else is looking."""
    global _looking  # noqa: PLW0603  # of the process
    _looking = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_turn)
