"""How much memory the process takes, read in a few microseconds.

Everything in this room reads memory through one function of this shape, so that it can be replaced.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

_STATM = "/proc/self/statm"  # opened at each reading: after a fork it is another process
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class Usage(NamedTuple):
    """Bytes that the process takes.

    rss: what of it is in main memory; what limits and marks are compared with.
    virtual: of address space (counts for RLIMIT_AS).
    data: of that, private and writeable (counts for RLIMIT_DATA).
    """

    rss: int
    virtual: int = 0
    data: int = 0


ReadUsage = Callable[[], Usage]


def read_usage() -> Usage:
    """The memory of this process at present."""
    try:
        with open(_STATM, "rb", buffering=0) as file:  # noqa: PTH123  # half the time of a Path
            fields = file.read(200).split()
    except OSError:
        return _read_portably()
    return Usage(int(fields[1]) * _PAGE, int(fields[0]) * _PAGE, int(fields[5]) * _PAGE)


def _read_portably() -> Usage:
    import psutil

    found = psutil.Process().memory_info()
    return Usage(found.rss, found.vms, found.vms)
