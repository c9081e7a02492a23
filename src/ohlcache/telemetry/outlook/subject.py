"""What a forecast is about."""

from __future__ import annotations

from dataclasses import dataclass

from ohlcache.telemetry.metric import Unit
from ohlcache.telemetry.outlook.series import Series
from ohlcache.telemetry.windows import Selection, Windows


@dataclass(frozen=True, slots=True)
class Part:
    """What is part of a subject and stops growing at a limit of its own."""

    series: Series
    limit: Selection


@dataclass(frozen=True, slots=True)
class Subject:
    """A number that somebody would want to know the future of.

    component: of the health score. called, reaching: in sentences; "will" stands between them.
    limit: that matters, fixed or the level of a gauge; falling: whether it is reached from above.
    is_alarming: whether somebody should look at it then, or it is meant to get there.
    """

    metric: str
    component: str
    called: str
    reaching: str
    unit: Unit
    series: Series
    limit: float | Selection
    remedy: str
    falling: bool = False
    is_alarming: bool = True
    parts: tuple[Part, ...] = ()

    def limit_in(self, windows: Windows) -> float | None:
        """The limit now, None while it is not known."""
        if isinstance(self.limit, Selection):
            return windows.level(self.limit)
        return self.limit
