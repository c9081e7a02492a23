"""The record: what a shared tier holds for a key, a value with what must be known of it.

Layout: format version (1 byte), CRC-32 of all that follows (u32), length of the header (u32), the
header in msgpack, zeros up to a multiple of 16 bytes, the payload: the value as ``encode`` and
``compress`` left it. The header is read without the payload, so that a record that is out of date
costs no decoding.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

import msgspec

from ohlcache.errors import ValueDamaged

FORMAT_VERSION = 1

_PREFIX = struct.Struct("<BI")
_LENGTH = struct.Struct("<I")
_START = _PREFIX.size + _LENGTH.size
_ALIGNMENT = 16  # so that arrays in the payload lie as their types ask for


class Record(NamedTuple):
    """A stored value and what is known of it. Times are wall clock, in seconds since the epoch.

    fresh_until: from then on it is stale; expires: from then on it is gone, inf for never.
    cost: seconds that loading it took; 0 where unknown.
    versions: of the namespace, the category and the tags when the load began; name -> version.
    is_absent: the loader found nothing, and that is the answer; the payload is then empty.
    payload: the value as ``encode`` and ``compress`` left it.
    """

    created: float
    fresh_until: float
    expires: float
    cost: float
    versions: dict[str, str]
    is_absent: bool = False
    payload: bytes | memoryview = b""


_encode_header = msgspec.msgpack.Encoder().encode
_decode_header = msgspec.msgpack.Decoder(
    tuple[float, float, float, float, dict[str, str], bool]
).decode


def pack(record: Record) -> bytes:
    """A record as bytes."""
    payload = record.payload
    header = _encode_header(record[:-1])
    gap = -(_START + len(header)) % _ALIGNMENT
    head = _LENGTH.pack(len(header)) + header + bytes(gap)
    checksum = zlib.crc32(payload, zlib.crc32(head))
    return b"".join((_PREFIX.pack(FORMAT_VERSION, checksum), head, payload))


def unpack(data: bytes | memoryview) -> Record:
    """The record of bytes that :func:`pack` gave; its payload is a view on them.

    Raises ValueDamaged for bytes that fail their checksum, are foreign, or of another version.
    """
    view = memoryview(data)
    if len(view) < _START:
        raise ValueDamaged(f"a record of {len(view)} bytes is cut short: load it again")
    version, checksum = _PREFIX.unpack_from(view)
    if version != FORMAT_VERSION:
        raise ValueDamaged(f"a record has the unknown format version {version}: load it again")
    if zlib.crc32(view[_PREFIX.size :]) != checksum:
        raise ValueDamaged("a record fails its checksum: load it again")
    end = _START + _LENGTH.unpack_from(view, _PREFIX.size)[0]
    try:
        header = _decode_header(view[_START:end])
    except msgspec.MsgspecError as error:
        raise ValueDamaged(f"a record has a foreign header ({error}): load it again") from None
    return Record(*header, view[end + -end % _ALIGNMENT :])
