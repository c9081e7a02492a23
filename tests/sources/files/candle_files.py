"""What the tests of this folder share: candles, and ways to write and read them."""

import re

import numpy as np
import pytest

from ohlcache.candles import Block
from ohlcache.candles.trades import Trades
from ohlcache.errors import FileFormatError
from ohlcache.sources.files import read_candles, read_trades

MINUTE = 60_000
START = 1_609_459_200_000  # 2021-01-01T00:00Z


def make_candles(rows, *, seed=0, start=START, step=MINUTE):
    """A random walk whose prices have two decimals."""
    rng = np.random.default_rng(seed)
    close = np.round(1000 + np.cumsum(rng.normal(size=rows)), 2)
    opens = np.roll(close, 1)
    high = np.round(np.maximum(opens, close) + rng.exponential(size=rows), 2)
    low = np.round(np.minimum(opens, close) - rng.exponential(size=rows), 2)
    volume = np.round(rng.exponential(10, size=rows), 6)
    times = start + step * np.arange(rows, dtype=np.int64)
    return Block(times, np.stack([opens, high, low, close, volume]))


def rows_of(block):
    """Each candle as a list of its time and values."""
    return [
        [time, *values]
        for time, values in zip(block.times.tolist(), block.values.T.tolist(), strict=True)
    ]


def csv_text(block, header="timestamp,open,high,low,close,volume", delimiter=","):
    lines = [header.replace(",", delimiter)] if header else []
    lines += [delimiter.join(map(repr, row)) for row in rows_of(block)]
    return "\n".join(lines) + "\n"


def load(path, **options):
    return Block.concatenate(list(read_candles(path, **options)))


def load_trades(path, **options):
    return Trades.concatenate(list(read_trades(path, **options)))


def refused(path, *parts, error=FileFormatError, **options):
    """Assert that a file is refused in one line that names it and holds all parts."""
    with pytest.raises(error) as caught:
        load(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    for part in (str(path.name), *parts):
        assert re.search(re.escape(part), message), f"{part!r} is not in {message!r}"
    return message


def same(left, right):
    assert left.names == right.names
    assert left.times.tolist() == right.times.tolist()
    assert left.identical(right)
