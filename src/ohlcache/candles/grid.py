"""The grid of a series: the open times that candles of a timeframe can have.

Up to hours the grid counts from the epoch in UTC. Days, weeks and months may follow a venue's
session instead: a daily FX candle opens at 17:00 in New York, whatever that is in UTC that day. An
:class:`Anchor` says so: a time zone, and the signed distance of the session's open from the
zone's own midnight, Monday or first of the month.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from ohlcache.candles.block import Mask, Times
from ohlcache.candles.timeframe import DAY, HOUR, MINUTE, Timeframe

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
    """Where days, weeks and months begin: ``offset`` ms from the local grid of ``zone``."""

    zone: str = "UTC"
    offset: int = 0

    def __str__(self) -> str:
        if not self.offset:
            return self.zone
        sign = "-" if self.offset < 0 else "+"
        hours, minutes = divmod(abs(self.offset) // MINUTE, 60)
        return f"{self.zone}{sign}{hours:02d}:{minutes:02d}"


UTC_ANCHOR = Anchor()


@dataclass(frozen=True, slots=True)
class Grid:
    """The open times of a timeframe under an anchor. All times are ms since the epoch, UTC."""

    timeframe: Timeframe
    anchor: Anchor = UTC_ANCHOR
    _length: int = field(init=False, repr=False, compare=False)
    _origin: int = field(init=False, repr=False, compare=False)
    _is_fixed: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
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
        return self._from_index(self._index(times))

    def nexts(self, times: Times) -> Times:
        """For each time the first open time after it."""
        if self._is_fixed:
            return self.floors(times) + self._length
        return self._from_index(self._index(times) + 1)

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
        low, high = self._index(np.array([first, end - 1], np.int64))
        return self._from_index(np.arange(low, high + 1, dtype=np.int64))

    def shifted(self, time: int, candles: int) -> int:
        """The open time ``candles`` steps after the one at or before ``time``."""
        if self._is_fixed:
            return self.floor(time) + candles * self._length
        return int(self._from_index(self._index(np.array([time], np.int64)) + candles)[0])

    def _index(self, times: Times) -> Times:
        """The running number of the candle that each time falls into."""
        index = self._nominal_index(times)
        # Where a clock is set back or forward the nominal answer can be one candle late.
        late = self._from_index(index) > times
        return index - late

    def _nominal_index(self, times: Times) -> Times:
        local = _to_local(times, self.anchor.zone) - self.anchor.offset
        if self.timeframe.is_calendar:
            return _months(local) // self.timeframe.count
        return (local - self._weekly_origin) // self._length

    def _from_index(self, index: Times) -> Times:
        if self.timeframe.is_calendar:
            local = _month_starts(index * self.timeframe.count)
        else:
            local = index * self._length + self._weekly_origin
        return _from_local(local + self.anchor.offset, self.anchor.zone)

    @property
    def _weekly_origin(self) -> int:
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
        local = _to_local(times, zone)
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


def _to_local(times: Times, zone: str) -> Times:
    """Wall-clock ms of the zone at these moments."""
    return times if zone == "UTC" else times + _utc_offsets(times, zone)


def _from_local(local: Times, zone: str) -> Times:
    """The moments at which the zone's wall clock shows these ms.

    A time that the clock shows twice is taken as the first, one that it skips as the moment of
    the change: the offset a day before tells which side of a change the wall clock is on.
    """
    if zone == "UTC":
        return local
    before = _utc_offsets(local - DAY, zone)
    after = _utc_offsets(local + DAY, zone)
    early, late = local - before, local - after
    moments = np.where(_utc_offsets(early, zone) == before, early, late)
    return np.asarray(moments, np.int64)


def _utc_offsets(times: Times, zone: str) -> npt.NDArray[np.int64]:
    """The zone's offset from UTC in ms at each moment; looked up once a quarter of an hour."""
    if zone == "UTC":
        return np.zeros(len(times), np.int64)
    info = ZoneInfo(zone)
    hours, where = np.unique(times // (HOUR // 4), return_inverse=True)
    offsets = np.fromiter((_offset_at(int(hour) * HOUR // 4, info) for hour in hours), np.int64)
    return offsets[where]


def _offset_at(time: int, info: ZoneInfo) -> int:
    offset = datetime.fromtimestamp(time / 1000, info).utcoffset()
    return 0 if offset is None else int(offset.total_seconds() * 1000)
