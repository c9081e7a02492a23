"""What one file's time column says, turned into milliseconds UTC.

A clock is made for one pass over one file. With the first batch it settles how the file writes
times; what does not fit that later on is refused, never reinterpreted.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ohlcache.candles.block import Times
from ohlcache.candles.instant import EARLIEST, LATEST
from ohlcache.candles.timeframe import DAY
from ohlcache.candles.zones import from_local, to_local
from ohlcache.sources.files.epoch import (
    PER_SECOND,
    Numbers,
    TimeUnit,
    Unit,
    check_unit,
    find_break,
    from_calendar,
    guess_unit,
    is_calendar,
    to_ms,
)
from ohlcache.sources.files.faults import BadRow
from ohlcache.sources.files.timetext import Form, find_form, parse_texts

_FIRST_MICROSECOND = 10**14  # as milliseconds this is the year 5138


class Clock:
    """Reads the times of one file.

    zone: IANA name for times without an offset. unit: of epoch numbers, ``auto`` to tell it from
    their size. exact: refuse times finer than a millisecond instead of cutting them off.
    """

    def __init__(self, zone: str = "UTC", unit: TimeUnit = "auto", *, exact: bool = True) -> None:
        self._zone = zone
        self._asked_unit = unit
        self._exact = exact
        self._unit: Unit | None = None
        self._in_calendar_digits = False
        self._form: Form | None = None
        self._previous = 0.0

    def from_numbers(self, raw: Numbers) -> Times:
        """Milliseconds UTC of epoch numbers or dates in digits; BadRow for what is neither."""
        if not len(raw):
            return np.empty(0, np.int64)
        _require_finite(raw)
        if self._unit is None:
            self._in_calendar_digits = self._asked_unit == "auto" and is_calendar(raw)
            self._unit = guess_unit(raw) if self._asked_unit == "auto" else self._asked_unit
        if self._in_calendar_digits:
            return self.from_wall(from_calendar(raw))
        at = find_break(raw, self._previous)
        if at >= 0:
            before = raw[at - 1] if at else self._previous
            raise BadRow(at, f"time {raw[at]} is in another unit than {before:.0f} before: use one")
        check_unit(raw, self._unit)
        self._previous = float(raw[-1])
        return to_ms(raw, self._unit, exact=self._exact)

    def from_texts(self, texts: Any) -> Times:
        """Milliseconds UTC of an Arrow array of strings without nulls; BadRow for a misfit."""
        if not len(texts):
            return np.empty(0, np.int64)
        if self._form is None:
            self._form = find_form(texts)
        times = parse_texts(texts, self._form, exact=self._exact)
        return times if self._form.has_offset else self.from_wall(times)

    def from_stamps(self, raw: Times, unit: Unit, *, is_utc: bool) -> Times:
        """Milliseconds UTC of whole numbers whose unit is known, on the wall clock or in UTC.

        Raises BadRow for a time outside the years 1678 to 2262.
        """
        low, high = (limit * PER_SECOND[unit] // 1_000 for limit in (EARLIEST, LATEST))
        outside = (raw < low) | (raw > high)
        if outside.any():
            row = int(np.argmax(outside))
            raise BadRow(row, f"time {raw[row]} in {unit} lies outside the years 1678 to 2262")
        times = to_ms(raw, unit, exact=self._exact)
        return times if is_utc else self.from_wall(times)

    def from_wall(self, local: Times) -> Times:
        """Milliseconds UTC of wall-clock milliseconds in the zone.

        Raises BadRow for a time that the zone's clock shows twice or skips, as where it is set
        back or forward.
        """
        if self._zone == "UTC" or not len(local):
            return local
        times = from_local(local, self._zone)
        skipped = to_local(times, self._zone) != local
        # Where the clock was set back, the offset of a day later gives a second moment.
        later = times + DAY
        second = local - (to_local(later, self._zone) - later)
        twice = (second != times) & (to_local(second, self._zone) == local)
        for mask, what in ((skipped, "is skipped by"), (twice, "comes twice on")):
            if mask.any():
                row = int(np.argmax(mask))
                shown = str(local[row].astype("M8[ms]"))
                raise BadRow(
                    row,
                    f"time {shown} {what} the clock of {self._zone}: write times in UTC or with "
                    "an offset, or give another --tz",
                )
        return times


class ArchiveClock(Clock):
    """Epoch numbers that change from milliseconds to microseconds within one file."""

    def from_numbers(self, raw: Numbers) -> Times:
        """Milliseconds UTC, the unit told for each number by itself."""
        _require_finite(raw)
        whole = raw.astype(np.int64)
        in_us = np.abs(whole) >= _FIRST_MICROSECOND
        if self._exact and (whole[in_us] % 1_000).any():
            row = int(np.argmax(in_us & (whole % 1_000 != 0)))
            raise BadRow(row, f"time {raw[row]} in us is no whole millisecond: correct the file")
        times: Times = np.where(in_us, whole // 1_000, whole)
        check_unit(times, "ms")
        return times


def _require_finite(raw: Numbers) -> None:
    finite = np.isfinite(raw)
    if not finite.all():
        row = int(np.argmin(finite))
        raise BadRow(row, f"the time is {raw[row]}, expected an epoch number in every row")
