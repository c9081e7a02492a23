"""Keys and fingerprints: texts that mean the same in every process."""

from __future__ import annotations

from ohlcache.cache.keys.fingerprint import fingerprint
from ohlcache.cache.keys.functions import function_name
from ohlcache.cache.keys.text import DERIVED, KeyText, arguments_text, key_text

__all__ = [
    "DERIVED",
    "KeyText",
    "arguments_text",
    "fingerprint",
    "function_name",
    "key_text",
]
