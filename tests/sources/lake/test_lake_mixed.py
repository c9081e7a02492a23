"""Lakes whose symbols have different timeframes."""

from __future__ import annotations

from itertools import permutations

import pyarrow.parquet as pq
import pytest

import ohlcache
from made_candles import MINUTE, T0, make_block
from ohlcache.candles import Interval, to_block, to_frame
from ohlcache.errors import UnknownSymbol, UnsupportedBySource
from ohlcache.sources import LakeSource

HOUR = 60 * MINUTE
MINUTES = make_block(1_440)
HOURS = make_block(24, step=HOUR)
DAY = (T0, T0 + 24 * HOUR)

MINUTES_OF_BTC = ("BTC/USDT", "1m", MINUTES)
HOURS_OF_ETH = ("ETH/USDT", "1h", HOURS)


@pytest.fixture
def mixed(lake, exporting):
    exporting(lake, *MINUTES_OF_BTC)
    exporting(lake, *HOURS_OF_ETH)
    return lake


@pytest.fixture
def md(mixed, tmp_path):
    with ohlcache.open(tmp_path / "to", source=mixed.source()) as market_data:
        yield market_data


def four_hours_of(md, symbol):
    return to_block(md.candles(symbol, "4h", *DAY))


@pytest.mark.parametrize(
    "order", list(permutations(range(4))), ids=lambda order: "".join(map(str, order))
)
def test_each_symbol_is_answered_from_what_the_lake_has_of_it(exporting, tmp_path, folder, order):
    exporting(folder, *MINUTES_OF_BTC)
    exporting(folder, *HOURS_OF_ETH)
    with ohlcache.open(tmp_path / "bare") as bare:
        bare.write("BTC/USDT", "1m", MINUTES)
        bare.write("ETH/USDT", "1h", HOURS)
        expected = {symbol: four_hours_of(bare, symbol) for symbol in ("BTC/USDT", "ETH/USDT")}

    with ohlcache.open(tmp_path / "to", source=folder.source()) as md:
        reads = [
            lambda: to_block(md.candles("BTC/USDT", "1m", *DAY)).identical(MINUTES),
            lambda: to_block(md.candles("ETH/USDT", "1h", *DAY)).identical(HOURS),
            lambda: four_hours_of(md, "BTC/USDT").identical(expected["BTC/USDT"]),
            lambda: four_hours_of(md, "ETH/USDT").identical(expected["ETH/USDT"]),
        ]
        assert all(reads[each]() for each in order)
        stored = {(one.symbol, one.timeframe) for one in md.series()}
    assert stored == {("BTC/USDT", "1m"), ("ETH/USDT", "1h")}


def test_what_neither_is_there_nor_follows_is_refused(mixed, md):
    for symbol, timeframe, offered in (("ETH/USDT", "1m", "1h"), ("BTC/USDT", "1s", "1m")):
        with pytest.raises(UnsupportedBySource) as refused:
            md.candles(symbol, timeframe, *DAY)
        assert str(refused.value).startswith(f"timeframe {timeframe} of {symbol} is not in ")
        assert str(refused.value).endswith(f": use one of {offered}")
    with pytest.raises(UnknownSymbol, match="symbol 'XRP/USDT' of binance is not in"):
        md.candles("XRP/USDT", "4h", *DAY)
    assert md.series() == []


def test_what_a_store_has_finer_than_the_lake_does_not_mislead(mixed, md):
    md.write("ETH/USDT", "1m", MINUTES.between(T0, T0 + 2 * HOUR), venue="binance")
    found = four_hours_of(md, "ETH/USDT")
    assert found.times.tolist() == list(range(DAY[0], DAY[1], 4 * HOUR))
    assert md.coverage("ETH/USDT", "1h") == [Interval(*DAY)]
    assert md.coverage("ETH/USDT", "1m") == [Interval(T0, T0 + 2 * HOUR)]


def test_a_timeframe_that_is_exported_later_is_found(mixed, md, exporting):
    with pytest.raises(UnsupportedBySource, match="use one of 1h"):
        md.candles("ETH/USDT", "1m", *DAY)
    exporting(mixed, "ETH/USDT", "1m", MINUTES)
    assert to_block(md.candles("ETH/USDT", "1m", *DAY)).identical(MINUTES)


def test_looking_for_the_timeframes_of_a_symbol_takes_one_listing(
    bucket, server, exporting, tmp_path
):
    exporting(bucket, *MINUTES_OF_BTC)
    exporting(bucket, *HOURS_OF_ETH)
    source = LakeSource(bucket.url, storage_options=bucket.options)
    server.requests.clear()
    assert source.timeframes_of("ETH/USDT") == {"1h"}
    assert source.timeframes_of("ETH/USDT") == {"1h"}
    assert len(server.requests) == 1


def theirs(root, folder, block):
    path = root / folder / "part.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(to_frame(block, "arrow"), path)


def test_layouts_of_others(tmp_path):
    root = tmp_path / "theirs"
    theirs(root, "tf=1h/pair=ETH", HOURS)
    theirs(root, "tf=1m/pair=BTC", MINUTES)
    source = LakeSource(root)
    assert source.timeframes_of("ETH") == {"1h"}
    assert source.timeframes_of("BTC") == {"1m"}
    with ohlcache.open(tmp_path / "store", source=source) as md:
        assert len(four_hours_of(md, "ETH")) == len(four_hours_of(md, "BTC")) == 6


def test_folders_without_a_timeframe_hold_the_one_that_is_given(tmp_path):
    root = tmp_path / "theirs"
    theirs(root, "symbol=BTC", MINUTES)
    theirs(root, "symbol=ETH/timeframe=1h", HOURS)
    source = LakeSource(root, timeframe="1m")
    assert len(source.candles("BTC", "1m")) == len(MINUTES)
    assert len(source.candles("ETH", "1h")) == len(HOURS)
    for symbol, timeframe in (("BTC", "1h"), ("ETH", "1m")):
        with pytest.raises(UnsupportedBySource, match=f"timeframe {timeframe} of {symbol}"):
            source.candles(symbol, timeframe)
