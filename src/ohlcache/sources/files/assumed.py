"""The column order that is assumed where a file names none, and the check that it can be right."""

from __future__ import annotations

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


def order_fits(block: Block) -> bool:
    """Whether the high is the highest and the low the lowest price of almost all candles."""
    prices = block.values[OPEN : CLOSE + 1]
    known = ~np.isnan(prices).any(axis=0)
    prices = prices[:, known]
    fitting = (prices[HIGH] == prices.max(axis=0)) & (prices[LOW] == prices.min(axis=0))
    return int(fitting.sum()) >= _FITTING_SHARE * len(fitting)


REMEDY = (
    "the order timestamp,open,high,low,close,volume does not fit (the high is not the highest "
    "or the low not the lowest price): give the order with --columns"
)
