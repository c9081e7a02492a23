"""How the rows of a series are cut into chunks, and put together again.

Time is cut into windows of 32,768 candles. A window has a body, compressed, and may have a layer of
recent rows, uncompressed, that lies over it: that is what keeps a single append cheap. Once the
layer has grown past a share of the body it is merged into it, so that the cost of an append,
spread over all appends, does not depend on the length of the history, nor does the cost of a read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import accumulate, groupby, pairwise
from queue import Empty, SimpleQueue
from typing import NamedTuple

import numpy as np

from ohlcache.candles import Block, Timeframe
from ohlcache.candles.codec import decode, decode_into, encode, encode_plain
from ohlcache.candles.frames import NS_PER_MS
from ohlcache.candles.merge import merge

WINDOW_CANDLES = 32_768
BODY, RECENT = 0, 1

_MOST_RECENT_ROWS = 512
_RECENT_SHARE = 16
_BATCHES_PER_READER = 4


class Piece(NamedTuple):
    """One stored layer of a window, without its bytes: all times in ms."""

    start: int
    layer: int
    first: int
    last: int
    rows: int


_Batch = list[tuple[Piece, Block]]  # each with the place that it is decoded into
ReadChunks = Callable[[int, int], Iterable[bytes]]


class Encoded(NamedTuple):
    """A layer ready to be stored."""

    piece: Piece
    data: bytes


def window(timeframe: Timeframe, time: int) -> int:
    """The start of the window that holds ``time``."""
    return time - time % window_length(timeframe)


def window_length(timeframe: Timeframe) -> int:
    """The length of a window in ms."""
    return WINDOW_CANDLES * timeframe.milliseconds


def split(block: Block, timeframe: Timeframe) -> Iterator[tuple[int, Block]]:
    """The block by windows, in order, as (start, rows)."""
    if not len(block):
        return
    starts = block.times - block.times % window_length(timeframe)
    edges = [0, *(np.flatnonzero(np.diff(starts)) + 1).tolist(), len(block)]
    for low, high in pairwise(edges):
        yield int(starts[low]), block.slice(low, high)


def belongs_in_recent(recent_rows: int, body_rows: int) -> bool:
    """Whether a layer of so many recent rows may still lie over a body of so many rows."""
    return recent_rows <= min(_MOST_RECENT_ROWS, (body_rows + _MOST_RECENT_ROWS) // _RECENT_SHARE)


def encode_layers(layers: Sequence[tuple[int, int, Block]]) -> list[Encoded]:
    """Encode (window start, layer, rows) triples, on all cores when there are several."""
    if len(layers) == 1:
        return [_encode_layer(layers[0])]
    return list(_workers(os.getpid()).map(_encode_layer, layers))


def _encode_layer(item: tuple[int, int, Block]) -> Encoded:
    start, layer, block = item
    first, last = int(block.times[0]), int(block.times[-1])
    data = encode(block) if layer == BODY else encode_plain(block)
    return Encoded(Piece(start, layer, first, last, len(block)), data)


def assemble(
    pieces: Sequence[Piece], readers: Sequence[ReadChunks], names: tuple[str, ...]
) -> Block:
    """One block of all pieces, which are ordered by start and layer.

    Each reader gives the bytes of the pieces whose windows start in a range, in order. They work
    side by side, the first in this thread. Raises ChunkDamaged.
    """
    if all(one.last < other.first for one, other in pairwise(pieces)):
        return _decode_in_place(pieces, readers, names)
    windows = []
    for start, layers in groupby(pieces, key=lambda piece: piece.start):
        rows = Block.empty(names)
        for _, data in zip(layers, readers[0](start, start + 1), strict=True):
            rows = merge(rows, decode(data)).block
        windows.append(rows)
    return Block.concatenate(windows).with_names(names)


def _decode_in_place(
    pieces: Sequence[Piece], readers: Sequence[ReadChunks], names: tuple[str, ...]
) -> Block:
    """Decode each piece into its place in one array: no piece is copied a second time."""
    ends = list(accumulate(piece.rows for piece in pieces))
    total = ends[-1] if ends else 0
    nanoseconds = np.empty(total, np.int64)
    block = Block(np.empty(total, np.int64), np.empty((len(names), total)), names, nanoseconds)
    parts = [
        (piece, block.slice(end - piece.rows, end)) for piece, end in zip(pieces, ends, strict=True)
    ]
    # Whoever is done with a batch takes the next one: no reader waits for another.
    batches: SimpleQueue[_Batch] = SimpleQueue()
    windows = [list(layers) for _, layers in groupby(parts, key=lambda part: part[0].start)]
    size = max(1, len(windows) // (_BATCHES_PER_READER * len(readers)))
    for at in range(0, len(windows), size):
        batches.put([part for layers in windows[at : at + size] for part in layers])
    # New threads, because the system puts those on an idle core, and one that was woken often
    # on the core of the waker.
    with ThreadPoolExecutor(
        max(1, len(readers) - 1), thread_name_prefix="ohlcache-decode"
    ) as threads:
        helpers = [threads.submit(_decode_batches, batches, read) for read in readers[1:]]
        _decode_batches(batches, readers[0])
    for helper in helpers:
        helper.result()
    return block


def _decode_batches(batches: SimpleQueue[_Batch], read: ReadChunks) -> None:
    """Decode batch after batch; each is asked for before the one ahead of it is decoded."""
    asked = _ask(batches, read)
    while asked is not None:
        (batch, chunks), asked = asked, _ask(batches, read)
        for (_, part), data in zip(batch, chunks, strict=True):
            decode_into(data, part.times, part.values, part.names)
            np.multiply(part.times, NS_PER_MS, out=part.nanoseconds)


def _ask(batches: SimpleQueue[_Batch], read: ReadChunks) -> tuple[_Batch, Iterable[bytes]] | None:
    try:
        batch = batches.get_nowait()
    except Empty:
        return None
    return batch, read(batch[0][0].start, batch[-1][0].start + 1)


@lru_cache(maxsize=1)
def _workers(process: int) -> ThreadPoolExecutor:  # noqa: ARG001  # a forked child gets its own
    return ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="ohlcache-codec")
