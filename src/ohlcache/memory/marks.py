"""The marks on the way to the limit, and on which side of them the process stands."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

# A level is left when RSS is this share below its mark (80% is left at 72% of the limit), so that
# noise around a mark, and caches that fill again and again, are one event and not many.
HYSTERESIS = 0.10
# How far below the warning mark memory is reclaimed to: not further than needed.
TARGET = 0.04
# Kept free below the critical mark for what growth takes beside what was announced.
SLACK = 0.05


class Level(IntEnum):
    """How far towards the limit."""

    NORMAL = 0
    WARNING = 1
    CRITICAL = 2


class Marks(NamedTuple):
    """Bytes of RSS: the limit, and the marks below it."""

    limit: int
    warning: int
    critical: int

    @staticmethod
    def of(limit: int, warning: float, critical: float) -> Marks:
        """The marks at these shares of a limit."""
        return Marks(limit, int(limit * warning), int(limit * critical))

    @property
    def target(self) -> int:
        """What memory is reclaimed down to when the warning mark was passed."""
        return int(self.warning * (1 - TARGET))

    @property
    def admissible(self) -> int:
        """Up to where announced growth is let through."""
        return int(self.critical * (1 - SLACK))

    def level(self, rss: int, before: Level = Level.NORMAL) -> Level:
        """The level at this RSS, for a process that was at another one before."""
        for level, mark in ((Level.CRITICAL, self.critical), (Level.WARNING, self.warning)):
            bound = mark * (1 - HYSTERESIS) if before >= level else mark
            if rss >= bound:
                return level
        return Level.NORMAL
