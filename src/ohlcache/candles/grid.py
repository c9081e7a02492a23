"""The grid of a series: the open times that candles of a timeframe can have.

Up to hours the grid counts from the epoch in UTC. Days, weeks and months may follow a venue's
session instead: a daily FX candle opens at 17:00 in New York, whatever that is in UTC that day. An
:class:`Anchor` says so: a time zone, and the signed distance of the session's open from the
zone's own midnight, Monday or first of the month.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ohlcache.candles.block import Mask, Times
from ohlcache.candles.timeframe import DAY, MINUTE, Timeframe
from ohlcache.candles.zones import from_local, to_local, zone_info

_MONDAY = 4 * DAY  # the epoch was a Thursday; the first Monday came four days later
_ANCHOR_STEP = 15 * MINUTE  # sessions open on a quarter of an hour; anything else is noise
_ANCHOR_ZONES = (
    "UTC",
    "America/New_York",
    "Europe/London",
    "Europe/Berlin",
    "America/Chicago",
    "Asia/Tokyo",
    "Asia/Hong_Kong",
    "Asia/Kolkata",
    "Australia/Sydney",
)


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where days, weeks and months begin: ``offset`` ms from the local grid of ``zone``.

    Raises InvalidArgument for a zone that is not in the IANA database.
    """

    zone: str = "UTC"
    offset: int = 0

    def __post_init__(self) -> None:
        zone_info(self.zone)

    def __str__(self) -> str:
        if not self.offset:
            return self.zone
        sign = "-" if self.offset < 0 else "+"
        hours, minutes = divmod(abs(self.offset) // MINUTE, 60)
        return f"{self.zone}{sign}{hours:02d}:{minutes:02d}"


UTC_ANCHOR = Anchor()


@dataclass(frozen=True, slots=True)
class Grid:
    """The open times of a timeframe under an anchor. All times are ms since the epoch, UTC.

    A timeframe shorter than a day has no anchor: whichever is given, the grid is that of UTC.
    """

    timeframe: Timeframe
    anchor: Anchor = UTC_ANCHOR
    _length: int = field(init=False, repr=False, compare=False)
    _origin: int = field(init=False, repr=False, compare=False)
    _is_fixed: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.timeframe.is_daily_or_longer:
            object.__setattr__(self, "anchor", UTC_ANCHOR)
        weekly = _MONDAY if self.timeframe.unit == "w" else 0
        object.__setattr__(self, "_length", self.timeframe.milliseconds)
        object.__setattr__(self, "_origin", weekly + self.anchor.offset)
        is_fixed = self.anchor.zone == "UTC" and not self.timeframe.is_calendar
        object.__setattr__(self, "_is_fixed", is_fixed)

    def floor(self, time: int) -> int:
        """The last open time at or before ``time``."""
        if self._is_fixed:
            return time - (time - self._origin) % self._length
        return int(self.floors(np.array([time], np.int64))[0])

    def ceil(self, time: int) -> int:
        """The first open time at or after ``time``."""
        floor = self.floor(time)
        return floor if floor == time else self.next(floor)

    def next(self, time: int) -> int:
        """The first open time after ``time``."""
        if self._is_fixed:
            return self.floor(time) + self._length
        return int(self.nexts(np.array([time], np.int64))[0])

    def floors(self, times: Times) -> Times:
        """For each time the last open time at or before it."""
        if self._is_fixed:
            fixed: Times = times - (times - self._origin) % self._length
            return fixed
        return self._from_index(self.index(times))

    def nexts(self, times: Times) -> Times:
        """For each time the first open time after it."""
        if self._is_fixed:
            return self.floors(times) + self._length
        return self._from_index(self.index(times) + 1)

    def ceils(self, times: Times) -> Times:
        """For each time the first open time at or after it."""
        floors = self.floors(times)
        return np.where(floors == times, floors, self.nexts(floors))

    def contains(self, times: Times) -> Mask:
        """Which of the times are open times."""
        on_grid: Mask = self.floors(times) == times
        return on_grid

    def points(self, start: int, end: int) -> Times:
        """Every open time in [start, end)."""
        first = self.ceil(start)
        if first >= end:
            return np.empty(0, np.int64)
        if self._is_fixed:
            return np.arange(first, end, self._length, dtype=np.int64)
        low, high = self.index(np.array([first, end - 1], np.int64))
        return self._from_index(np.arange(low, high + 1, dtype=np.int64))

    def count(self, start: int, end: int) -> int:
        """How many open times lie in [start, end), without listing them."""
        if start >= end:
            return 0
        low, high = self.index(np.array([start - 1, end - 1], np.int64))
        return int(high - low)

    def shifted(self, time: int, candles: int) -> int:
        """The open time ``candles`` steps after the one at or before ``time``."""
        if self._is_fixed:
            return self.floor(time) + candles * self._length
        return int(self._from_index(self.index(np.array([time], np.int64)) + candles)[0])

    def index(self, times: Times) -> Times:
        """The running number of the candle that each time falls into; next ones differ by one."""
        if self._is_fixed:
            fixed: Times = (times - self._origin) // self._length
            return fixed
        local = to_local(times, self.anchor.zone) - self.anchor.offset
        if self.timeframe.is_calendar:
            index = _months(local) // self.timeframe.count
        else:
            index = (local - self._local_origin) // self._length
        # In an hour that the clock shows twice, a candle may have opened in the first pass
        # although the wall clock of the second one stands before its open.
        return index + (self._from_index(index + 1) <= times)

    def _from_index(self, index: Times) -> Times:
        if self.timeframe.is_calendar:
            local = _month_starts(index * self.timeframe.count)
        else:
            local = index * self._length + self._local_origin
        return from_local(local + self.anchor.offset, self.anchor.zone)

    @property
    def _local_origin(self) -> int:
        return self._origin - self.anchor.offset


def detect_anchor(timeframe: Timeframe, times: Times) -> Anchor:
    """The anchor under which most of ``times`` are open times.

    A tie goes to the simpler one: UTC before any zone. Timeframes shorter than a day have no
    anchor, and times that share no quarter of an hour keep midnight UTC.
    """
    if not timeframe.is_daily_or_longer or not len(times):
        return UTC_ANCHOR
    best, best_share = UTC_ANCHOR, float(np.mean(Grid(timeframe).contains(times)))
    for zone in _ANCHOR_ZONES:
        if best_share == 1.0:
            break
        local = to_local(times, zone)
        plain = Grid(timeframe)
        before, after = plain.floors(local), plain.nexts(local)
        offsets = np.where(local - before <= after - local, local - before, local - after)
        values, counts = np.unique(offsets, return_counts=True)
        offset = int(values[np.argmax(counts)])
        share = float(counts.max()) / len(times)
        if offset % _ANCHOR_STEP == 0 and share > best_share:
            best, best_share = Anchor(zone, offset), share
    return best


def _months(times: Times) -> Times:
    return times.astype("M8[ms]").astype("M8[M]").astype(np.int64)


def _month_starts(months: Times) -> Times:
    return months.astype("M8[M]").astype("M8[ms]").astype(np.int64)
