"""Values as bytes: what the shared tiers hold."""

from __future__ import annotations

from ohlcache.cache.values.compression import Compression, compress, decompress
from ohlcache.cache.values.encoding import decode, encode
from ohlcache.cache.values.record import Record, pack, unpack

__all__ = [
    "Compression",
    "Record",
    "compress",
    "decode",
    "decompress",
    "encode",
    "pack",
    "unpack",
]
