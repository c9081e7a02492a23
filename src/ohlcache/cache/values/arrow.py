"""The forms of pyarrow, and Arrow memory for the libraries that keep theirs in it.

Tables travel as Arrow IPC streams and are read in place. A stream is validated in full before use,
since offsets into foreign memory would otherwise be followed.
"""

from __future__ import annotations

import pyarrow as pa

from ohlcache.cache.values.tree import TreeReader, TreeWriter, register

_TABLE, _BATCH = 80, 81


def write_table(tree: TreeWriter, table: pa.Table) -> int:
    """Put a table beside the tree, batch by batch; the number of its buffer."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return tree.buffer(sink.getvalue())


def read_table(tree: TreeReader, buffer: int) -> pa.Table:
    """The table of that buffer. Raises ArrowInvalid for one that is damaged."""
    table = pa.ipc.open_stream(pa.py_buffer(tree.buffer(buffer))).read_all()
    table.validate(full=True)
    return table


def _batch(tree: TreeWriter, batch: pa.RecordBatch) -> int:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    return tree.buffer(sink.getvalue())


def _batch_from(tree: TreeReader, buffer: int) -> pa.RecordBatch:
    stream = pa.ipc.open_stream(pa.py_buffer(tree.buffer(buffer)))
    batch = stream.read_next_batch()
    batch.validate(full=True)
    return batch


register(pa.Table, _TABLE, write_table, read_table)
register(pa.RecordBatch, _BATCH, _batch, _batch_from)
