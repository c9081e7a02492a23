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
_SAMPLES, _SAMPLE = 8, 8 * 2**10  # pieces that are tried first, spread evenly, and their bytes


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
    how = Compression("zstd", min_bytes=0, min_saving=0.0)
    if len(encoded) > 2 * _SAMPLES * _SAMPLE:  # a tenth of a second for 10 MB, and not in vain
        sample = _sample_of(encoded)
        if len(compress(sample, how)) > (1 - _MIN_SAVING / 2) * len(sample):
            return None
    data = compress(encoded, how)
    if len(data) > (1 - _MIN_SAVING) * entry.size:
        return None
    return Compressed(data, entry.size)


def _sample_of(encoded: bytes) -> bytes:
    """Pieces from all over, so that it has something of each column of a frame."""
    apart = (len(encoded) - _SAMPLE) // (_SAMPLES - 1)
    view = memoryview(encoded)
    return b"".join(view[at * apart :][:_SAMPLE] for at in range(_SAMPLES))


def inflate(compressed: Compressed) -> tuple[Any, Reveal | None]:
    """The value to keep and its guard, as :func:`protect` gives them."""
    from ohlcache.cache.values import decode, decompress

    return protect(decode(decompress(compressed.data)), is_ours=True)
