"""Signed pickles: any object, for those who switch it on and share a secret key.

Unpickling runs whatever the bytes say, so it is done only for bytes that someone signed who holds
the key (HMAC-SHA256 over a purpose and the pickle). Layout, after the format tag: 32 bytes of
signature, the pickle.
"""

from __future__ import annotations

import hashlib
import hmac
import pickle
from typing import Any

from ohlcache.errors import ValueRefused

_PURPOSE = b"ohlcache value 1\0"  # so that a signature made for something else is none
_SIZE = hashlib.sha256().digest_size


def sign(value: Any, key: bytes) -> bytes:
    """The signed pickle of a value. Raises TypeError for what cannot be pickled."""
    try:
        data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, AttributeError, RecursionError) as error:
        raise TypeError(f"value cannot be pickled ({error}): give one that can") from None
    return _signature(data, key) + data


def open_signed(data: memoryview, key: bytes | None) -> Any:
    """The value of a signed pickle. Raises ValueRefused, without reading it, unless signed."""
    if key is None:
        raise ValueRefused("a value is a pickle: set cache.pickle_key to the key it is signed with")
    signature, pickled = data[:_SIZE], data[_SIZE:]
    if not hmac.compare_digest(signature, _signature(pickled, key)):
        raise ValueRefused("a pickle has a wrong signature: it was altered, or signed otherwise")
    return pickle.loads(pickled)  # noqa: S301  # a holder of the key wrote it


def _signature(data: bytes | memoryview, key: bytes) -> bytes:
    digest = hmac.new(key, _PURPOSE, hashlib.sha256)
    digest.update(data)
    return digest.digest()
