"""Decimal ticks: floats that were written as decimals, as the integers they stand for.

Almost every price is a decimal of few digits, so ``price * 10**k`` is an integer and integers
compress far better than the mantissas of doubles. The step is taken only where it is exact: the
integer divided by ``10**k`` must give the same 64 bits, which rules out -0.0, NaN and infinities.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ohlcache.candles.block import Values

Ticks = npt.NDArray[np.int64]

# Powers of ten up to 10**22 are exact doubles; more digits than these do not occur in prices.
SCALES = (1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12)
_EXACT_INTEGERS = 2.0**53
_SAMPLE = 64


def to_ticks(columns: Values) -> tuple[int, Ticks] | None:
    """The smallest k and the integers with ``columns == integers / 10**k``, bit for bit.

    ``columns`` has any shape; the integers have the same. None where no k up to 12 is exact.
    """
    exponent = _exponent(columns)
    if exponent is None:
        return None
    return exponent, np.rint(columns * SCALES[exponent]).astype(np.int64)


def _exponent(columns: Values) -> int | None:
    flat = columns.reshape(-1)
    exponent: int | None = 0
    # A few values settle most of the search before the whole column is looked at.
    for values in (flat[:: max(1, len(flat) // _SAMPLE)], flat):
        exponent = _exponent_from(values, exponent or 0)
        if exponent is None:
            return None
    # NaN and infinities survive the arithmetic above; this comparison is false for them as well.
    is_small = np.abs(flat).max(initial=0.0) * SCALES[exponent or 0] < _EXACT_INTEGERS
    return exponent if is_small else None


def _exponent_from(values: Values, exponent: int) -> int | None:
    """The smallest k at or above ``exponent``: what is exact at k stays exact at k + 1."""
    while True:
        with np.errstate(invalid="ignore", over="ignore"):
            scaled = np.rint(values * SCALES[exponent])
            # Adding 0.0 turns the -0.0 that rint may give into 0.0, as an integer would be.
            restored = (scaled + 0.0) / SCALES[exponent]
        inexact = restored.view(np.int64) != np.ascontiguousarray(values).view(np.int64)
        if not inexact.any():
            return exponent
        exponent += 1
        if exponent == len(SCALES):
            return None
        values = values[inexact]
