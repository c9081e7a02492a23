"""What a series looks like: its recent trend, or the slow one that only days show.

The last two hours are looked at minute by minute, and where they show nothing the last week hour
by hour. A rise that stays below what the days before have seen is no news: two hours of a daily
wave look like a trend, and only the days tell that they are none. A process younger than a day
cannot know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ohlcache.telemetry.outlook.series import HOURS, MINUTES, Points, Series
from ohlcache.telemetry.windows import Windows

if TYPE_CHECKING:
    from ohlcache.telemetry.trends import Trend

_LEAST_MINUTES = 20
_LEAST_HOURS = 48  # two days, of which a daily wave is told from a trend
_A_DAY = 24
_NEW = 0.1  # of the range that was seen: what lies so far beyond it is new


@dataclass(frozen=True, slots=True)
class View:
    """The points that were looked at, at what resolution, and their trend.

    is_usual: whether there is a trend within what was seen in the days before.
    """

    resolution: float
    points: Points
    trend: Trend
    is_usual: bool

    @property
    def span(self) -> float:
        """Seconds from the first to the last point."""
        return self.points[-1][0] - self.points[0][0]

    @property
    def is_going_somewhere(self) -> bool:
        """Whether there is a trend that is news."""
        return self.trend.significant and not self.is_usual


def view(series: Series, windows: Windows) -> View | None:
    """How the series looks, None where there is too little of it."""
    minutes = series.points(windows, MINUTES)
    if len(minutes) < _LEAST_MINUTES:
        return None
    recent = trend_of(minutes)
    hours = series.points(windows, HOURS)
    if recent.significant:
        return View(MINUTES, minutes, recent, _is_within(hours, minutes[0][0], recent))
    if len(hours) >= _LEAST_HOURS:
        slow = trend_of(hours)
        if slow.significant:
            return View(HOURS, hours, slow, is_usual=False)
    return View(MINUTES, minutes, recent, is_usual=False)


def trend_of(points: Points) -> Trend:
    """The trend of points."""
    from ohlcache.telemetry.trends import trend  # numpy comes with it

    return trend([at for at, _ in points], [value for _, value in points])


def _is_within(hours: Points, until: float, trend: Trend) -> bool:
    """Whether the end of a trend lies in the range that the day before it or more have seen."""
    before = [value for at, value in hours if at < until]
    if len(before) < _A_DAY:
        return False
    low, high = min(before), max(before)
    margin = _NEW * (high - low)
    return trend.last <= high + margin if trend.slope > 0 else trend.last >= low - margin
