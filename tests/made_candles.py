"""Candles that look real, made from a seed."""

from __future__ import annotations

import numpy as np

from ohlcache.candles import Block

T0 = 1_577_836_800_000  # 2020-01-01
MINUTE = 60_000


def make_block(rows: int, *, start: int = T0, step: int = MINUTE, seed: int = 0) -> Block:
    """Consistent candles on a tick of 0.01."""
    random = np.random.default_rng(seed)
    closes = (1_000_000 + random.integers(-50, 51, rows).cumsum()) / 100
    opens = np.concatenate([closes[:1], closes[:-1]])
    highs = np.round(np.maximum(opens, closes) + random.integers(0, 30, rows) / 100, 2)
    lows = np.round(np.minimum(opens, closes) - random.integers(0, 30, rows) / 100, 2)
    volumes = random.integers(1, 10**6, rows) / 1000
    times = start + np.arange(rows, dtype=np.int64) * step
    return Block(times, np.stack([opens, highs, lows, closes, volumes]))
