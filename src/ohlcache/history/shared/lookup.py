"""The chunks of one read, from a tier that is nearer than the store as far as it has them.

Which chunks there are always comes from the store, in the transaction of the read, and the name of
a chunk in the tier says its content: the store, the series, the window, the revision that wrote it,
its length and its checksum. What lies under a name never changes, so nothing in the tier is stale.
Only bodies are shared: layers of recent rows are small, and replaced with every append.
"""

from __future__ import annotations

import zlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

from ohlcache.candles import Block
from ohlcache.errors import ChunkError
from ohlcache.history.chunks import BODY, RECENT, Piece, ReadChunks, assemble

CHECKSUM_BYTES = 4  # at the end of a chunk: the CRC-32 of what stands before


class ChunkTier(Protocol):
    """Where encoded chunks lie besides the store. Its failures are its own: it raises nothing."""

    def take(self, names: Sequence[str]) -> Mapping[str, bytes]:
        """The chunks that it has, of those named."""

    def keep(self, chunks: Mapping[str, bytes]) -> None:
        """Have it hold chunks, soon and if it can."""

    def correct(self, chunks: Mapping[str, bytes]) -> None:
        """Have it hold these at once, if it can, instead of what it gave."""

    def damaged(self, count: int) -> None:
        """So many chunks that it gave were not what their names say."""

    def name(self, series: int, place: Place) -> str:
        """The name of a chunk of a series."""

    def renew(self) -> None:
        """Begin anew in a forked child."""

    def stats(self) -> dict[str, Any]:
        """Counters as plain numbers."""

    def close(self) -> None:
        """Let go of everything."""


class Place(NamedTuple):
    """A stored layer of a window (see Piece), and what tells its content: revision, bytes, and the
    checksum that these end with.
    """

    start: int
    layer: int
    first: int
    last: int
    rows: int
    revision: int
    size: int
    checksum: bytes

    @property
    def piece(self) -> Piece:
        """The layer alone."""
        return Piece(self.start, self.layer, self.first, self.last, self.rows)


class ReadLayers(Protocol):
    """Gives the bytes of layers from the store."""

    def __call__(self, start: int, end: int, *, least_layer: int) -> Iterable[bytes]:
        """Of the windows that start in [start, end), in order; only layers from ``least_layer``."""


class Lookup:
    """What the tier has of the chunks of one read, and what the store had to give."""

    def __init__(self, tier: ChunkTier, series: int, places: Sequence[Place]) -> None:
        """``places``: all layers of the read, ordered by start and layer."""
        self._tier = tier
        self._places = places
        self._starts = [place.start for place in places]
        names = {place: tier.name(series, place) for place in places if place.layer == BODY}
        found = tier.take(list(names.values()))
        self._names = names
        self._found = {
            place: found[name]
            for place, name in names.items()
            if name in found and _ends_right(found[name], place)
        }
        tier.damaged(len(found) - len(self._found))
        self._given: dict[str, bytes] = {}

    def assemble(self, readers: Sequence[ReadLayers], names: tuple[str, ...]) -> Block:
        """See :func:`ohlcache.history.chunks.assemble`; ``readers`` are those of the store.

        The tier is given what it lacked, after that proved to be sound. Raises ChunkError for
        chunks of the store only.
        """
        pieces = [place.piece for place in self._places]
        try:
            block = assemble(pieces, self._sources(readers), names)
        except ChunkError:
            if not self._discard_damaged():
                raise
            block = assemble(pieces, self._sources(readers), names)
        self._tier.keep(self._given)
        return block

    def _sources(self, readers: Sequence[ReadLayers]) -> list[ReadChunks]:
        """As many readers as the store has: each of these reads for itself only, while from memory
        all can.
        """
        if all(place in self._found for place in self._names):
            self._add_recent(readers[0])
            return [partial(self._chunks, readers[0])] * len(readers)
        return [partial(self._chunks, read) for read in readers]

    def _add_recent(self, read: ReadLayers) -> None:
        recent = [place for place in self._places if place.layer == RECENT]
        if recent:
            stored = read(recent[0].start, recent[-1].start + 1, least_layer=RECENT)
            self._found.update(zip(recent, stored, strict=True))

    def _chunks(self, read: ReadLayers, start: int, end: int) -> Iterator[bytes]:
        here = self._places[bisect_left(self._starts, start) : bisect_left(self._starts, end)]
        lacking = [place.layer for place in here if place not in self._found]
        least = min(lacking, default=RECENT + 1)
        stored = iter(read(start, end, least_layer=least) if lacking else ())
        for place in here:
            if place.layer < least:
                yield self._found[place]
                continue
            data = next(stored)
            if place.layer == BODY and place not in self._found:
                self._given[self._names[place]] = data
            yield data

    def _discard_damaged(self) -> bool:
        """Leave out what was found and fails its checksum; whether there was any."""
        found = [place for place in self._names if place in self._found]
        damaged = [place for place in found if not _is_sound(self._found[place])]
        for place in damaged:
            del self._found[place]
        self._tier.damaged(len(damaged))
        return bool(damaged)


def _ends_right(data: bytes, place: Place) -> bool:
    return len(data) == place.size and data[-CHECKSUM_BYTES:] == place.checksum


def _is_sound(data: bytes) -> bool:
    body, checksum = memoryview(data)[:-CHECKSUM_BYTES], data[-CHECKSUM_BYTES:]
    return zlib.crc32(body).to_bytes(CHECKSUM_BYTES, "little") == checksum
