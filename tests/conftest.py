"""What the tests share: stores in temporary folders, real files, and candles that look real."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ohlcache
from ohlcache.candles import Block

pytest_plugins = ["postgres_server", "redis_server"]

REAL_CANDLES = Path(__file__).resolve().parents[2] / "shared" / "data" / "candles"
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


@pytest.fixture
def md(tmp_path):
    with ohlcache.open(tmp_path / "store") as market_data:
        yield market_data


@pytest.fixture
def real_candles():
    if not REAL_CANDLES.is_dir():
        pytest.skip("the real candles are not on this machine")
    return REAL_CANDLES
