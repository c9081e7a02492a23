"""The clocks that the cache reads, so that tests can give it others."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple


class Clock(NamedTuple):
    """``wall``: seconds since the epoch, for what processes share; ``monotonic``: for the rest."""

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
