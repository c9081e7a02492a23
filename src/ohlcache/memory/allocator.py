"""What allocators keep free, and how to have it given back to the system.

glibc keeps freed memory for later. ``malloc_trim`` returns what of it is whole pages, from all
arenas, and does not hold the GIL meanwhile; it takes microseconds, but some 10 ms for each 100,000
holes that are in use all around. Arrow has a pool of its own.

Large pieces are mapped one by one and unmapped when they are freed, but "large" grows up to 32 MB
with what a program frees (mallopt(3), M_MMAP_THRESHOLD). Frames of some MB, kept for different
times, then leave holes that no other fits into, and caches that give back all that they have do not
make the process smaller. Fixing the threshold ends that, and costs page faults with each new large
array, so it is done only where memory is short.
"""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from typing import Any

_M_MMAP_THRESHOLD = -3
_LARGE = 2**20  # bytes


def trim() -> None:
    """Return free memory to the system, as far as there is a way to."""
    if (arrow := sys.modules.get("pyarrow")) is not None:
        arrow.default_memory_pool().release_unused()
    if (libc := _glibc()) is not None:
        libc.malloc_trim(0)


@cache
def map_large_pieces() -> bool:
    """From now on return pieces of 1 MB and more as they are freed; whether that is in force.

    A threshold that the environment sets is left as it is.
    """
    is_set = "MALLOC_MMAP_THRESHOLD_" in os.environ or "mmap_threshold" in os.environ.get(
        "GLIBC_TUNABLES", ""
    )
    libc = _glibc()
    return not is_set and libc is not None and libc.mallopt(_M_MMAP_THRESHOLD, _LARGE) == 1


@cache
def _glibc() -> Any:
    """The C library where it is glibc, otherwise None."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return None
    libc.malloc_trim.argtypes = [ctypes.c_size_t]
    libc.mallopt.argtypes = [ctypes.c_int, ctypes.c_int]
    return libc
