"""What this process holds, one shelf for each category."""

from __future__ import annotations

from ohlcache.cache.shelves.budget import Budget
from ohlcache.cache.shelves.changes import ALWAYS_NEWER, NO_TIER
from ohlcache.cache.shelves.shelf import ABSENT, MISS, Found, Mark, Note, Shelf

__all__ = [
    "ABSENT",
    "ALWAYS_NEWER",
    "MISS",
    "NO_TIER",
    "Budget",
    "Found",
    "Mark",
    "Note",
    "Shelf",
]
