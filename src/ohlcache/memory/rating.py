"""How well the memory is, in four words; `health` says what makes which."""

from __future__ import annotations

from enum import IntEnum

from ohlcache.memory.marks import Level, Marks

_GOOD_FROM = 0.75  # of the warning mark


class Rating(IntEnum):
    """From well to worst."""

    EXCELLENT = 0
    GOOD = 1
    WARNING = 2
    CRITICAL = 3

    @property
    def word(self) -> str:
        """As reports say it."""
        return self.name.capitalize()


def rating_of_use(rss: int, marks: Marks, level: Level) -> Rating:
    """How use alone is rated."""
    if level is Level.CRITICAL:
        return Rating.CRITICAL
    if level is Level.WARNING:
        return Rating.WARNING
    return Rating.GOOD if rss >= _GOOD_FROM * marks.warning else Rating.EXCELLENT
