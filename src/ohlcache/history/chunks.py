"""How the rows of a series are cut into chunks, and put together again.

Time is cut into windows of 65,536 candles. A window has a body, compressed, and may have a layer of
recent rows, uncompressed, that lies over it: that is what keeps a single append cheap. Once the
layer has grown past a share of the body it is merged into it, so that the cost of an append,
spread over all appends, does not depend on the length of the history, nor does the cost of a read.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from itertools import groupby, pairwise
from typing import NamedTuple

import numpy as np

from ohlcache.candles import Block, Timeframe
from ohlcache.candles.codec import decode, decode_into, encode, encode_plain
from ohlcache.candles.frames import NS_PER_MS
from ohlcache.candles.merge import merge

WINDOW_CANDLES = 65_536
BODY, RECENT = 0, 1

_MOST_RECENT_ROWS = 512
_RECENT_SHARE = 16
_READ_AHEAD = 4


class Piece(NamedTuple):
    """One stored layer of a window, without its bytes: all times in ms."""

    start: int
    layer: int
    first: int
    last: int
    rows: int


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


def assemble(pieces: Sequence[Piece], chunks: Iterable[bytes], names: tuple[str, ...]) -> Block:
    """One block of all pieces, ordered by start and layer; ``chunks`` are their bytes, in order.

    Decodes on all cores while the bytes still come in. Raises ChunkDamaged.
    """
    if _follow_each_other(pieces):
        return _decode_in_place(pieces, chunks, names)
    layers = [decode(data) for data in chunks]
    windows = []
    for _, group in groupby(zip(pieces, layers, strict=True), key=lambda pair: pair[0].start):
        rows = Block.empty(names)
        for _, layer in group:
            rows = merge(rows, layer).block
        windows.append(rows)
    return Block.concatenate(windows).with_names(names)


def _follow_each_other(pieces: Sequence[Piece]) -> bool:
    return all(one.last < other.first for one, other in pairwise(pieces))


def _decode_in_place(
    pieces: Sequence[Piece], chunks: Iterable[bytes], names: tuple[str, ...]
) -> Block:
    """Decode each piece into its place in one array: no piece is copied a second time."""
    total = sum(piece.rows for piece in pieces)
    nanoseconds = np.empty(total, np.int64)
    block = Block(np.empty(total, np.int64), np.empty((len(names), total)), names, nanoseconds)
    jobs: deque[Future[None]] = deque()
    at = 0
    for piece, data in zip(pieces, chunks, strict=True):
        part = block.slice(at, at + piece.rows)
        at += piece.rows
        if len(pieces) == 1:
            _decode_part(data, part)
            continue
        # Reading ahead of the decoders would only take memory that has to be found first.
        if len(jobs) > _READ_AHEAD:
            jobs.popleft().result()
        jobs.append(_workers(os.getpid()).submit(_decode_part, data, part))
    for job in jobs:
        job.result()
    return block


def _decode_part(data: bytes, part: Block) -> None:
    decode_into(data, part.times, part.values, part.names)
    np.multiply(part.times, NS_PER_MS, out=part.nanoseconds)


@lru_cache(maxsize=1)
def _workers(process: int) -> ThreadPoolExecutor:  # noqa: ARG001  # a forked child gets its own
    return ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="ohlcache-codec")
