"""Proving that rows are those that a damaged chunk held, so that nothing of it is lost.

Encoding is deterministic, and a chunk ends with the CRC-32 of what stands before. Rows that give a
chunk of the same length with the checksum that the damaged one still bears are what it held.
"""

from __future__ import annotations

from ohlcache.candles import Block
from ohlcache.candles.codec import read_header
from ohlcache.errors import ChunkError
from ohlcache.history.chunks import Encoded, Piece, encode_layers
from ohlcache.history.shared.lookup import CHECKSUM_BYTES


def proven(layer: Piece, damaged: bytes, rows: Block, names: tuple[str, ...]) -> Encoded | None:
    """The layer as it was before the damage, made of these rows; None where that is not certain.

    names: the columns of the series.
    """
    held = rows.between(layer.first, layer.last + 1)
    if not len(held):
        return None
    held = held.with_names(_names_of(damaged, names))
    (encoded,) = encode_layers([(layer.start, layer.layer, held)])
    is_same = len(encoded.data) == len(damaged) and _checksum(encoded.data) == _checksum(damaged)
    return encoded if is_same else None


def _checksum(data: bytes) -> bytes:
    return data[-CHECKSUM_BYTES:]


def _names_of(damaged: bytes, names: tuple[str, ...]) -> tuple[str, ...]:
    """The columns that the chunk says it has, unless that is damaged too."""
    try:
        own = read_header(damaged).names
    except ChunkError:
        return names
    return own if len({*own} & {*names}) == len(own) else names
