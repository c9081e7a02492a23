"""Exporting again: only what is new, nothing lost, and readers never see half."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import ohlcache
from made_candles import MINUTE, T0, make_block
from ohlcache.candles import Interval, Timeframe, to_block
from ohlcache.errors import FetchError, OhlcacheError, SourceError
from ohlcache.sources.lake import Storage, export_series

from .conftest import Lake

BTC = ("BTC/USDT", "1m")
DAY = 1440 * MINUTE
END = T0 + 70_000 * MINUTE
WHOLE = (Interval(T0, END),)
BLOCK = make_block(70_000)
ONE_MINUTE = Timeframe.parse("1m")


def everything(block, covered=WHOLE):
    """What a store knows that holds these candles, complete in a range."""

    def known(start, end):
        inside = tuple(
            Interval(max(start, low), min(end, high))
            for low, high in covered
            if max(start, low) < min(end, high)
        )
        return block.between(start, end), inside

    return known


def export(lake, block, covered=WHOLE, now=END):
    storage = Storage(lake.url, lake.options)
    known = everything(block, covered)
    return export_series(storage, "binance", "BTC/USDT", ONE_MINUTE, covered, known, now)


def read(lake):
    return to_block(lake.source().candles(*BTC, as_="numpy"))


def test_only_what_changed_is_written(lake):
    assert export(lake, BLOCK.slice(0, 60_000), (Interval(T0, T0 + 60_000 * MINUTE),)).written == 2
    report = export(lake, BLOCK)
    assert (report.written, report.unchanged) == (1, 1)
    assert export(lake, BLOCK).written == 0
    assert read(lake).identical(BLOCK)


def test_a_revised_candle_reaches_the_lake(folder):
    export(folder, BLOCK)
    values = BLOCK.values.copy()
    values[3, 5] += 0.01
    revised = type(BLOCK)(BLOCK.times, values)
    assert export(folder, revised).written == 1
    assert read(folder).identical(revised)


def test_what_only_the_lake_knows_is_kept(folder):
    export(folder, BLOCK)
    later = T0 + 10 * DAY
    report = export(folder, BLOCK.between(later, END), (Interval(later, END),))
    assert report.written == 0
    assert read(folder).identical(BLOCK)
    assert folder.source().known(*BTC) == WHOLE


def test_candles_known_to_be_absent_replace_those_of_the_lake(folder):
    export(folder, BLOCK)
    hole = (BLOCK.times < T0 + DAY) | (BLOCK.times >= T0 + 2 * DAY)
    export(folder, BLOCK.take(hole))
    assert read(folder).identical(BLOCK.take(hole))


def test_a_part_that_is_used_again_is_not_deleted(folder):
    values = BLOCK.values.copy()
    values[3] += 1
    for block in (BLOCK, type(BLOCK)(BLOCK.times, values), BLOCK, BLOCK):
        export(folder, block)
        assert read(folder).identical(block)


def test_an_export_that_dies_leaves_the_old_state(folder, monkeypatch):
    export(folder, BLOCK.slice(0, 60_000), (Interval(T0, T0 + 60_000 * MINUTE),))
    put = Storage.put

    def dies(self, path, data):
        if path.endswith(".json"):
            raise KeyboardInterrupt
        put(self, path, data)

    monkeypatch.setattr(Storage, "put", dies)
    with pytest.raises(KeyboardInterrupt):
        export(folder, BLOCK)
    monkeypatch.undo()
    assert read(folder).identical(BLOCK.slice(0, 60_000))
    export(folder, BLOCK)
    assert read(folder).identical(BLOCK)


def test_an_export_in_between_is_noticed(folder):
    export(folder, BLOCK.slice(0, 100), (Interval(T0, T0 + 100 * MINUTE),))
    storage = Storage(folder.url)
    is_first = []

    def known(start, end):
        if not is_first:
            is_first.append(True)
            export(folder, BLOCK.slice(0, 200), (Interval(T0, T0 + 200 * MINUTE),))
        return everything(BLOCK)(start, end)

    with pytest.raises(OhlcacheError, match="another export"):
        export_series(storage, "binance", "BTC/USDT", ONE_MINUTE, WHOLE, known, END)
    assert read(folder).identical(BLOCK.slice(0, 200))


def test_a_range_of_a_store(folder, exporting):
    start, end = T0 + DAY, T0 + 2 * DAY
    _, report = exporting(folder, *BTC, BLOCK, start=start, end=end)
    assert report.rows == 1440
    assert folder.source().known(*BTC) == (Interval(start, end),)
    assert read(folder).identical(BLOCK.between(start, end))


def test_the_manifest_tells_what_each_part_is(folder):
    report = export(folder, BLOCK)
    root = Path(folder.url.removeprefix("file://"))
    (path,) = root.rglob("_manifest.json")
    document = json.loads(path.read_text())
    assert document["covered"] == [[T0, END]]
    assert sum(part["rows"] for part in document["parts"]) == report.rows == len(BLOCK)
    sizes = [(path.parent / part["path"]).stat().st_size for part in document["parts"]]
    assert sizes == [part["bytes"] for part in document["parts"]]


def test_a_column_that_came_later(folder):
    export(folder, BLOCK.slice(0, 44_640), (Interval(T0, T0 + 44_640 * MINUTE),))
    extra = np.vstack([BLOCK.values, np.arange(70_000.0)])
    wider = type(BLOCK)(BLOCK.times, extra, (*BLOCK.names, "trades"))
    later = (Interval(T0 + 44_640 * MINUTE, END),)
    export(folder, wider.slice(44_640, 70_000), later)
    found = read(folder)
    assert found.names == wider.names
    assert np.isnan(found.column("trades")[:44_640]).all()
    assert found.slice(44_640, 70_000).identical(wider.slice(44_640, 70_000))


@pytest.mark.parametrize("cut", [None, 1000])
def test_a_part_that_went_or_was_cut_is_written_again(lake, cut):
    export(lake, BLOCK)
    storage = Storage(lake.url, lake.options)
    path = next(iter(storage.files("", ".parquet")))
    if cut is None:
        storage.remove(path)
    else:
        storage.put(path, storage.read(path)[:cut])
    report = export(lake, BLOCK)
    assert (report.written, report.unchanged, report.repaired) == (1, 1, 1)
    assert read(lake).identical(BLOCK)
    assert export(lake, BLOCK).repaired == 0


def test_what_only_a_part_knew_that_went_is_no_longer_known(folder):
    export(folder, BLOCK)
    half = (Interval(T0, T0 + 100 * MINUTE),)
    storage = Storage(folder.url)
    storage.remove(next(iter(storage.files("", ".parquet"))))
    assert export(folder, BLOCK, half).repaired == 1
    february = T0 + 31 * DAY
    assert folder.source().known(*BTC) == (*half, Interval(february, END))
    rest = BLOCK.between(february, END)
    assert to_block(folder.source().candles(*BTC, february, as_="numpy")).identical(rest)


def test_the_remedy_for_a_part_damaged_within_is_true(folder):
    export(folder, BLOCK)
    storage = Storage(folder.url)
    path = next(iter(storage.files("", ".parquet")))
    data = bytearray(storage.read(path))
    data[len(data) // 3] ^= 1
    storage.put(path, bytes(data))
    with pytest.raises(FetchError, match="delete this file and export the series again"):
        read(folder)
    storage.remove(path)
    assert export(folder, BLOCK).repaired == 1
    assert read(folder).identical(BLOCK)


def test_a_manifest_that_cannot_be_read_is_made_anew(lake):
    export(lake, BLOCK)
    storage = Storage(lake.url, lake.options)
    path = "venue=binance/symbol=BTC%2FUSDT/timeframe=1m/_manifest.json"
    storage.put(path, b"{")
    assert export(lake, BLOCK).repaired == 1
    assert read(lake).identical(BLOCK)


def test_a_manifest_of_a_newer_version_is_left_alone(folder):
    export(folder, BLOCK)
    storage = Storage(folder.url)
    path = "venue=binance/symbol=BTC%2FUSDT/timeframe=1m/_manifest.json"
    storage.put(path, b'{"format": "ohlcache-lake", "version": 2}')
    with pytest.raises(FetchError, match="update ohlcache"):
        export(folder, BLOCK)


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_lake_where_no_folder_can_be(tmp_path, place):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(SourceError, match="cannot be a folder .* give the URL of one"):
        export(Lake(str(tmp_path / place), None), BLOCK)


def test_a_lake_below_a_folder_that_nobody_can_make():
    with pytest.raises(SourceError, match="/proc/none cannot be a folder"):
        export(Lake("/proc/none", None), BLOCK)


def test_nothing_stored_is_an_error_and_makes_no_lake(folder, tmp_path):
    with ohlcache.open(tmp_path / "empty") as md, pytest.raises(OhlcacheError, match="BTC"):
        md.export_lake(folder.url, *BTC)
    assert not (tmp_path / "lake").exists()
