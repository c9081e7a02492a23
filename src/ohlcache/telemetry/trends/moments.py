"""Times of measurements as users have them, turned into seconds.

Numbers are seconds already, of whatever clock. ``datetime``, ``pandas.Timestamp`` and
``numpy.datetime64`` of any unit, also as an index, a column or a Series of them, and ISO texts
become seconds since the epoch; naive means UTC. NaT and None become NaN.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from ohlcache.errors import InvalidArgument

_LATEST = 1e11  # in the year 5138; what is larger was counted in ms, µs or ns
_EPOCH = np.datetime64(0, "s")
_SECOND = np.timedelta64(1, "s")


def seconds(given: Any, field: str) -> npt.NDArray[np.float64]:
    """The times as float64 seconds.

    InvalidArgument, naming ``field``, where they are no times, or evidently no seconds.
    """
    try:
        found = np.asarray(given)
        if found.dtype.kind == "M":
            return np.asarray((found - _EPOCH) / _SECOND, dtype=np.float64)
        if found.dtype.kind in "OUT":
            moments = [_seconds(moment) for moment in found.ravel()]
            found = np.array(moments, dtype=np.float64).reshape(found.shape)
        elif found.dtype.kind not in "fiu":
            raise TypeError
    except (TypeError, ValueError, OverflowError):
        raise InvalidArgument(
            f"{field} {given!r:.60} holds what is no time: give datetimes, ISO texts or seconds "
            "as numbers"
        ) from None
    found = found.astype(np.float64)
    large = found[np.isfinite(found) & (np.abs(found) > _LATEST)]
    if len(large):
        raise InvalidArgument(
            f"{field} holds {large[0]:.0f}, which is no time in seconds: divide milliseconds "
            "by 1000, or give datetimes"
        )
    return found


def _seconds(moment: Any) -> float:
    if moment is None or moment != moment:  # noqa: PLR0124  # NaT and NaN differ from themselves
        return float("nan")
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment.strip())
    elif isinstance(moment, np.datetime64):
        return float((moment - _EPOCH) / _SECOND)
    elif isinstance(moment, date) and not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day)
    if isinstance(moment, datetime):
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return float(moment)
