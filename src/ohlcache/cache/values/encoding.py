"""A value as bytes, and back, equal in value and in type.

The first byte is the format tag: plain msgpack for values of plain types (the fast path), a tree
with buffers (``tree``) for everything else that has a form, a signed pickle (``signing``) where
that is switched on.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ohlcache.cache.values.signing import open_signed, sign
from ohlcache.cache.values.tree import TreeReader, TreeWriter, Unencodable
from ohlcache.errors import OhlcacheError, ValueDamaged

# Tags are part of the format: never reuse one. From 16 on they are the codecs of `compression`.
PLAIN, TREE, PICKLE = 1, 2, 3

_PLAIN_TAG, _PICKLE_TAG = bytes((PLAIN,)), bytes((PICKLE,))
_SCALARS = frozenset((type(None), bool, int, float, str, bytes))
_TEXT = frozenset((str,))

_REMEDY = "give builtin types, arrays or frames, or switch on signed pickle: cache.pickle_key"


def _no_extensions(code: int, _: memoryview) -> Any:
    raise ValueDamaged(f"a plain value holds an extension of type {code}: load it again")


_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(ext_hook=_no_extensions).decode


def encode(value: Any, *, signing_key: bytes | None = None) -> bytes:
    """A value as bytes.

    Takes None, bool, int of any size, float, complex, str, bytes, bytearray, list, tuple, set,
    frozenset, dict (any keys, order kept), datetime (naive, fixed offset or ZoneInfo), date, time,
    timedelta, timezone, ZoneInfo, Decimal, UUID; numpy arrays and scalars; pandas DataFrame,
    Series, Index, their arrays, Timestamp, Timedelta, NaT, NA; polars DataFrame and Series;
    pyarrow Table and RecordBatch; and any of them in containers.

    signing_key: pickle and sign what has no other form.

    Raises TypeError, naming the type and where it was found, for anything else. Types are taken
    exactly: a subclass would come back as its base.
    """
    try:
        return _formed(value)
    except Unencodable as error:
        refusal = _type_error(error)
    except RecursionError:
        refusal = TypeError("value holds itself or nests too deeply: give one that does not")
    if signing_key is None:
        raise refusal
    return _PICKLE_TAG + sign(value, signing_key)


def decode(data: bytes | memoryview, *, signing_key: bytes | None = None) -> Any:
    """The value of bytes that :func:`encode` gave. Arrays and frames are read-only.

    signing_key: the key that pickles must be signed with.

    Raises ValueDamaged for damaged or foreign bytes, ValueRefused for a pickle without a key or
    with a wrong signature; it is then not run.
    """
    view = memoryview(data)
    try:
        tag = view[0]
        if tag == PLAIN:
            return _unpack(view[1:])
        if tag == TREE:
            return TreeReader(view).value()
        if tag == PICKLE:
            return open_signed(view[1:], signing_key)
    except OhlcacheError:
        raise
    except Exception as error:  # of any library: whatever damaged bytes make it stumble over
        raise ValueDamaged(f"a value cannot be read ({_line(error)}): load it again") from error
    raise ValueDamaged(f"a value has the unknown format tag {tag}: load it again")


def _formed(value: Any) -> bytes:
    if _is_plain(value):
        try:
            return _PLAIN_TAG + _pack(value)
        except (OverflowError, UnicodeEncodeError):
            pass  # an integer beyond 64 bits or a lone surrogate, which a tree can hold
    return TreeWriter().write(TREE, value)


def _is_plain(value: Any) -> bool:
    """Whether msgpack alone keeps value and type. The sets are compared at the speed of C."""
    kind = type(value)
    if kind is dict:
        return _TEXT.issuperset(map(type, value)) and (
            _SCALARS.issuperset(map(type, value.values())) or all(map(_is_plain, value.values()))
        )
    if kind is list:
        return _SCALARS.issuperset(map(type, value)) or all(map(_is_plain, value))
    return kind in _SCALARS


def _type_error(error: Unencodable) -> TypeError:
    kind = f"{error.kind.__module__}.{error.kind.__qualname__}"
    reason = f" that {error.reason}" if error.reason else ""
    return TypeError(f"value{error.where} is a {kind}{reason}, which has no shared form: {_REMEDY}")


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
