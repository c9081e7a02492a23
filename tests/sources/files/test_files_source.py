"""One file under the Source protocol."""

import time

import pytest
from candle_files import MINUTE, START, csv_text, make_candles, same

from ohlcache.candles import Block
from ohlcache.errors import FileFormatError, InvalidArgument, UnsupportedBySource
from ohlcache.sources.files import FileSource
from ohlcache.sources.protocol import Capabilities, Source

CANDLES = make_candles(100)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "candles.csv"
    path.write_text(csv_text(CANDLES.take([*range(50, 100), *range(50)])))
    return path


def test_it_is_a_source(path):
    source = FileSource(path)
    assert isinstance(source, Source)
    assert source.venue == "local"
    assert source.capabilities == Capabilities()
    assert abs(source.now() - time.time() * 1000) < 5_000


def test_it_serves_ranges_in_order(path):
    source = FileSource(path, venue="mine")
    assert source.venue == "mine"
    same(source.fetch("BTC/USDT", "1m", 0, 2 * START), CANDLES)
    some = source.fetch("ANY", "1m", START + 10 * MINUTE, START + 20 * MINUTE)
    same(some, CANDLES.slice(10, 20))
    assert len(source.fetch("ANY", "1m", 0, START)) == 0
    with pytest.raises(ValueError, match="read-only"):
        some.values[0, 0] = 1


def test_the_file_is_read_once(path):
    source = FileSource(path)
    source.fetch("X", "1m", 0, 1)
    path.unlink()
    assert len(source.fetch("X", "1m", 0, 2 * START)) == 100


def test_timeframes(path):
    source = FileSource(path, timeframes=["60s"])
    assert source.capabilities.timeframes == frozenset({"1m"})
    assert isinstance(source.fetch("X", "1m", 0, 1), Block)
    with pytest.raises(UnsupportedBySource, match="5m"):
        source.fetch("X", "5m", 0, 1)


def test_errors(path, tmp_path):
    with pytest.raises(InvalidArgument, match="does not exist"):
        FileSource(tmp_path / "none.csv")
    with pytest.raises(InvalidArgument, match="Mars"):
        FileSource(path, tz="Mars/Base")
    path.write_text("timestamp,open,high,low,close,volume\n1609459200000,x,1,1,1,1\n")
    with pytest.raises(FileFormatError, match="line 2"):
        FileSource(path).fetch("X", "1m", 0, 1)
