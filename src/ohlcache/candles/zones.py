"""Between moments in UTC and the wall clock of a time zone, for whole arrays.

A local time that the clock shows twice means its first occurrence, one that it skips means the
moment of the change; so every local time is exactly one moment, and order is kept.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from ohlcache.candles.block import Times
from ohlcache.candles.timeframe import DAY, SECOND
from ohlcache.errors import InvalidArgument

# Changes of the clock are looked up in pieces of 2**35 ms, a little more than a year.
_PIECE_BITS = 35
_PIECE = 1 << _PIECE_BITS
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# datetime ends at the years 1 and 9999; a moment beyond has the offset of the nearest one inside.
_FIRST_MOMENT = -62_135_596_800_000 + 2 * DAY
_LAST_MOMENT = 253_402_300_799_000 - 2 * DAY


@lru_cache(maxsize=1024)
def zone_info(zone: str) -> ZoneInfo:
    """The zone of the IANA database by name; InvalidArgument for any other name."""
    try:
        return ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidArgument(
            f"zone {zone!r} is not known: write an IANA name such as America/New_York"
        ) from error


def to_local(times: Times, zone: str) -> Times:
    """Wall-clock ms of the zone at these moments (ms since the epoch, UTC).

    Raises InvalidArgument for a zone that is not in the IANA database.
    """
    if zone == "UTC" or not len(times):
        return times
    moments, offsets = _clock(times, zone)
    local: Times = times + offsets[np.searchsorted(moments, times, "right") - 1]
    return local


def from_local(local: Times, zone: str) -> Times:
    """The moments at which the zone's wall clock shows these ms.

    A time that the clock shows twice is taken as the first, one that it skips as the moment of
    the change. Raises InvalidArgument for a zone that is not in the IANA database.
    """
    if zone == "UTC" or not len(local):
        return local
    moments, offsets = _clock(local, zone)
    # An offset serves until the later of the two wall-clock times of the next change; what the
    # clock skips there would lie beyond the change, and is cut back to it.
    switches = moments[1:] + np.maximum(offsets[1:], offsets[:-1])
    at = np.searchsorted(switches, local, "right")
    until = np.append(moments[1:], np.iinfo(np.int64).max)
    times: Times = np.minimum(local - offsets[at], until[at])
    return times


def _clock(times: Times, zone: str) -> tuple[Times, Times]:
    """The moments at which the zone's offset changes around these times, and the offsets then."""
    pieces = times >> _PIECE_BITS
    runs = pieces[np.flatnonzero(np.diff(pieces, prepend=pieces[0] - 1))]
    near = sorted({int(piece) + step for piece in runs.tolist() for step in (-1, 0, 1)})
    changes = [change for piece in near for change in _changes(zone, piece)]
    moments, offsets = zip(*changes, strict=True)
    return np.array(moments, np.int64), np.array(offsets, np.int64)


@lru_cache(maxsize=4096)
def _changes(zone: str, piece: int) -> tuple[tuple[int, int], ...]:
    """(moment, offset from then on) for the start of a piece and each change within it.

    Offsets are compared from day to day and each change is then found by halving, so two changes
    within one day that cancel out are not seen; no zone has ever had any.
    """
    info = zone_info(zone)
    start, end = piece * _PIECE, (piece + 1) * _PIECE
    before = _offset_at(start, info)
    changes = [(start, before)]
    for day in range(start, end, DAY):
        until = min(day + DAY, end - 1)
        after = _offset_at(until, info)
        if after == before:
            continue
        low, high = day, until
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if _offset_at(middle, info) == before else (low, middle)
        changes.append((high, after))
        before = after
    return tuple(changes)


def _offset_at(time: int, info: ZoneInfo) -> int:
    """The offset from UTC in ms at a moment."""
    inside = min(max(time, _FIRST_MOMENT), _LAST_MOMENT)
    offset = (_EPOCH + timedelta(seconds=inside // SECOND)).astimezone(info).utcoffset()
    return 0 if offset is None else round(offset.total_seconds()) * SECOND
