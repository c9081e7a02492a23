"""Candles for a machine without a network: real ones of a PyPI package, and synthetic ones."""

from __future__ import annotations

from importlib import import_module, metadata

import numpy as np

from ohlcache.candles import Block
from ohlcache.cli.progress import progress
from ohlcache.errors import MissingExtra
from ohlcache.history import MarketData, WriteReport
from ohlcache.sources.synthetic import VENUE, synthetic_candles

STOCKS_VENUE = "us-equities"
STOCKS = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
SYNTHETIC_VENUE, SYNTHETIC_SYMBOL = VENUE, "DEMO/USDT"
SYNTHETIC_START, SYNTHETIC_END = "2022-01-01", "2025-01-01"

_PACKAGE = "bokeh_sampledata"


def stocks_origin() -> str:
    """Where the stocks' candles are from. Raises MissingExtra where the package is missing."""
    try:
        return f"PyPI package {_PACKAGE} {metadata.version(_PACKAGE)}"
    except metadata.PackageNotFoundError:
        raise MissingExtra(_PACKAGE, "demo") from None


def import_stocks(md: MarketData) -> WriteReport:
    """Store the daily candles of five stocks, 2000 to 2013."""
    origin = stocks_origin()
    module = import_module(f"{_PACKAGE}.stocks")
    total, rows = WriteReport(), 0
    with progress("five stocks", "rows") as bar:
        for done, symbol in enumerate(STOCKS, 1):
            columns = dict(getattr(module, symbol))
            columns["date"] = np.array(columns["date"], "M8[ms]")
            total += md.write(symbol, "1d", columns, venue=STOCKS_VENUE)
            md.set_metadata(
                symbol, {"origin": origin, "session": "us_equities"}, venue=STOCKS_VENUE
            )
            rows += len(columns["date"])
            bar.update(done / len(STOCKS), rows)
    return total


def synthetic_history() -> Block:
    """Three years of made-up minutes."""
    return synthetic_candles(SYNTHETIC_SYMBOL, "1m", SYNTHETIC_START, SYNTHETIC_END)
