"""What the accounts of caches miss: growth that goes with what they hold, and is small beside it.

Accounts are close and not exact: dicts of entries, rounding by the allocator, pages that are not
full. What is missed is a share of what is held, so it grows and shrinks with it. Found by least
squares of the memory that is not accounted for on what is held, beside a straight line, which
stands for a leak; where what is held is itself such a line the two cannot be told apart, and up to
``MOST`` of it counts as missed.
"""

from __future__ import annotations

import numpy as np

from ohlcache.telemetry.trends.observations import Array

MOST = 0.3  # of what is held
_A_LINE = 0.99  # of the variance of what is held


def missed_share(at: Array, rest: Array, held: Array) -> float:
    """The bytes of ``rest`` that go with each byte held, 0…MOST."""
    if np.ptp(held) == 0:
        return 0.0
    columns = [held - held.mean()]
    if np.corrcoef(at, held)[0, 1] ** 2 < _A_LINE:
        columns.append((at - at.mean()) * (np.ptp(held) / np.ptp(at)))
    found, *_ = np.linalg.lstsq(np.column_stack(columns), rest - rest.mean(), rcond=None)
    return float(np.clip(found[0], 0.0, MOST))
