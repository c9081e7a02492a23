"""The column order that is assumed where a file names none, and the check that it can be right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ohlcache.candles.block import CLOSE, HIGH, LOW, OHLCV, OPEN, Block
from ohlcache.sources.files.layout import CANDLES, TIMESTAMP, Layout, make_layout

ASSUMED = (TIMESTAMP, *OHLCV)
ASSUMED_SPLIT = ("date", "time", *OHLCV)  # as MetaTrader writes it

_FITTING_SHARE = 0.95


def assumed_layout(width: int, *, split_time: bool = False) -> Layout | None:
    """The layout of timestamp, open, high, low, close, volume, or None for another width."""
    labels = ASSUMED_SPLIT if split_time else ASSUMED
    return make_layout(labels, CANDLES) if width == len(labels) else None


@dataclass(slots=True)
class OrderCheck:
    """Whether the prices of a file bear out the order that was assumed, block by block.

    Over all that has been read so far, the high has to be the highest and the low the lowest
    price of almost all candles.
    """

    fitting: int = 0
    candles: int = 0

    def fits(self, block: Block) -> bool:
        """Count another block in, and say whether the order still fits."""
        prices = block.values[OPEN : CLOSE + 1]
        prices = prices[:, ~np.isnan(prices).any(axis=0)]
        fitting = (prices[HIGH] == prices.max(axis=0)) & (prices[LOW] == prices.min(axis=0))
        self.fitting += int(fitting.sum())
        self.candles += len(fitting)
        return self.fitting >= _FITTING_SHARE * self.candles


REMEDY = (
    "the order timestamp,open,high,low,close,volume does not fit (the high is not the highest "
    "or the low not the lowest price): give the order with --columns"
)
