"""Candles as the bytes of a response."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from ohlcache import __version__
from ohlcache.candles import OHLCV, Block, to_frame
from ohlcache.candles.block import Values

ROWS, COLUMNS, ARROW = "rows", "columns", "arrow"


def represent(rows: Block, kind: str) -> bytes:
    """The body of a response.

    rows: JSON as ccxt gives it, ``[[ms, open, high, low, close, volume], …]``. columns: JSON,
    ``{"timestamp": [ms, …], "open": […], …}`` with every stored column. arrow: an Arrow IPC stream
    of the same. JSON knows neither NaN nor infinity: they are null.
    """
    if kind == ARROW:
        return _arrow(rows)
    names = OHLCV if kind == ROWS else rows.names
    columns = [rows.times.tolist(), *(_with_null(rows.column(name)) for name in names)]
    document: Any
    if kind == ROWS:
        document = list(zip(*columns, strict=True))
    else:
        document = dict(zip(("timestamp", *names), columns, strict=True))
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()


def fingerprint(rows: Block, kind: str, coding: str) -> str:
    """A text that is the same only for the same body, without making the body.

    The body follows from the candles, the kind and this version of the code.
    """
    digest = hashlib.blake2b(digest_size=16)
    digest.update("\0".join((__version__, kind, *rows.names, "")).encode())
    digest.update(np.ascontiguousarray(rows.times).data)
    digest.update(np.ascontiguousarray(rows.values).data)
    return f"{digest.hexdigest()}-{coding}"


def _with_null(column: Values) -> list[float | None]:
    finite = np.isfinite(column)
    if finite.all():
        values: list[float | None] = column.tolist()
        return values
    return [value if known else None for value, known in zip(column.tolist(), finite, strict=True)]


def _arrow(rows: Block) -> bytes:
    import pyarrow as pa

    table = to_frame(rows, "arrow")
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    body: bytes = sink.getvalue().to_pybytes()
    return body
