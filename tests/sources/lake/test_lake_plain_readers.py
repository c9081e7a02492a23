"""Tools that know nothing of manifests read every file: they must see each candle once."""

from __future__ import annotations

import fsspec
import numpy as np
import pandas as pd
import pyarrow.dataset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow.fs import S3FileSystem

from made_candles import MINUTE, T0, make_block
from ohlcache.candles import Block, Interval, Timeframe, to_block
from ohlcache.errors import FetchError, SourceError
from ohlcache.sources import LakeSource
from ohlcache.sources.lake import Storage, export_series
from ohlcache.sources.lake.replacing import ABANDONED_MS

from .conftest import Lake

BTC = ("BTC/USDT", "1m")
FOLDER = "venue=binance/symbol=BTC%2FUSDT/timeframe=1m"
MANIFEST = f"{FOLDER}/_manifest.json"
MONTH = 44_640  # candles of January
BLOCK = make_block(45_000)
COLUMNS = ["timestamp", *BLOCK.names]


def revised(block, by=1.0):
    values = block.values.copy()
    values[BLOCK.names.index("volume")] += by
    return Block(block.times, values)


def storage_of(lake):
    return Storage(lake.url, lake.options)


def export(lake, block, now=T0, meanwhile=None):
    """Export candles without gaps; ``meanwhile``: done when all but the last part was put."""
    first, end = int(block.times[0]), int(block.times[-1]) + MINUTE

    def known(start, stop):
        low, high = max(start, first), min(stop, end)
        if meanwhile is not None and high == end:
            meanwhile()
        return block.between(low, high), (Interval(low, high),) if low < high else ()

    covered = (Interval(first, end),)
    timeframe = Timeframe.parse("1m")
    storage = storage_of(lake)
    return export_series(storage, "binance", "BTC/USDT", timeframe, covered, known, now)


def place(lake):
    if lake.options is not None:
        return S3FileSystem(**lake.options), lake.url.removeprefix("s3://")
    return fsspec.core.url_to_fs(lake.url)


def plain(lake):
    """The candles that a plain reader sees, as often as it sees them."""
    system, path = place(lake)
    found = pyarrow.dataset.dataset(path, filesystem=system, format="parquet", partitioning="hive")
    return to_block(found.to_table(columns=COLUMNS).sort_by("timestamp"))


def files(lake):
    return set(storage_of(lake).files(FOLDER, ".parquet"))


def read(lake):
    return to_block(lake.source().candles(*BTC, as_="numpy"))


def deadly(method, ending):
    """A method of Storage of which one dies, called with a path that ends like this."""

    def dies(self, path, *arguments):
        if path.endswith(ending):
            raise KeyboardInterrupt
        return method(self, path, *arguments)

    return dies


@pytest.fixture
def dying(monkeypatch):
    """Has whoever calls a method of Storage with a path that ends like this die."""

    def arrange(method, ending):
        monkeypatch.setattr(Storage, method, deadly(getattr(Storage, method), ending))
        return monkeypatch.undo

    return arrange


def test_a_plain_reader_sees_each_candle_once_after_every_export(lake):
    deleted = []
    for block in (BLOCK.slice(0, 100), BLOCK.slice(0, 110), BLOCK, revised(BLOCK)):
        deleted.append(export(lake, block).deleted)
        assert plain(lake).identical(block)
    assert deleted == [0, 1, 1, 2]


def test_pandas_sees_what_the_store_holds(lake, exporting):
    md, _ = exporting(lake, *BTC, BLOCK.slice(0, 100))
    md.write(*BTC, BLOCK.slice(100, 110), venue="binance")
    md.export_lake(lake.url, *BTC, storage_options=lake.options)
    system, path = place(lake)
    frame = pd.read_parquet(path, filesystem=system)
    assert len(frame) == md.info(*BTC).rows == 110
    assert frame["timestamp"].is_unique


def test_an_export_that_died_before_it_deleted_is_cleaned_up_by_one_with_nothing_new(lake, dying):
    export(lake, BLOCK)
    undo = dying("remove", ".parquet")
    with pytest.raises(KeyboardInterrupt):
        export(lake, revised(BLOCK))
    undo()
    assert read(lake).identical(revised(BLOCK))
    assert len(plain(lake)) == 2 * len(BLOCK)
    report = export(lake, revised(BLOCK))
    assert (report.written, report.deleted) == (0, 2)
    assert plain(lake).identical(revised(BLOCK))
    assert export(lake, revised(BLOCK)).deleted == 0


def test_what_a_dead_export_has_put_is_deleted_an_hour_later(lake, dying):
    export(lake, BLOCK)
    kept = files(lake)
    undo = dying("put", "_manifest.json")
    with pytest.raises(KeyboardInterrupt):
        export(lake, revised(BLOCK))
    undo()
    put = [storage_of(lake).modified(f"{FOLDER}/{path}") for path in files(lake) - kept]
    assert export(lake, BLOCK, min(put) + ABANDONED_MS - 1).deleted == 0
    assert export(lake, BLOCK, max(put) + ABANDONED_MS).deleted == 2
    assert plain(lake).identical(BLOCK)


def test_a_refused_export_takes_back_what_it_has_put(lake):
    export(lake, BLOCK)
    with pytest.raises(SourceError, match="another export"):
        export(lake, revised(BLOCK, 2), meanwhile=lambda: export(lake, revised(BLOCK)))
    assert plain(lake).identical(revised(BLOCK))


def test_a_refused_export_leaves_what_the_other_one_uses(lake):
    export(lake, BLOCK)
    with pytest.raises(SourceError, match="another export"):
        export(lake, revised(BLOCK), meanwhile=lambda: export(lake, revised(BLOCK)))
    assert plain(lake).identical(revised(BLOCK))
    assert read(lake).identical(revised(BLOCK))


def test_an_export_whose_part_was_taken_for_abandoned_does_not_report_success(lake):
    export(lake, BLOCK)
    kept = files(lake)

    def another():
        (path,) = files(lake) - kept
        much_later = storage_of(lake).modified(f"{FOLDER}/{path}") + ABANDONED_MS
        assert export(lake, BLOCK, much_later).deleted == 1

    with pytest.raises(SourceError, match="another export"):
        export(lake, revised(BLOCK), meanwhile=another)
    assert plain(lake).identical(BLOCK)
    assert read(lake).identical(BLOCK)
    assert export(lake, revised(BLOCK)).written == 2
    assert plain(lake).identical(revised(BLOCK))


def test_an_export_that_keeps_candles_of_a_part_that_another_one_replaces(lake):
    export(lake, BLOCK)
    with pytest.raises(SourceError, match="another export"):
        export(
            lake, revised(BLOCK.slice(0, 100)), meanwhile=lambda: export(lake, revised(BLOCK, 2))
        )
    assert plain(lake).identical(revised(BLOCK, 2))


@pytest.mark.parametrize("document", [b"{", None], ids=["damaged", "gone"])
def test_without_a_manifest_the_parts_that_are_there_are_adopted(lake, document):
    export(lake, BLOCK)
    if document is None:
        storage_of(lake).remove(MANIFEST)
    else:
        storage_of(lake).put(MANIFEST, document)
    report = export(lake, BLOCK.slice(MONTH - 100, MONTH))
    assert (report.written, report.unchanged, report.repaired) == (0, 1, 1)
    assert read(lake).identical(BLOCK)
    assert plain(lake).identical(BLOCK)
    assert lake.source().known(*BTC) == (Interval(T0, T0 + len(BLOCK) * MINUTE),)


def test_of_two_parts_of_a_month_one_is_adopted(folder, dying):
    export(folder, BLOCK)
    undo = dying("remove", ".parquet")
    with pytest.raises(KeyboardInterrupt):
        export(folder, revised(BLOCK))
    undo()
    storage_of(folder).put(MANIFEST, b"")
    report = export(folder, revised(BLOCK.slice(0, 100)))
    assert (report.repaired, report.deleted) == (1, 2)
    assert plain(folder).identical(revised(BLOCK))
    assert read(folder).identical(revised(BLOCK))


def test_a_part_that_cannot_be_read_is_not_adopted(lake):
    export(lake, BLOCK)
    storage = storage_of(lake)
    january = next(iter(storage.files(FOLDER, ".parquet")))
    storage.put(f"{FOLDER}/{january}", storage.read(f"{FOLDER}/{january}")[:1000])
    storage.put(MANIFEST, b"{")
    with pytest.raises(FetchError):
        read(lake)
    later = BLOCK.slice(MONTH + 10, MONTH + 20)
    assert export(lake, later).deleted == 1
    assert plain(lake).identical(BLOCK.slice(MONTH, len(BLOCK)))
    assert lake.source().known(*BTC)[0].start == T0 + MONTH * MINUTE


def test_adopted_candles_say_nothing_of_the_gaps_between_them(folder):
    gap = (BLOCK.times < T0 + 100 * MINUTE) | (BLOCK.times >= T0 + 200 * MINUTE)
    with_gap = BLOCK.take(gap)
    export(folder, with_gap)
    storage_of(folder).remove(MANIFEST)
    export(folder, BLOCK.slice(0, 10))
    end = T0 + len(BLOCK) * MINUTE
    assert folder.source().known(*BTC) == (
        Interval(T0, T0 + 100 * MINUTE),
        Interval(T0 + 200 * MINUTE, end),
    )


def test_files_of_others_are_left_alone(lake):
    export(lake, BLOCK)
    storage = storage_of(lake)
    (one, _) = sorted(files(lake))
    theirs = ["notes.parquet", "year=2020/month=01/part-0.parquet", one.replace("year", "old")]
    for path in theirs:
        storage.put(f"{FOLDER}/{path}", storage.read(f"{FOLDER}/{one}"))
    much_later = storage.modified(f"{FOLDER}/{one}") + 10 * ABANDONED_MS
    export(lake, revised(BLOCK), much_later)
    assert set(theirs) < files(lake)
    assert len(files(lake)) == len(theirs) + 2


def test_a_reader_of_ours_whose_parts_are_replaced_while_it_reads(lake, monkeypatch):
    export(lake, BLOCK)
    source = LakeSource(lake.url, storage_options=lake.options)  # looks again after a minute
    source.known(*BTC)
    real, acts = Storage.read, [lambda: export(lake, revised(BLOCK))]

    def reading(self, path, *arguments):
        if path.endswith(".parquet") and acts:
            acts.pop()()
        return real(self, path, *arguments)

    monkeypatch.setattr(Storage, "read", reading)
    assert to_block(source.candles(*BTC, as_="numpy")).identical(revised(BLOCK))
    assert not acts


def test_an_export_that_takes_a_replaced_part_for_lost_does_not_put_it_back(lake, monkeypatch):
    export(lake, BLOCK)
    real, acts = Storage.files, [lambda: export(lake, revised(BLOCK))]

    def listing(self, *arguments):  # after the manifest was read
        if acts:
            acts.pop()()
        return real(self, *arguments)

    monkeypatch.setattr(Storage, "files", listing)
    with pytest.raises(SourceError, match="another export"):
        export(lake, BLOCK)
    assert plain(lake).identical(revised(BLOCK))


@settings(max_examples=25)
@given(data=st.data())
def test_whatever_dies_the_next_export_leaves_what_the_manifest_lists(data, tmp_path_factory):
    lake = Lake(f"memory://{tmp_path_factory.mktemp('lake').name}", None)
    late = pd.Timestamp.now("UTC").value // 1_000_000 + 2 * ABANDONED_MS
    around = BLOCK.slice(MONTH - 50, MONTH + 50)
    export(lake, around)
    held = around.values.copy()
    for by in range(1, data.draw(st.integers(2, 5))):
        start = data.draw(st.integers(0, 90))
        stop = data.draw(st.integers(start + 1, 100))
        block = revised(around, by).slice(start, stop)
        with pytest.MonkeyPatch.context() as patch:
            method, ending = data.draw(
                st.sampled_from([("put", ".parquet"), ("put", ".json"), ("remove", ".parquet")])
            )

            patch.setattr(Storage, method, deadly(getattr(Storage, method), ending))
            with pytest.raises(KeyboardInterrupt):
                export(lake, block, late)
        if method == "remove" or data.draw(st.booleans()):
            export(lake, block, late)
            held[:, start:stop] = block.values
        else:
            export(lake, Block(around.times, held), late)
        expected = Block(around.times, held)
        assert plain(lake).identical(expected)
        assert read(lake).identical(expected)
        assert np.all(np.diff(plain(lake).times) == MINUTE)
