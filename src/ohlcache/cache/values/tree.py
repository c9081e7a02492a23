"""Any value as a tree of msgpack, with its large parts as buffers beside it.

msgpack alone makes lists of tuples and text of dates. Here whatever is not plain becomes an
extension, a number that says the type and the fields to build it from, so that what comes back
has the type that went in. The memory of arrays and frames stands after the tree, aligned, and is
read where it lies. How a type is taken apart and built is a *form*; the forms of a library are
loaded when its first value is met.

Layout, after the format tag: 3 bytes of zero, the length of the tree (u32), the tree
``[lengths of the buffers, value]``, the buffers, each at a multiple of 16 bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

import msgspec

from ohlcache.errors import ValueDamaged

Fields = Any  # what a form takes a value apart into: a plain value, or a list of nodes

_HEAD = struct.Struct("<BxxxI")
_ALIGNMENT = 16  # bytes; that of the memory a bytes object is given
_LEAST_INTEGER, _LARGEST_INTEGER = -(2**63), 2**64 - 1

_pack = msgspec.msgpack.Encoder().encode

_take_apart: dict[type, tuple[int, Callable[[TreeWriter, Any], Fields]]] = {}
_build: dict[int, Callable[[TreeReader, Any], Any]] = {}

# Codes are part of the format: never reuse one. Each home has a block of sixteen.
_HOMES = ("builtin", "builtin", "arrays", "frames", "columns", "arrow", "polars_frames")
_BLOCK = 16
_HOME_OF_LIBRARY = {
    "numpy": "arrays",
    "pandas": "frames",
    "polars": "polars_frames",
    "pyarrow": "arrow",
}

_SURROGATES, _LARGE_INTEGER, _DICT = 0, 1, 2


class Unencodable(Exception):
    """A value that has no form; ``where`` leads to it from the value that was given."""

    def __init__(self, kind: type, reason: str = "") -> None:
        super().__init__(kind, reason)
        self.kind = kind
        self.reason = reason
        self.where = ""

    def inside(self, step: str) -> Unencodable:
        """The same, seen from one container further out."""
        self.where = step + self.where
        return self


def register(
    kind: type,
    code: int,
    take_apart: Callable[[TreeWriter, Any], Fields],
    build: Callable[[TreeReader, Any], Any],
) -> None:
    """Give a type its form. Types that are built alike may share a code."""
    _take_apart[kind] = (code, take_apart)
    _build[code] = build


class TreeWriter:
    """One value on its way into a tree."""

    def __init__(self) -> None:
        self._buffers: list[memoryview] = []

    def write(self, tag: int, value: Any) -> bytes:
        """The bytes of a value, behind ``tag``. Raises Unencodable."""
        node = self.node(value)
        tree = _pack([[buffer.nbytes for buffer in self._buffers], node])
        parts: list[bytes | memoryview] = [_HEAD.pack(tag, len(tree)), tree]
        end = _HEAD.size + len(tree)
        for buffer in self._buffers:
            gap = -end % _ALIGNMENT
            parts += (bytes(gap), buffer)
            end += gap + buffer.nbytes
        return b"".join(parts)

    def node(self, value: Any) -> Any:
        """A value as the tree holds it: plain, or an extension."""
        kind = type(value)
        if kind in _AS_IT_IS:
            return value
        if kind is str:
            return value if value.isascii() else _text(value)
        if kind is int:
            return value if _LEAST_INTEGER <= value <= _LARGEST_INTEGER else _large(value)
        if kind is list:
            return self.nodes(value)
        if kind is dict:
            return self._mapping(value)
        code, take_apart = _take_apart.get(kind) or _find_form(kind)
        return self.extension(code, take_apart(self, value))

    def nodes(self, values: Iterable[Any]) -> list[Any]:
        """Several values; an error tells the position of its own."""
        nodes = []
        try:
            for value in values:
                nodes.append(self.node(value))  # noqa: PERF401  # the error needs the position
        except Unencodable as error:
            raise error.inside(f"[{len(nodes)}]") from None
        return nodes

    def extension(self, code: int, fields: Fields) -> msgspec.msgpack.Ext:
        """A node built by the form of that code."""
        return msgspec.msgpack.Ext(code, _pack(fields))

    def buffer(self, data: Any) -> int:
        """Put contiguous memory beside the tree; the number under which it can be read."""
        self._buffers.append(memoryview(data))
        return len(self._buffers) - 1

    def _mapping(self, value: dict[Any, Any]) -> Any:
        keys, items = [], []
        for key, item in value.items():
            try:
                keys.append(self.node(key))
                items.append(self.node(item))
            except Unencodable as error:
                raise error.inside(f"[{key!r}]") from None
        if all(type(key) is str for key in keys):
            return dict(zip(keys, items, strict=True))
        return self.extension(_DICT, [keys, items])


class TreeReader:
    """A tree that is read back. ``data`` starts at the format tag."""

    def __init__(self, data: memoryview) -> None:
        _, length = _HEAD.unpack_from(data)
        start = _HEAD.size + length
        if start > len(data):
            raise ValueDamaged("a value is cut short: load it again")
        self._buffers: list[memoryview] = []
        lengths, self._root = msgspec.msgpack.decode(data[_HEAD.size : start], type=_ROOT)
        for length in lengths:
            start += -start % _ALIGNMENT
            self._buffers.append(data[start : start + length])
            start += length
        if start != len(data):
            raise ValueDamaged("a value is cut short or has a foreign end: load it again")

    def value(self) -> Any:
        """The value that was written. Raises anything for what was damaged."""
        return self._decode(self._root)

    def buffer(self, number: int) -> memoryview:
        """Memory that stands beside the tree, read-only."""
        return self._buffers[number].toreadonly()

    def _decode(self, data: Any) -> Any:
        return msgspec.msgpack.decode(data, ext_hook=self._extension)

    def _extension(self, code: int, data: memoryview) -> Any:
        build = _build.get(code)
        if build is None:
            _load(_HOMES[code // _BLOCK])
            build = _build[code]
        return build(self, self._decode(data))


def _find_form(kind: type) -> tuple[int, Callable[[TreeWriter, Any], Fields]]:
    _load(_HOME_OF_LIBRARY.get(kind.__module__.partition(".")[0], "builtin"))
    form = _take_apart.get(kind)
    if form is None:
        raise Unencodable(kind)
    return form


def _load(home: str) -> None:
    import_module(f"ohlcache.cache.values.{home}")


def _text(value: str) -> str | msgspec.msgpack.Ext:
    try:
        value.encode()
    except UnicodeEncodeError:  # lone surrogates, as file names may hold them
        return msgspec.msgpack.Ext(_SURROGATES, _pack(value.encode("utf-8", "surrogatepass")))
    return value


def _large(value: int) -> msgspec.msgpack.Ext:
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return msgspec.msgpack.Ext(_LARGE_INTEGER, _pack(data))


_AS_IT_IS = frozenset((type(None), bool, float, bytes))
_ROOT = tuple[list[int], msgspec.Raw]

_build[_SURROGATES] = lambda _, data: data.decode("utf-8", "surrogatepass")
_build[_LARGE_INTEGER] = lambda _, data: int.from_bytes(data, "little", signed=True)
_build[_DICT] = lambda _, fields: dict(zip(*fields, strict=True))
