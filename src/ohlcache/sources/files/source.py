"""A file as a source of candles."""

from __future__ import annotations

import time
from collections.abc import Iterable
from threading import Lock
from typing import Any

import numpy as np

from ohlcache.candles.block import Block
from ohlcache.candles.timeframe import Timeframe
from ohlcache.errors import UnsupportedBySource
from ohlcache.sources.files.compression import PathLike
from ohlcache.sources.files.reading import read_candles
from ohlcache.sources.protocol import Capabilities


class FileSource:
    """The candles of one file under the Source protocol.

    venue: the name under which its series are stored. timeframes: those that the file holds;
    None: whatever is asked for, since most files do not say. options: those of
    :func:`read_candles`.

    The file is read when candles are first fetched, whole, and kept. It has no symbol of its
    own: the candles are those of whichever symbol is asked for.
    """

    def __init__(
        self,
        path: PathLike,
        *,
        venue: str = "local",
        timeframes: Iterable[str] | None = None,
        **options: Any,
    ) -> None:
        self._file = read_candles(path, **options)
        self._venue = venue
        self._lock = Lock()
        self._block: Block | None = None
        known = None if timeframes is None else map(str, map(Timeframe.parse, timeframes))
        self._capabilities = Capabilities(timeframes=None if known is None else frozenset(known))

    @property
    def venue(self) -> str:
        """The name under which its series are stored."""
        return self._venue

    @property
    def capabilities(self) -> Capabilities:
        """No limits; the timeframes as they were given."""
        return self._capabilities

    def now(self) -> int:
        """The local clock, ms since the epoch."""
        return time.time_ns() // 1_000_000

    def fetch(self, symbol: str, timeframe: str, start: int, end: int) -> Block:  # noqa: ARG002
        """The candles that open in [start, end), in ms, as a view on the file's.

        Raises UnsupportedBySource for a timeframe that the file does not hold, FileFormatError
        where the file cannot be read.
        """
        known = self._capabilities.timeframes
        if known is not None and str(Timeframe.parse(timeframe)) not in known:
            raise UnsupportedBySource(
                f"timeframe {timeframe} is not in {self._file.path}: ask for {', '.join(known)}"
            )
        return self._load().between(start, end)

    def _load(self) -> Block:
        with self._lock:
            if self._block is None:
                block = Block.concatenate(list(self._file))
                order = np.argsort(block.times, kind="stable")
                self._block = block.take(order).frozen()
            return self._block
