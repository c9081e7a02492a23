"""Large values that are not used at present: kept compressed before they go.

A compressed entry is an entry like any other; its guard decompresses. A value that has no encoded
form, or that gets hardly smaller, is left to go.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ohlcache.cache.memory.entry import Entry, Reveal
from ohlcache.cache.memory.guard import protect

LARGE = 16 * 2**10  # bytes: smaller values are not worth the time
_MIN_SAVING = 0.25


class Compressed(NamedTuple):
    """A value in compressed form.

    data: what :func:`inflate` takes.
    raw_size: the bytes that the entry was accounted with before.
    """

    data: bytes
    raw_size: int


def deflate(entry: Entry) -> Compressed | None:
    """The entry's value compressed, or None where it has no encoded form or that saves little."""
    from ohlcache.cache.values import Compression, compress, encode

    try:
        encoded = encode(entry.value)
    except TypeError:
        return None
    data = compress(encoded, Compression("zstd", min_bytes=0, min_saving=0.0))
    if len(data) > (1 - _MIN_SAVING) * entry.size:
        return None
    return Compressed(data, entry.size)


def inflate(compressed: Compressed) -> tuple[Any, Reveal | None]:
    """The value to keep and its guard, as :func:`protect` gives them."""
    from ohlcache.cache.values import decode, decompress

    return protect(decode(decompress(compressed.data)), is_ours=True)
