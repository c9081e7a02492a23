"""Pieces of a remote file that read like the file itself, as long as nobody leaves them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import Any

from ohlcache.candles import Interval, IntervalSet

_WORTH_A_REQUEST = 1 << 20  # bytes: a smaller gap is read along


def coalesced(ranges: Iterable[tuple[int, int]]) -> IntervalSet:
    """Byte ranges [start, end) with those joined that lie close together."""
    joined: list[Interval] = []
    for start, end in sorted(ranges):
        if joined and start - joined[-1].end < _WORTH_A_REQUEST:
            joined[-1] = Interval(joined[-1].start, max(end, joined[-1].end))
        else:
            joined.append(Interval(start, end))
    return tuple(joined)


class Pieces(io.RawIOBase):
    """A read-only file of which only some ranges are there.

    Reading outside of them, or more than was received of them, raises ValueError.
    """

    def __init__(self, ranges: IntervalSet, read: Callable[[int, int], bytes]) -> None:
        """``read`` gives the bytes [start, end)."""
        super().__init__()
        self._pieces = [(start, read(start, end)) for start, end in ranges]
        self._end = ranges[-1].end if ranges else 0
        self._at = 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a place in the file."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._end}[whence]
        self._at = origin + offset
        return self._at

    def tell(self) -> int:
        """The place in the file."""
        return self._at

    def read(self, size: int = -1) -> Any:
        """The next bytes."""
        end = self._end if size < 0 else self._at + size
        for start, data in self._pieces:
            if start <= self._at and end <= start + len(data):
                found = data[self._at - start : end - start]
                self._at = end
                return found
        raise ValueError(f"bytes {self._at} to {end} are not there")
