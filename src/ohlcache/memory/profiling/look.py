"""What a stretch of code leaves behind, by type and by line: dear, so it is done now and then."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from ohlcache.memory.census import Census, take_census
from ohlcache.memory.profiling.tracing import Stretch, tracing
from ohlcache.memory.sites import AllocationSite, Lines, growth_of_lines, take_lines
from ohlcache.memory.suspects import Suspect, growth_of_types

_TOP = 10
_looking = threading.Lock()  # two at a time would each find what the other has counted


@dataclass(frozen=True, slots=True)
class Findings:
    """The types and lines that hold more after than before, the largest first."""

    types: tuple[Suspect, ...] = ()
    lines: tuple[AllocationSite, ...] = ()


class Look:
    """Begun before, ended after. Objects are counted while nothing is traced: it is faster."""

    def __init__(self, census: Census, stretch: Stretch, lines: Lines) -> None:
        self._census = census
        self._stretch = stretch
        self._lines = lines

    @classmethod
    def begin(cls) -> Look | None:
        """None while another look is under way."""
        if not _looking.acquire(blocking=False):
            return None
        try:
            census = take_census()
            return cls(census, tracing.begin(), take_lines())
        except BaseException:
            _looking.release()
            raise

    def end(self) -> Findings:
        """What there is more of."""
        try:
            lines = growth_of_lines(self._lines, take_lines(), _TOP)
            tracing.end(self._stretch)
            types = growth_of_types(self._census, take_census(), _TOP)
            return Findings(tuple(types), tuple(lines))
        finally:
            tracing.end(self._stretch)
            _looking.release()
