"""Keys: texts that name values, the same in every process.

Texts of users stay readable. Whatever else becomes part of a key is written so that types are told
apart, ``1``, ``1.0``, ``True`` and ``"1"`` being four keys, and by its fingerprint where it is
large.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

from ohlcache.cache.keys.fingerprint import fingerprint

_LONGEST = 200  # characters of a key that stays readable
DERIVED = "~"  # begins every key that is not the user's own text
_SHORT = 60  # characters of a value that stays readable inside a key
_BEGINNING = 80  # characters of a long text that stay readable before its digest

_PLAIN = frozenset((type(None), bool, int, float, str))


class KeyText(str):
    """A text that :func:`key_text` gave, to be given to a cache as it is."""

    __slots__ = ()


def key_text(key: Hashable) -> str:
    """The text of a key that a user gave.

    A text of at most 200 printable characters stays as it is; a longer one becomes its beginning
    and a digest. Numbers, tuples, bytes, dates, Enum members and whatever else
    :func:`fingerprint` takes become a text that nothing else has.

    Raises TypeError, naming the type, for what cannot be a key.
    """
    if type(key) is str:
        if len(key) <= _LONGEST and key.isprintable() and not key.startswith(DERIVED):
            return key
        beginning = "".join(filter(str.isprintable, key[:_BEGINNING]))
        return f"{DERIVED}{beginning}#{fingerprint(key)}"
    if type(key) is KeyText:
        return str(key)
    return DERIVED + (_readable(key) or f"{type(key).__qualname__}#{fingerprint(key)}")


def arguments_text(function_name: str, arguments: Iterable[tuple[str, Any]]) -> str:
    """The text of a call: the name of the function and its bound arguments (name, value).

    Readable where it is short, ``mod.func(symbol='BTC/USDT',limit=100)``; large arguments by their
    digest. Raises TypeError, naming the argument and its type, for one that has none.
    """
    texts = []
    for name, value in arguments:
        try:
            texts.append(f"{name}={_readable(value) or '#' + fingerprint(value)}")
        except TypeError as error:
            raise TypeError(f"argument {name} of {function_name}: {error}") from None
    text = f"{function_name}({','.join(texts)})"
    if len(text) <= _LONGEST:
        return text
    return f"{function_name[:_BEGINNING]}(#{fingerprint(text)})"


def _readable(value: Any) -> str:
    """A short text that only this value has; empty if there is none."""
    kind = type(value)
    if kind in _PLAIN and (kind is not str or len(value) <= _SHORT):
        text = repr(value)
    elif kind is tuple and len(value) <= _SHORT // 2:
        parts = [_readable(item) for item in value]
        text = f"({','.join(parts)},)" if all(parts) else ""
    else:
        return ""
    return text if len(text) <= _SHORT else ""
