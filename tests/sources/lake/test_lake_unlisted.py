"""Parts of ours that no manifest lists yet, or that go while somebody looks at them."""

from __future__ import annotations

import pytest

from made_candles import MINUTE, T0, make_block
from ohlcache.candles import Interval, Timeframe, to_block
from ohlcache.errors import SourceError, SourceUnavailable
from ohlcache.sources.lake import Storage, export_series

BTC = ("BTC/USDT", "1m")
FOLDER = "venue=binance/symbol=BTC%2FUSDT/timeframe=1m"
MANIFEST = f"{FOLDER}/_manifest.json"
BLOCK = make_block(45_000)  # January, and a bit of February
COVERED = (
    Interval(T0, T0 + 100 * MINUTE),
    Interval(T0 + 44_900 * MINUTE, T0 + 45_000 * MINUTE),
)


def export(lake, block=BLOCK, covered=COVERED):
    """What a store knows in ``covered`` of a block without gaps."""

    def known(start, end):
        inside = tuple(
            Interval(max(start, low), min(end, high))
            for low, high in covered
            if max(start, low) < min(end, high)
        )
        return block.take([any(low <= at < high for low, high in inside) for at in block.times]), (
            inside
        )

    timeframe = Timeframe.parse("1m")
    return export_series(storage(lake), "binance", "BTC/USDT", timeframe, covered, known, T0)


def storage(lake):
    return Storage(lake.url, lake.options)


def dies(*_):
    raise KeyboardInterrupt


@pytest.fixture
def once_before(monkeypatch):
    """Has something done once, just before a method of Storage is called for a part."""

    def arrange(method, act):
        real, acts = getattr(Storage, method), [act]

        def acting(self, path, *arguments):
            if path.endswith(".parquet") and acts:
                acts.pop()(path)
            return real(self, path, *arguments)

        monkeypatch.setattr(Storage, method, acting)
        return acts

    return arrange


@pytest.mark.parametrize("how", ["first export died", "manifest went"])
def test_without_a_manifest_nothing_is_known_between_our_candles(lake, how, monkeypatch):
    if how == "manifest went":
        export(lake)
        storage(lake).remove(MANIFEST)
    else:
        with monkeypatch.context() as patch:
            patch.setattr("ohlcache.sources.lake.writing.carry_out", dies)
            with pytest.raises(KeyboardInterrupt):
                export(lake)
    source = lake.source()
    assert source.known(*BTC) == COVERED
    (series,) = source.series()
    assert (series.covered, series.rows, series.parts) == (COVERED, 200, 2)
    for range_ in COVERED:
        assert source.fetch(*BTC, *range_).identical(BLOCK.between(*range_))
    export(lake)
    assert lake.source().known(*BTC) == COVERED


def test_of_two_parts_of_a_month_a_reader_takes_one(folder, monkeypatch):
    export(folder)
    storage(folder).remove(MANIFEST)
    monkeypatch.setattr("ohlcache.sources.lake.writing.carry_out", dies)
    with pytest.raises(KeyboardInterrupt):
        export(folder, BLOCK, (Interval(T0, T0 + 200 * MINUTE),))
    assert len(storage(folder).files(FOLDER, ".parquet")) == 3
    found = to_block(folder.source().candles(*BTC, as_="numpy"))
    inside = found.between(T0, T0 + 200 * MINUTE)
    assert inside.identical(BLOCK.between(T0, T0 + 200 * MINUTE))


@pytest.mark.parametrize("method", ["read", "modified"])
def test_an_export_under_which_an_unlisted_part_goes_is_refused(lake, method, once_before):
    export(lake)
    storage(lake).remove(MANIFEST)
    left = once_before(method, storage(lake).remove)
    with pytest.raises(SourceError, match=r"another export meanwhile: export again") as caught:
        export(lake)
    assert not isinstance(caught.value, SourceUnavailable)
    assert not left
    export(lake)
    assert lake.source().known(*BTC) == COVERED


def test_a_reader_under_which_the_first_export_ends_takes_its_manifest(lake, once_before):
    export(lake)
    manifest = storage(lake).read(MANIFEST)
    source = lake.source()
    (*_, february) = sorted(storage(lake).files(FOLDER, ".parquet"))
    stray = f"{FOLDER}/{february[:-40]}{'0' * 32}.parquet"
    storage(lake).put(stray, storage(lake).read(f"{FOLDER}/{february}"))
    storage(lake).remove(MANIFEST)

    def end(_):
        storage(lake).put(MANIFEST, manifest)
        storage(lake).remove(stray)

    left = once_before("read", end)
    assert source.known(*BTC) == COVERED
    assert not left


@pytest.mark.parametrize("end", [10, None])
def test_what_goes_from_a_bucket_while_it_is_read_is_not_there(bucket, server, end):
    export(bucket)
    server.faults = ["gone"]
    with pytest.raises(FileNotFoundError):
        storage(bucket).read(MANIFEST, 0, end)
    assert server.faults == []


@pytest.mark.parametrize("at", [1, 2])
def test_an_export_whose_part_goes_from_a_bucket_while_it_is_read_is_refused(bucket, server, at):
    export(bucket)
    server.faults = [None] * at + ["gone"]  # the manifest; the end of a part, its candles
    with pytest.raises(SourceError, match=r"another export meanwhile: export again") as caught:
        export(bucket, BLOCK, (Interval(T0, T0 + 50 * MINUTE),))
    assert not isinstance(caught.value, SourceUnavailable)
    assert server.faults == []


def test_the_age_of_what_is_not_there(lake):
    export(lake)
    with pytest.raises(FileNotFoundError):
        storage(lake).modified(f"{FOLDER}/nothing")
