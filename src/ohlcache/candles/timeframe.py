"""Timeframes in ccxt's notation: a count and a unit, ``1m``, ``4h``, ``1w``, ``1M``.

``m`` is minute and ``M`` is month. Seconds, minutes and hours that make a whole larger unit up to
the day are the same timeframe (``60m`` is ``1h``, ``24h`` is ``1d``); ``7d`` is not ``1w``, because
weeks start on Monday and seven-day candles do not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from ohlcache.errors import UnknownTimeframe

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7 * DAY

_UNIT_MS = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": WEEK, "M": 30 * DAY}
_UNITS = "s (second), m (minute), h (hour), d (day), w (week, from Monday), M (calendar month)"
_LONGEST_MS = 10 * 366 * DAY

# Freshness of the recent tail in seconds, by length of the candle; linear between these points,
# in proportion below the first, constant above the last (one week, in proportion to the day).
_FRESHNESS = (
    (0, 0.0),
    (MINUTE, 60.0),
    (5 * MINUTE, 300.0),
    (HOUR, 1_800.0),
    (DAY, 14_400.0),
    (WEEK, 100_800.0),
)


@dataclass(frozen=True, slots=True)
class Timeframe:
    """The length of a candle: ``count`` units of ``s m h d w M``.

    Build one with :meth:`parse`. ``str()`` gives the canonical text back.
    """

    count: int
    unit: str

    @staticmethod
    def parse(text: str | Timeframe) -> Timeframe:
        """The timeframe written as ``text``, in canonical form (``60m`` becomes ``1h``).

        Raises UnknownTimeframe, with the list of units, for anything else.
        """
        if isinstance(text, Timeframe):
            return text
        return _parse(text if isinstance(text, str) else repr(text))

    @property
    def milliseconds(self) -> int:
        """The nominal length in milliseconds; a month counts as 30 days."""
        return self.count * _UNIT_MS[self.unit]

    @property
    def seconds(self) -> int:
        """The nominal length in seconds; a month counts as 30 days."""
        return self.milliseconds // SECOND

    @property
    def is_calendar(self) -> bool:
        """True for months, whose candles differ in length."""
        return self.unit == "M"

    @property
    def is_daily_or_longer(self) -> bool:
        """True where a candle may follow a venue's session instead of the UTC day."""
        return self.unit in "dwM"

    @property
    def freshness(self) -> float:
        """Seconds for which the recent, still changing tail of a series may be reused."""
        length = self.milliseconds
        for (low, fresh_low), (high, fresh_high) in pairwise(_FRESHNESS):
            if length <= high:
                return fresh_low + (length - low) / (high - low) * (fresh_high - fresh_low)
        return _FRESHNESS[-1][1]

    def __str__(self) -> str:
        return f"{self.count}{self.unit}"


@lru_cache(maxsize=256)
def _parse(text: str) -> Timeframe:
    match = re.fullmatch(r"([1-9][0-9]{0,6})([smhdwM])", text)
    if match is None:
        raise UnknownTimeframe(
            f"timeframe {text!r} is not known: write a count and a unit, one of {_UNITS}"
        )
    count, unit = int(match[1]), match[2]
    for unit_of, larger, ratio in (("s", "m", 60), ("m", "h", 60), ("h", "d", 24)):
        if unit == unit_of and count % ratio == 0:
            count, unit = count // ratio, larger
    timeframe = Timeframe(count, unit)
    if timeframe.milliseconds > _LONGEST_MS:
        raise UnknownTimeframe(f"timeframe {text!r} is longer than ten years: use a shorter one")
    return timeframe
