"""Moments as users write them, turned into integer milliseconds since the epoch (UTC)."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np

from ohlcache.errors import InvalidArgument

Instant = Any  # datetime | pandas.Timestamp | numpy.datetime64 | ISO text | int ms

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
# Nanoseconds since the epoch must fit into int64, since that is what pandas counts in.
EARLIEST, LATEST = -9_223_372_036_854, 9_223_372_036_854


def to_ms(moment: Instant, field: str) -> int:
    """Milliseconds since the epoch of a datetime, Timestamp, datetime64, ISO text or int (ms).

    Naive means UTC. A moment between two milliseconds counts as the later one, which is what a
    half-open range over whole milliseconds needs at both ends. Raises InvalidArgument, naming
    ``field``, for anything else and for years outside 1677 to 2262.
    """
    if type(moment) is int:
        ms = moment
    elif isinstance(moment, str):
        ms = _from_text(moment, field)
    elif isinstance(moment, datetime):
        ms = _from_datetime(moment)
    elif isinstance(moment, date):
        ms = _from_datetime(datetime(moment.year, moment.month, moment.day))
    elif isinstance(moment, np.datetime64) and not np.isnat(moment):
        ms = -int(-moment.astype("M8[ns]").astype(np.int64) // 1_000_000)
    elif isinstance(moment, np.integer):
        ms = int(moment)
    else:
        raise InvalidArgument(
            f"{field} is {moment!r}: give a datetime, an ISO string or integer milliseconds"
        )
    if not EARLIEST <= ms <= LATEST:
        raise InvalidArgument(
            f"{field} is {moment!r}, outside the years 1678 to 2262: integers are milliseconds"
        )
    return ms


def to_iso(ms: int) -> str:
    """ISO text in UTC, without the parts that are zero: ``2024-01-01T00:00Z``."""
    moment = _EPOCH + ms * _MILLISECOND
    if ms % 1000:
        return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ" if ms % 60_000 else "%Y-%m-%dT%H:%MZ")


def _from_datetime(moment: datetime) -> int:
    if moment != moment:  # noqa: PLR0124  # only NaT differs from itself
        return LATEST + 1
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - _EPOCH
    return -(-since // _MILLISECOND)


def _from_text(text: str, field: str) -> int:
    if re.fullmatch(r"-?[0-9]{9,}", text):
        return int(text)
    if re.fullmatch(r"[0-9]{4}(-[0-9]{2})?", text):
        text = f"{text}-01" if "-" in text else f"{text}-01-01"
    try:
        return _from_datetime(datetime.fromisoformat(text.strip()))
    except ValueError:
        raise InvalidArgument(
            f"{field} is {text!r}: write it as 2024-01-31, 2024-01-31T12:00 (UTC) or with an "
            "offset, 2024-01-31T12:00+01:00"
        ) from None
