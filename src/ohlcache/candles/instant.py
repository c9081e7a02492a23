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
    half-open range over whole milliseconds needs at both ends. Moments beyond the years 1677 and
    2262 become the first and the last that can be told. Raises InvalidArgument, naming ``field``,
    for anything else, and for integers that are evidently not milliseconds.
    """
    if type(moment) is int:
        return _checked(moment, field)
    if isinstance(moment, str):
        return _from_text(moment, field)
    if isinstance(moment, datetime) and moment == moment:  # noqa: PLR0124  # NaT differs from itself
        nanoseconds = getattr(moment, "value", None)  # of a pandas.Timestamp
        return _from_datetime(moment) if nanoseconds is None else -(-nanoseconds // 1_000_000)
    if isinstance(moment, date) and not isinstance(moment, datetime):
        return _from_datetime(datetime(moment.year, moment.month, moment.day))
    if isinstance(moment, np.datetime64) and not np.isnat(moment):
        return _from_datetime(_up_to_us(moment))
    if isinstance(moment, np.integer):
        return _checked(int(moment), field)
    raise InvalidArgument(
        f"{field} is {moment!r}: give a datetime, an ISO string or integer milliseconds"
    )


def _checked(ms: int, field: str) -> int:
    if not EARLIEST <= ms <= LATEST:
        raise InvalidArgument(f"{field} is {ms}, which is no time in milliseconds: divide it")
    return ms


def to_iso(ms: int) -> str:
    """ISO text in UTC, without the parts that are zero: ``2024-01-01T00:00Z``."""
    moment = _EPOCH + ms * _MILLISECOND
    if ms % 1000:
        return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ" if ms % 60_000 else "%Y-%m-%dT%H:%MZ")


def _from_datetime(moment: datetime) -> int:
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - _EPOCH
    return min(max(-(-since // _MILLISECOND), EARLIEST), LATEST)


def _from_text(text: str, field: str) -> int:
    if re.fullmatch(r"-?[0-9]{9,}", text):
        return _checked(int(text), field)
    if re.fullmatch(r"[0-9]{4}(-[0-9]{2})?", text):
        text = f"{text}-01" if "-" in text else f"{text}-01-01"
    try:
        return _from_datetime(datetime.fromisoformat(text.strip()))
    except ValueError:
        raise InvalidArgument(
            f"{field} is {text!r}: write it as 2024-01-31, 2024-01-31T12:00 (UTC) or with an "
            "offset, 2024-01-31T12:00+01:00"
        ) from None


def _up_to_us(moment: np.datetime64) -> datetime:
    microseconds = moment.astype("M8[us]")
    if microseconds < moment:
        microseconds += np.timedelta64(1, "us")
    found: datetime = microseconds.item()
    return found
