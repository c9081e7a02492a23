"""One number over time, of what windows keep."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from ohlcache.telemetry.distribution import NO_DURATIONS
from ohlcache.telemetry.windows import RESOLUTIONS, Selection, Windows

Points = list[tuple[float, float]]

MINUTES, HOURS = 60.0, 3600.0


class Series(Protocol):
    """What is told of over time."""

    def points(self, windows: Windows, resolution: float) -> Points:
        """(moment in seconds, value) at each frame that has one, oldest first."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """A gauge as it was."""

    selection: Selection

    def points(self, windows: Windows, resolution: float) -> Points:
        """In the gauge's unit."""
        return windows.levels(self.selection, resolution)


@dataclass(frozen=True, slots=True)
class Share:
    """What share ``part`` has of both counters, from frame to frame.

    least: of fewer than so many a share says nothing.
    """

    part: Selection
    rest: Selection
    least: int

    def points(self, windows: Windows, resolution: float) -> Points:
        """Between 0 and 1."""
        parts = _increases(windows.levels(self.part, resolution))
        rests = _increases(windows.levels(self.rest, resolution))
        return [
            (at, part / (part + rests[at]))
            for at, part in parts.items()
            if at in rests and part + rests[at] >= self.least
        ]


@dataclass(frozen=True, slots=True)
class SlowestShare:
    """The duration above which ``1 - share`` of all lie, from frame to frame, of ``least``."""

    selection: Selection
    share: float
    least: int

    def points(self, windows: Windows, resolution: float) -> Points:
        """Seconds."""
        if not windows.series(self.selection):
            return []
        found, newer, at = [], NO_DURATIONS, windows.at
        for back in range(1, dict(RESOLUTIONS)[resolution] + 1):
            # What the last k minutes hold more than the last k - 1.
            since = windows.distribution(self.selection, back * resolution)
            durations, newer = since.since(newer), since
            if durations.count >= self.least:
                middle = at - (back - 0.5) * resolution
                found.append((middle, durations.quantile(self.share)))
        return found[::-1]


def _increases(levels: Points) -> dict[float, float]:
    """By how much a counter grew from frame to frame; left out where it has begun anew."""
    return {at: now - before for (_, before), (at, now) in pairwise(levels) if now >= before}
