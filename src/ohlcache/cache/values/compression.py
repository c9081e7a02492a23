"""Bytes made smaller where that pays, marked so that reading needs no settings.

What is compressed starts with the tag of its codec and its size before (u64), which no format tag
of a value equals; what is not, stays as it is. A size that no codec could have reached from so few
bytes is refused before any memory is asked for.
"""

from __future__ import annotations

import struct
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import lz4.block
import zstandard

from ohlcache.errors import InvalidArgument, ValueDamaged

_HEAD = struct.Struct("<BQ")  # tag, size before
_LARGEST = 4 * 2**30  # bytes; what is larger is left as it is
_GZIP = 16 + zlib.MAX_WBITS

_local = threading.local()  # the objects of zstandard must not be shared between threads


class _Codec(NamedTuple):
    tag: int  # part of the format: never reuse one
    levels: range
    level: int  # the default
    ratio: int  # the most that the format can reach
    compress: Callable[[bytes | memoryview, int], bytes]
    decompress: Callable[[memoryview, int], bytes]


def _zstd(data: bytes | memoryview, level: int) -> bytes:
    compressors = _local.__dict__.setdefault("compressors", {})
    compressor = compressors.get(level)
    if compressor is None:
        compressor = compressors[level] = zstandard.ZstdCompressor(level, write_checksum=False)
    compressed: bytes = compressor.compress(data)
    return compressed


def _zstd_back(data: memoryview, size: int) -> bytes:
    decompressor = _local.__dict__.get("decompressor")
    if decompressor is None:
        decompressor = _local.decompressor = zstandard.ZstdDecompressor()
    # The frame says a size as well, and that is the one the library would ask memory for.
    if zstandard.frame_content_size(data) != size:
        raise ValueError("the sizes differ")
    found: bytes = decompressor.decompress(data, allow_extra_data=False)
    return found


def _lz4(data: bytes | memoryview, level: int) -> bytes:
    mode = "high_compression" if level else "default"
    compressed: bytes = lz4.block.compress(data, mode, compression=level, store_size=False)
    return compressed


def _lz4_back(data: memoryview, size: int) -> bytes:
    found: bytes = lz4.block.decompress(data, uncompressed_size=size)
    return found


def _gzip(data: bytes | memoryview, level: int) -> bytes:
    return zlib.compress(data, level, _GZIP)


def _gzip_back(data: memoryview, size: int) -> bytes:
    stream = zlib.decompressobj(_GZIP)
    found = stream.decompress(data, size) + stream.flush()
    if not stream.eof or stream.unused_data:
        raise ValueError("the end is not where it should be")
    return found


_CODECS = {
    # A block of zstd is at most 128 KiB and takes at least 3 bytes.
    "zstd": _Codec(16, range(-7, 23), 1, 44_000, _zstd, _zstd_back),
    "lz4": _Codec(17, range(13), 0, 256, _lz4, _lz4_back),
    "gzip": _Codec(18, range(10), 6, 1_100, _gzip, _gzip_back),
}
_BY_TAG = {codec.tag: codec for codec in _CODECS.values()}


@dataclass(frozen=True, slots=True)
class Compression:
    """How values are compressed.

    codec: ``zstd``, ``lz4`` or ``gzip``.
    min_bytes: smaller values are left as they are.
    min_saving: the share of its bytes that a value must lose, or it is left as it is.
    level: of the codec; None for a fast one (zstd 1, lz4 0, gzip 6).
    """

    codec: str = "zstd"
    min_bytes: int = 1024
    min_saving: float = 0.10
    level: int | None = None

    def __post_init__(self) -> None:
        codec = _CODECS.get(self.codec)
        if codec is None:
            raise InvalidArgument(f"codec is {self.codec!r}: use one of {', '.join(_CODECS)}")
        if self.level is not None and self.level not in codec.levels:
            low, high = codec.levels[0], codec.levels[-1]
            raise InvalidArgument(f"level is {self.level!r}: {self.codec} has {low} to {high}")
        if self.min_bytes < 0:
            raise InvalidArgument(f"min_bytes is {self.min_bytes!r}: give 0 or more")
        if not 0 <= self.min_saving < 1:
            raise InvalidArgument(f"min_saving is {self.min_saving!r}: give a share in [0, 1)")


def compress(data: bytes, how: Compression | None) -> bytes:
    """``data`` compressed, or ``data`` itself where that would not pay. None: never."""
    if how is None or not how.min_bytes <= len(data) <= _LARGEST:
        return data
    codec = _CODECS[how.codec]
    level = codec.level if how.level is None else how.level
    compressed = codec.compress(data, level)
    if _HEAD.size + len(compressed) > len(data) * (1 - how.min_saving):
        return data
    return _HEAD.pack(codec.tag, len(data)) + compressed


def decompress(data: bytes | memoryview) -> bytes | memoryview:
    """What :func:`compress` was given; ``data`` itself unless it is marked as compressed.

    Raises ValueDamaged for damaged bytes and for a size that cannot be.
    """
    codec = _BY_TAG.get(data[0]) if data else None
    if codec is None:
        return data
    if len(data) < _HEAD.size:
        raise ValueDamaged("a compressed value is cut short: load it again")
    _, size = _HEAD.unpack_from(data)
    packed = memoryview(data)[_HEAD.size :]
    if size > min(_LARGEST, codec.ratio * len(packed)):
        raise ValueDamaged(
            f"a compressed value of {len(packed)} bytes claims {size}: load it again"
        )
    try:
        found = codec.decompress(packed, size)
    except (ValueError, zstandard.ZstdError, zlib.error, lz4.block.LZ4BlockError) as error:
        raise ValueDamaged(f"a compressed value cannot be read ({error}): load it again") from None
    if len(found) != size:
        raise ValueDamaged(f"a compressed value has {len(found)} bytes, not {size}: load it again")
    return found
