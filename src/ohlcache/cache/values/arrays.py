"""The forms of numpy: arrays as the memory they are, read back in place and read-only."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from ohlcache.cache.values.tree import TreeReader, TreeWriter, Unencodable, register

_ARRAY, _SCALAR = 32, 33

_KINDS = "?biufcmMSUV"  # whose memory is the value: no objects, no pointers


def _array(tree: TreeWriter, array: np.ndarray[Any, Any]) -> list[Any]:
    _check(array.dtype)
    is_fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    memory = np.ascontiguousarray(array.T if is_fortran else array)
    return [_dtype(tree, array.dtype), list(array.shape), is_fortran, tree.buffer(_bytes(memory))]


def _array_from(tree: TreeReader, fields: list[Any]) -> np.ndarray[Any, Any]:
    dtype, shape, is_fortran, buffer = fields
    memory = tree.buffer(buffer)
    order: Literal["F", "C"] = "F" if is_fortran else "C"
    dtype = _dtype_from(tree, dtype)
    array: np.ndarray[Any, Any] = np.ndarray(shape, dtype, memory, order=order)
    if array.nbytes != memory.nbytes:
        raise ValueError(f"an array of {array.nbytes} bytes has {memory.nbytes}")
    return array if array.flags.aligned else _read_only(array.copy(order=order))


def _bytes(memory: np.ndarray[Any, Any]) -> Any:
    """Contiguous memory without its type; datetimes do not let theirs be seen otherwise."""
    return memory.reshape(-1).view(np.uint8) if memory.nbytes else b""


def _read_only(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    array.flags.writeable = False
    return array


def _scalar(tree: TreeWriter, value: np.generic) -> list[Any]:
    _check(value.dtype)
    return [_dtype(tree, value.dtype), value.tobytes()]


def _scalar_from(tree: TreeReader, fields: list[Any]) -> Any:
    dtype, data = fields
    return np.ndarray((), _dtype_from(tree, dtype), bytearray(data))[()]


def _check(dtype: np.dtype[Any]) -> None:
    if dtype.hasobject or dtype.kind not in _KINDS:
        raise Unencodable(np.ndarray, f"has the dtype {dtype}")


def _dtype(tree: TreeWriter, dtype: np.dtype[Any]) -> Any:
    return tree.node(np.lib.format.dtype_to_descr(dtype))


def _dtype_from(_: TreeReader, description: Any) -> np.dtype[Any]:
    dtype = np.lib.format.descr_to_dtype(description)
    if dtype.hasobject:
        raise ValueError(f"an array of {dtype} cannot be read from bytes")
    return dtype


def _scalar_types() -> set[type]:
    found: set[type] = set()
    pending: list[type] = [np.generic]
    while pending:
        kind = pending.pop()
        pending += kind.__subclasses__()
        if kind.__module__ == "numpy":
            found.add(kind)
    return found


register(np.ndarray, _ARRAY, _array, _array_from)
for _kind in _scalar_types():
    register(_kind, _SCALAR, _scalar, _scalar_from)
