"""RSS and its highest value, read in a few microseconds."""

from __future__ import annotations

import sys

from ohlcache.memory.usage import read_usage

_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss


def rss_bytes() -> int | None:
    """RSS of the process; None where it cannot be read at present, as without a free file."""
    try:
        return read_usage().rss
    except OSError:
        return None


def highest_rss_bytes() -> int:
    """The highest RSS the process ever had; 0 where the system does not tell.

    It is a bound from below: it says something about a stretch of time only if it rose in it.
    """
    try:
        from resource import RUSAGE_SELF, getrusage
    except ImportError:  # Windows
        return 0
    return getrusage(RUSAGE_SELF).ru_maxrss * _UNIT
