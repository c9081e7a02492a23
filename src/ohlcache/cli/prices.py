"""Prices and volumes as text: as many decimals as the numbers need, the same in a whole column."""

from __future__ import annotations

import math
from decimal import Decimal

from ohlcache.candles.block import Values

_MOST_PLACES = 12
_DIGITS = 10  # of the largest number
_EXACT_DIGITS = 12  # what is beyond is the rounding of float64 and of sums


def price_texts(values: Values, places: int | None = None) -> list[str]:
    """The numbers with ``places`` decimals, by default :func:`places_of` them."""
    decimals = places_of(values) if places is None else places
    return [f"{value:,.{decimals}f}" if math.isfinite(value) else "-" for value in values.tolist()]


def places_of(values: Values) -> int:
    """How many decimals show all of the numbers, up to ten digits."""
    finite = [value for value in values.tolist() if math.isfinite(value)]
    largest = max(map(abs, finite), default=0.0)
    before = math.floor(math.log10(largest)) + 1 if largest else 1
    shortened = (Decimal(f"{value:.{_EXACT_DIGITS}g}").normalize() for value in finite)
    needed = -min((int(value.as_tuple().exponent) for value in shortened), default=0)
    return max(0, min(needed, _DIGITS - before, _MOST_PLACES))
