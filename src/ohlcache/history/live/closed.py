"""What the messages of one connection are made into: the closed candles, and the forming one."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from ohlcache.candles import OHLCV, Block, Interval
from ohlcache.sources.live import CandleUpdate

Row = tuple[float, ...]
"""Open, high, low, close and volume."""


class Closed(NamedTuple):
    """Candles that closed, and the range of open times that is completely known with them."""

    rows: Block
    covered: Interval


class Candles(Protocol):
    """The candles of one connection. What it sees of candles before ``known_from`` is not all.

    ``now`` is the venue's clock in ms. A message that is ahead of it says nothing about which
    candles are closed (see ``edge``).
    """

    known_from: int
    closed_until: int
    ignored: int
    """Messages that told nothing new."""
    late: dict[int, CandleUpdate | None]
    """What came for candles that had been closed, by open time; taken out by the owner.

    None where trades came, of which no candle can be made any more.
    """

    @property
    def forming(self) -> tuple[int, Row] | None:
        """The newest candle's open time and its state, while it is known and not closed."""

    def take(self, message: object, now: int) -> None:
        """Put in a message. Raises SourceError for one after which no candle can be relied on."""

    def close(self, now: int) -> Closed | None:
        """What closed since the last call, by what the messages say."""

    def leave(self, until: int) -> Closed | None:
        """Take candles before ``until`` for closed; what the messages had told of them."""

    def last_words(self, now: int) -> Closed | None:
        """What the messages say to be over when none will follow, without the grace."""


def block_of(rows: list[tuple[int, Row]]) -> Block:
    """Candles as a block."""
    if not rows:
        return Block.empty()
    values = np.array([row for _, row in rows], np.float64)
    return Block(np.array([time for time, _ in rows], np.int64), values.T.copy(), OHLCV)
