"""Candles as freqtrade stores them: ``date, open, high, low, close, volume``.

JSON or JSON.gz (``orient=values``, the date in ms), Feather or Parquet. A file of trades that
freqtrade stored is read by :mod:`ohlcache.sources.files.trades`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ohlcache.candles.block import Block
from ohlcache.sources.files.ccxt_json import read_ccxt_json
from ohlcache.sources.files.columnar import ARROW_MAGICS, PARQUET_MAGIC, read_columnar
from ohlcache.sources.files.compression import Stream
from ohlcache.sources.files.options import Options
from ohlcache.sources.files.progress import Progress

# freqtrade writes 1Mo for the month, since file names may not tell m from M.
FILE_NAME = re.compile(r"[A-Za-z0-9_-]+-\d+(s|m|h|d|w|M|Mo)(-[a-z_]+)?\.(json|feather|parquet)")


def read_freqtrade(path: Path, options: Options, progress: Progress) -> Iterator[Block]:
    """The candles of a file in freqtrade's layout, in the file's order."""
    with Stream(path) as stream:
        is_columnar = stream.peek(8).startswith((PARQUET_MAGIC, *ARROW_MAGICS))
    read = read_columnar if is_columnar else read_ccxt_json
    yield from read(path, options, progress)
