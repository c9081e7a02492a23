"""What a memory tier counts."""

from __future__ import annotations

from collections.abc import Collection

from ohlcache.cache.memory.cold import Compressed
from ohlcache.cache.memory.entry import Entry

CAUSES = ("policy", "expired", "shrink", "pressure")


class Tally:
    """Counts since a tier was made; changed under its lock, but for ``misses``.

    retired_hits: of entries that are no longer held; the others count their own.
    evicted: entries by what made them leave.
    """

    __slots__ = (
        "compressions",
        "decompressions",
        "evicted",
        "misses",
        "retired_hits",
        "sets",
        "too_large",
    )

    def __init__(self) -> None:
        self.misses = 0
        self.sets = 0
        self.retired_hits = 0
        self.too_large = 0
        self.evicted = dict.fromkeys(CAUSES, 0)
        self.compressions = 0
        self.decompressions = 0

    def figures(self, entries: Collection[Entry]) -> dict[str, object]:
        """The counts, and what these entries are: all that are held."""
        small = [entry for entry in entries if isinstance(entry.value, Compressed)]
        return {
            "hits": self.retired_hits + sum(entry.hits for entry in entries),
            "misses": self.misses,
            "sets": self.sets,
            "too_large": self.too_large,
            "evictions": dict(self.evicted),
            "entries": len(entries),
            "bytes": sum(entry.size for entry in entries),
            "compressions": self.compressions,
            "decompressions": self.decompressions,
            "compressed_entries": len(small),
            "compressed_bytes": sum(entry.size for entry in small),
            "compressed_bytes_saved": sum(entry.value.raw_size - entry.size for entry in small),
        }
