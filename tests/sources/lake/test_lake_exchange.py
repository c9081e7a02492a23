"""What goes into a lake comes out of it: bit for bit, wherever the lake lies."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow.dataset
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ohlcache
from made_candles import MINUTE, T0, make_block
from ohlcache.candles import Block, Interval, Timeframe, to_block
from ohlcache.errors import UnknownSymbol, UnsupportedBySource
from ohlcache.sources.lake.layout import level, partitions, series_folder

BTC = ("BTC/USDT", "1m")
DAY = 1440 * MINUTE


def test_candles_and_emptiness_come_back(lake, exporting, tmp_path):
    block = make_block(60_000)
    gap = (block.times < T0 + 2 * DAY) | (block.times >= T0 + 5 * DAY)
    known = block.take(gap)
    _, report = exporting(lake, *BTC, known)
    assert (report.written, report.rows) == (2, len(known))
    source = lake.source()
    assert source.venue == "binance"
    with ohlcache.open(tmp_path / "to", source=source) as md:
        # More is asked for than the lake knows: nothing is assumed of the rest.
        found = to_block(md.candles(*BTC, T0 - DAY, T0 + 100 * DAY))
        assert found.identical(known)
        assert md.coverage(*BTC) == [Interval(T0, T0 + 60_000 * MINUTE)]
        assert [gap.kind for gap in md.gaps(*BTC)] == ["empty"]
        asked = md.stats()["fetch"]["requests"]
        md.candles(*BTC, T0, T0 + 60_000 * MINUTE)
        assert md.stats()["fetch"]["requests"] == asked


def test_extra_columns_and_special_floats(lake, exporting):
    block = make_block(1_000)
    extra = np.linspace(-1e300, 1e-300, 1_000)
    extra[[3, 4]] = np.nan, -0.0
    values = np.vstack([block.values, extra])
    values[4, 7] = np.nan
    block = Block(block.times, values, (*block.names, "quote volume"))
    exporting(lake, "X", "1m", block)
    assert lake.source().fetch("X", "1m", T0, T0 + 1_000 * MINUTE).identical(block)


def test_longer_timeframes_are_made_of_what_the_lake_has(folder, exporting, tmp_path):
    exporting(folder, *BTC, make_block(600))
    with ohlcache.open(tmp_path / "to", source=folder.source()) as md:
        assert len(md.candles("BTC/USDT", "1h", T0, T0 + 600 * MINUTE)) == 10


def test_reading_without_a_store(folder, exporting):
    block = make_block(50_000)
    exporting(folder, *BTC, block)
    source = folder.source()
    frame = source.candles(*BTC, "2020-01-20", "2020-01-21")
    assert to_block(frame).identical(block.between(T0 + 19 * DAY, T0 + 20 * DAY))
    assert to_block(source.candles(*BTC)).identical(block)


def test_a_range_that_is_not_known_is_not_taken_for_empty(folder, exporting):
    exporting(folder, *BTC, make_block(10))
    source = folder.source()
    with pytest.raises(UnsupportedBySource, match="2020-01-01T00:10"):
        source.fetch(*BTC, T0, T0 + 11 * MINUTE)
    assert len(source.candles(*BTC, T0 - DAY, T0 + DAY)) == 10


def test_what_is_not_there(folder, exporting):
    exporting(folder, *BTC, make_block(10))
    source = folder.source()
    with pytest.raises(UnknownSymbol, match="ETH"):
        source.known("ETH", "1m")
    with pytest.raises(UnsupportedBySource, match="use one of 1m"):
        source.known("BTC/USDT", "7m")


def test_series_are_listed(lake, exporting):
    exporting(lake, *BTC, make_block(100))
    exporting(lake, "BTC/USDT:USDT", "1M", make_block(1))
    listed = {(one.symbol, one.timeframe): one for one in lake.source().series()}
    assert set(listed) == {BTC, ("BTC/USDT:USDT", "1M")}
    assert listed[BTC].rows == 100
    assert listed[BTC].covered == (Interval(T0, T0 + 100 * MINUTE),)


def test_other_readers_understand_the_layout(folder, exporting):
    block = make_block(60_000)
    exporting(folder, *BTC, block)
    found = pyarrow.dataset.dataset(folder.url.removeprefix("file://"), partitioning="hive")
    table = found.to_table()
    assert set(table.column("symbol").to_pylist()) == {"BTC/USDT"}
    assert set(table.column("month").to_pylist()) == {1, 2}
    columns = ["timestamp", "open", "high", "low", "close", "volume"]
    assert to_block(table.select(columns)).identical(block)


@given(st.text(min_size=1), st.text(min_size=1))
def test_any_name_survives_as_a_folder(venue, symbol):
    folder = series_folder(venue, symbol, Timeframe.parse("1M"))
    names = folder.split("/")
    assert [level(name).value for name in names] == [venue, symbol, "1M"]
    assert all(name.isascii() and "M" not in name.partition("timeframe=")[2] for name in names)


@given(
    st.lists(
        st.tuples(st.integers(-(10**12), 3 * 10**12), st.integers(1, 10**10)).map(
            lambda pair: Interval(pair[0], pair[0] + pair[1])
        ),
        max_size=5,
    ),
    st.sampled_from(["1m", "30m", "1h", "1d", "1M"]),
)
def test_partitions_hold_all_and_do_not_overlap(ranges, timeframe):
    found = list(partitions(Timeframe.parse(timeframe), tuple(sorted(ranges))))
    spans = sorted(partition.range for partition in found)
    assert len({partition.folder for partition in found}) == len(found)
    assert all(one.end <= other.start for one, other in pairwise(spans))
    for start, end in ranges:
        assert any(span.start <= start < span.end for span in spans)
        assert any(span.start < end <= span.end for span in spans)
        assert sum(max(0, min(end, s.end) - max(start, s.start)) for s in spans) == end - start
