"""Growth in few steps: loads of data, not a leak.

Whoever loads eight histories in two hours makes eight steps at times of no order. It takes more of
them, or an order as that of a clock, to expect the next.
"""

from __future__ import annotations

import numpy as np

from ohlcache.telemetry.trends.observations import Array

_ENOUGH = 10
_ENOUGH_IN_ORDER = 6
_ORDER = 0.35  # the spread of the times between steps, over their mean; 1.0 of random times
_STEP = 6.0  # of the noise
_SHARE = 0.7  # of the growth is steps
_PAGE = 4096.0


def is_few_steps(times: Array, values: Array) -> bool:
    """Whether the growth is steps, too few of them to expect more."""
    rises = np.diff(values)
    usual = float(np.median(rises))
    noise = 1.4826 * float(np.median(np.abs(rises - usual)))
    stepped = np.flatnonzero(rises - usual > _STEP * noise + 2 * _PAGE)
    # A rise that takes two intervals is one step.
    begun = stepped[np.diff(stepped, prepend=-2) > 1]
    is_slope = len(stepped) > 2 * len(begun)
    if rises[stepped].sum() < _SHARE * (values[-1] - values.min()) or is_slope:
        return False
    if not 0 < len(begun) < _ENOUGH:
        return False
    return len(begun) < _ENOUGH_IN_ORDER or _disorder(times[begun]) > _ORDER


def _disorder(at: Array) -> float:
    between = np.diff(at)
    return float(between.std() / between.mean())
