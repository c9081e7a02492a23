"""Numbers that stand for a time: epoch seconds to nanoseconds, and calendar digits.

The unit of epoch numbers is told from their size. Read as a time before the year 2100, a number
below 4.1e9 is seconds, below 4.1e12 milliseconds, and so on; so the only milliseconds that look
like seconds are those of January and February 1970.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from ohlcache.candles.block import Times
from ohlcache.sources.files.faults import BadRow

Unit = Literal["s", "ms", "us", "ns"]
TimeUnit = Literal["auto", "s", "ms", "us", "ns"]
TIME_UNITS = ("auto", "s", "ms", "us", "ns")

Numbers = npt.NDArray[np.int64] | npt.NDArray[np.float64]

PER_SECOND: dict[Unit, int] = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_YEAR_1800, _YEAR_2100, _YEAR_2200 = -5_364_662_400, 4_102_444_800, 7_258_118_400
# As seconds these are 1973 and later; taken for a finer unit they fall into early 1970.
_SURELY_SECONDS = 100_000_000
_BREAK = 500  # units differ by 1000; real times of one series do not jump like that


def guess_unit(raw: Numbers) -> Unit:
    """The unit under which the largest of these numbers is a time before the year 2100."""
    largest = float(np.max(np.abs(raw.astype(np.float64)))) if len(raw) else 0.0
    units: tuple[Unit, ...] = ("s", "ms", "us")
    for unit in units:
        if largest < _YEAR_2100 * PER_SECOND[unit]:
            return unit
    return "ns"


def check_unit(raw: Numbers, unit: Unit) -> None:
    """Raise BadRow where a unit that was asked for puts times into absurd years."""
    likely = guess_unit(raw)
    low, high = (year * PER_SECOND[unit] for year in (_YEAR_1800, _YEAR_2200))
    absurd = (raw < low) | (raw > high)
    if absurd.any():
        row = int(np.argmax(absurd))
        remedy = f": give --time-unit {likely}" if likely != unit else ": correct the file"
        raise BadRow(row, f"time {raw[row]} in {unit} lies outside the years 1800 to 2200{remedy}")
    is_coarser = PER_SECOND[likely] < PER_SECOND[unit]
    if is_coarser and np.min(np.abs(raw)) >= _SURELY_SECONDS * PER_SECOND[likely]:
        raise BadRow(
            0, f"time {raw[0]} in {unit} would lie in early 1970: give --time-unit {likely}"
        )


def find_break(raw: Numbers, previous: float) -> int:
    """The first row where the unit seems to change, or -1; ``previous`` is the number before."""
    sizes = np.abs(np.concatenate(([previous], raw.astype(np.float64))))
    before, after = sizes[:-1], sizes[1:]
    with np.errstate(over="ignore"):
        jumps = (after > before * _BREAK) | (before > after * _BREAK)
    jumps &= np.minimum(before, after) >= _SURELY_SECONDS
    return int(np.argmax(jumps)) if jumps.any() else -1


def to_ms(raw: Numbers, unit: Unit, *, exact: bool) -> Times:
    """Milliseconds of epoch numbers in ``unit``.

    Fractions of seconds and milliseconds are rounded to the nearest millisecond. What is finer
    than that is cut off, or, with ``exact``, refused with BadRow.
    """
    if raw.dtype.kind == "f":
        per_unit = 1_000 / PER_SECOND[unit]
        return np.asarray(np.rint(raw * per_unit), np.int64)
    if unit in ("s", "ms"):
        return np.asarray(raw * (1_000 // PER_SECOND[unit]), np.int64)
    per_ms = PER_SECOND[unit] // 1_000
    times, rest = np.divmod(raw, per_ms)
    if exact and rest.any():
        row = int(np.argmax(rest != 0))
        raise BadRow(row, f"time {raw[row]} in {unit} is no whole millisecond: correct the file")
    return np.asarray(times, np.int64)


def is_calendar(raw: Numbers) -> bool:
    """Whether most numbers are dates in digits: YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS.

    As epoch numbers they would lie in 1970 (8 and 14 digits) or 1976 (12).
    """
    if raw.dtype.kind != "i" or not len(raw) or raw.min() < 19000101:
        return False
    digits = len(str(int(raw.max())))
    if digits not in (8, 12, 14) or len(str(int(raw.min()))) != digits:
        return False
    years = raw // 10 ** (digits - 4)
    return bool(
        years.min() >= 1900 and years.max() <= 2100 and _calendar_parts(raw)[1].mean() >= 0.5
    )


def from_calendar(raw: Numbers) -> Times:
    """Wall-clock milliseconds of dates in digits; BadRow for one that is not in the calendar."""
    local, valid = _calendar_parts(raw)
    if not valid.all():
        row = int(np.argmin(valid))
        raise BadRow(row, f"time {raw[row]} is no date: write YYYYMMDD, with HHMM or HHMMSS")
    return local


def _calendar_parts(raw: Numbers) -> tuple[Times, npt.NDArray[np.bool_]]:
    """Wall-clock milliseconds, and where they are those of a real date and time."""
    digits = len(str(int(raw.max())))
    days = raw.astype(np.int64) // 10 ** (digits - 8)
    clock = raw.astype(np.int64) % 10 ** (digits - 8) * (100 if digits == 12 else 1)
    year, month, day = days // 10_000, days // 100 % 100, days % 100
    hour, minute, second = clock // 10_000, clock // 100 % 100, clock % 100
    months = ((year - 1970) * 12 + np.clip(month, 1, 12) - 1).astype("M8[M]")
    dates = months.astype("M8[D]") + (np.clip(day, 1, 31) - 1)
    valid = (month >= 1) & (month <= 12) & (day >= 1) & (dates.astype("M8[M]") == months)
    valid &= (day <= 31) & (hour < 24) & (minute < 60) & (second < 60)
    local = dates.astype("M8[ms]").astype(np.int64)
    return local + (hour * 3600 + minute * 60 + second) * 1000, valid
