"""Large DataFrames in the cache: back whole or in part, from only the chunks that are needed."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohlcache.cache.manager import CacheManager
from ohlcache.cache.market.historical import HistoricalDataCache
from ohlcache.cache.memory.sizing import size_of
from ohlcache.cache.values import encode
from ohlcache.errors import InvalidArgument

CATEGORY = "historical_data"
ROWS = 2000
WHEN = pd.date_range("2024-03-30", periods=ROWS, freq="min", tz="Europe/Berlin", name="when")


@pytest.fixture(params=["memory", "database"])
def cache(request, tmp_path):
    tiers = {"l3": {"url": f"sqlite:///{tmp_path}/l3.db"}} if request.param == "database" else {}
    with CacheManager({"cache": tiers}) as manager:
        yield manager


class Observer:
    """A cache that passes everything on, and notes the keys that are read and written."""

    def __init__(self, cache):
        self.cache = cache
        self.read, self.written, self.deleted = [], {}, []
        self.lost = set()  # keys that are gone when they are read

    def get(self, key, category):
        self.read.append(key)
        return None if key in self.lost else self.cache.get(key, category)

    def get_many(self, keys, category):
        self.read += keys
        found = self.cache.get_many(keys, category)
        return {key: value for key, value in found.items() if key not in self.lost}

    def set(self, key, value, category):
        self.written[key] = value
        self.cache.set(key, value, category)

    def delete(self, key, category):
        self.deleted.append(key)
        self.cache.delete(key, category)

    @property
    def chunks(self):
        return {key: value for key, value in self.written.items() if "/" in key}


@pytest.fixture
def observer(cache):
    return Observer(cache)


def make_frame(rows=ROWS):
    random = np.random.default_rng(1)
    frame = pd.DataFrame(random.random((ROWS, 3)), columns=["open", "close", "volume"])
    frame["trades"] = random.integers(0, 9, ROWS)
    frame["side"] = pd.Categorical(random.choice(["buy", "sell"], ROWS), ["sell", "buy"], True)
    frame["note"] = [None if row % 5 else f"note {row}" for row in range(ROWS)]
    frame["fee"] = pd.Series([Decimal(row) / 10 for row in range(ROWS)], dtype=object)
    frame["count"] = pd.array([None, 1] * (ROWS // 2), dtype="Int16")
    frame["settled"] = pd.date_range("2024", periods=ROWS, unit="ms", tz="Asia/Tokyo")
    frame.index = WHEN
    frame.attrs["venue"] = ("x", 1)
    return frame.iloc[:rows]


FRAME = make_frame()


def assert_equal(found, expected):
    pd.testing.assert_frame_equal(found, expected, check_exact=True, check_freq=True)
    assert found.attrs == expected.attrs


def test_a_dataset_comes_back_whole(observer):
    datasets = HistoricalDataCache(observer, chunk_size_bytes=50_000)
    assert datasets.cache_large_dataset(FRAME, "btc") is True
    assert len(observer.chunks) > 20
    assert_equal(datasets.get_large_dataset("btc"), FRAME)
    assert datasets.get_large_dataset("eth") is None


def test_no_chunk_exceeds_its_size(observer):
    datasets = HistoricalDataCache(observer, chunk_size_bytes=10_000)
    frame = FRAME.assign(text=["x" * (row % 700) for row in range(ROWS)])
    datasets.cache_large_dataset(frame, "btc")
    for chunk in observer.chunks.values():
        index = isinstance(chunk, pd.Index)
        size = chunk.memory_usage(deep=True) if index else chunk.memory_usage(deep=True).sum()
        assert size <= 10_000 + 500  # of the categories and of pandas itself
    assert_equal(datasets.get_large_dataset("btc"), frame)


@pytest.mark.parametrize("columns", [None, ["close"], ["volume", "open"], []], ids=str)
@pytest.mark.parametrize(("first", "last"), [(0, ROWS), (0, 10), (600, 660), (1500, ROWS)])
def test_a_part_is_read_from_its_chunks_only(observer, columns, first, last):
    datasets = HistoricalDataCache(observer, chunk_size_bytes=50_000)
    datasets.cache_large_dataset(FRAME, "btc")
    observer.read.clear()
    start = WHEN[first] if first else None
    end = WHEN[last] if last < ROWS else None
    expected = FRAME.iloc[first:last]
    expected = expected if columns is None else expected[columns]
    assert_equal(datasets.get_large_dataset("btc", start, end, columns), expected)

    slabs = {
        key.split("/")[-2]
        for key, chunk in observer.chunks.items()
        if isinstance(chunk, pd.Index) and chunk.isin(expected.index).any()
    }
    needed = {
        key
        for key, chunk in observer.chunks.items()
        if key.split("/")[-2] in slabs
        and (isinstance(chunk, pd.Index) or labels_of(chunk) & set(expected.columns))
    }
    assert sorted(observer.read) == sorted([*needed, "dataset:btc"])


def labels_of(chunk):
    return set(FRAME.columns[chunk.columns])


BOUNDS = [
    ("2024-03-30T10:00", "2024-03-30T11:00"),
    (pd.Timestamp("2024-03-30T10:00", tz="UTC"), pd.Timestamp("2024-03-30 15:00", tz="Asia/Dubai")),
    (pd.Timestamp("2024-03-30T10:00").to_pydatetime(), np.datetime64("2024-03-30T11:00")),
    (1711792800000, 1711796400000),
]


@pytest.mark.parametrize(("start", "end"), BOUNDS, ids=str)
@pytest.mark.parametrize("zone", ["Europe/Berlin", "UTC", None])
def test_bounds_are_moments_and_naive_ones_are_utc(cache, start, end, zone):
    frame = FRAME[["open", "side"]].tz_convert(zone)
    datasets = HistoricalDataCache(cache, chunk_size_bytes=50_000)
    datasets.cache_large_dataset(frame, "btc")
    found = datasets.get_large_dataset("btc", start, end)
    moments = found.index if zone is None else found.index.tz_convert(None)
    assert (str(moments[0]), str(moments[-1])) == ("2024-03-30 10:00:00", "2024-03-30 10:59:00")


def test_bounds_between_two_milliseconds_are_exact(cache):
    index = pd.date_range("2024", periods=1000, freq="100ns")
    frame = pd.DataFrame({"tick": range(1000)}, index)
    datasets = HistoricalDataCache(cache, chunk_size_bytes=1000)
    datasets.cache_large_dataset(frame, "ticks")
    found = datasets.get_large_dataset("ticks", index[333], index[334])
    assert found["tick"].tolist() == [333]
    found = datasets.get_large_dataset("ticks", "2024-01-01T00:00:00.00005", index[501])
    assert found["tick"].tolist() == [500]


INDEXES = {
    "range": (pd.RangeIndex(10, 10 + 3 * ROWS, 3), 100, 1000),
    "integers": (pd.Index(np.arange(ROWS) // 3), 100, 200),
    "floats": (pd.Index(np.linspace(-1, 1, ROWS)), -0.5, 0.5),
    "texts": (pd.Index([f"{row:06d}" for row in range(ROWS)]), "000100", "0002"),
    "unsorted": (pd.Index(np.random.default_rng(0).permutation(ROWS)), 100, 300),
    "descending": (WHEN[::-1], WHEN[100], WHEN[200]),
    "with gaps": (WHEN.where(np.arange(ROWS) % 7 > 0), WHEN[100], WHEN[200]),
    "seconds": (pd.date_range("1700", periods=ROWS, freq="D", unit="s"), "1701", "1702"),
    "lengths": (
        pd.timedelta_range(0, periods=ROWS, freq="s"),
        pd.Timedelta(50),
        pd.Timedelta("9s"),
    ),
    "repeated": (pd.Index(["a"] * 700 + ["b"] * 600 + ["c"] * 700), "b", "c"),
}


@pytest.mark.parametrize("name", INDEXES)
def test_any_index_comes_back_and_can_be_cut(cache, name):
    index, start, end = INDEXES[name]
    frame = FRAME[["open", "note"]].set_axis(index.rename("label"))
    datasets = HistoricalDataCache(cache, chunk_size_bytes=3_000)
    datasets.cache_large_dataset(frame, "x")
    assert_equal(datasets.get_large_dataset("x"), frame)
    found = datasets.get_large_dataset("x", start, end)
    bounds = [pd.Timestamp(b) if isinstance(index, pd.DatetimeIndex) else b for b in (start, end)]
    mask = (index >= bounds[0]) & (index < bounds[1])
    assert 0 < mask.sum() < ROWS
    pd.testing.assert_frame_equal(found, frame[mask], check_freq=False, check_index_type="equiv")


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame(),
        pd.DataFrame(index=WHEN),
        FRAME.iloc[:0],
        FRAME.iloc[:1],
        FRAME.set_index(["side", FRAME.index]),
        pd.DataFrame(np.ones((50, 3)), columns=["a", "a", 1]),
        pd.DataFrame(np.ones((50, 4)), columns=pd.MultiIndex.from_product([["a", "b"], [1, 2]])),
        pd.DataFrame(np.ones((20, 100))),
        FRAME.set_index("side"),
        pd.DataFrame({"c": pd.Categorical(["x" * 30_000, "y"] * 50)}),
    ],
    ids=lambda frame: str(frame.shape),
)
def test_frames_of_every_shape(cache, frame):
    datasets = HistoricalDataCache(cache, chunk_size_bytes=5_000)
    assert datasets.cache_large_dataset(frame, ("key", 1)) is True
    assert_equal(datasets.get_large_dataset(("key", 1)), frame)


def test_columns_by_labels_that_repeat_or_have_levels(cache):
    datasets = HistoricalDataCache(cache, chunk_size_bytes=2_000)
    frame = pd.DataFrame(np.arange(150.0).reshape(50, 3), columns=["a", "b", "a"])
    datasets.cache_large_dataset(frame, "x")
    assert_equal(datasets.get_large_dataset("x", columns=["a"]), frame[["a"]])
    assert_equal(datasets.get_large_dataset("x", columns=["b", "a"]), frame[["b", "a"]])
    frame.columns = pd.MultiIndex.from_tuples([("a", 1), ("b", 1), ("a", 2)])
    datasets.cache_large_dataset(frame, "x")
    assert_equal(datasets.get_large_dataset("x", columns=[("b", 1)]), frame[[("b", 1)]])


@settings(max_examples=25)
@given(st.integers(0, 60), st.integers(1, 3000), st.integers(-2, 62), st.integers(1, 64), st.data())
def test_any_cut_gives_what_pandas_gives(rows, chunk_size, start, length, data):
    columns = data.draw(st.lists(st.sampled_from(["open", "note", "side"]), unique=True))
    frame = make_frame(rows)[["open", "note", "side"]].reset_index(drop=True)
    with CacheManager({"cache": {}}) as manager:
        datasets = HistoricalDataCache(manager, chunk_size_bytes=chunk_size)
        datasets.cache_large_dataset(frame, "x")
        found = datasets.get_large_dataset("x", start, start + length, columns)
    wanted = (frame.index >= start) & (frame.index < start + length)
    pd.testing.assert_frame_equal(found, frame.loc[wanted, columns], check_index_type="equiv")


def test_the_frame_is_the_callers_own(cache):
    for chunk_size in (10_000, 2**20):
        datasets = HistoricalDataCache(cache, chunk_size_bytes=chunk_size)
        given_frame = FRAME.copy()
        datasets.cache_large_dataset(given_frame, "x")
        given_frame.iloc[0, 0] = 99.0
        found = datasets.get_large_dataset("x")
        found.iloc[0, 0] = 5.0
        found.to_numpy()
        found.attrs["venue"] = None
        assert_equal(datasets.get_large_dataset("x"), FRAME)


# -- loss and races -----------------------------------------------------------------------------


def test_a_missing_chunk_is_a_miss_for_what_needs_it(observer):
    datasets = HistoricalDataCache(observer, chunk_size_bytes=50_000)
    datasets.cache_large_dataset(FRAME, "x")
    for key in list(observer.chunks):
        observer.lost = {key}
        assert datasets.get_large_dataset("x") is None
    observer.lost = {key for key in observer.chunks if key.split("/")[-2] == "0"}
    assert len(datasets.get_large_dataset("x", WHEN[1000])) == 1000


def test_a_chunk_of_other_rows_is_a_miss(observer):
    datasets = HistoricalDataCache(observer, chunk_size_bytes=50_000)
    datasets.cache_large_dataset(FRAME, "x")
    for key, chunk in list(observer.chunks.items())[:3]:
        observer.cache.set(key, chunk[:1], CATEGORY)
        assert datasets.get_large_dataset("x") is None
        observer.cache.set(key, chunk, CATEGORY)


def test_what_cannot_be_read_back_is_not_cached(observer):
    datasets = HistoricalDataCache(observer, chunk_size_bytes=50_000)
    datasets.cache_large_dataset(FRAME, "x")
    observer.get, keep = lambda key, category: None, observer.get
    assert datasets.cache_large_dataset(FRAME.iloc[:5], "x") is False
    observer.get = keep
    assert_equal(datasets.get_large_dataset("x"), FRAME)
    assert set(observer.deleted) < set(observer.chunks)


def test_a_cache_too_small_for_the_dataset_says_so():
    small = {"cache": {"categories": {CATEGORY: {"max_size_mb": 1}}}}
    with CacheManager(small) as manager:
        datasets = HistoricalDataCache(manager, chunk_size_bytes=100_000)
        frame = pd.DataFrame(np.random.default_rng(0).random((100_000, 4)))
        assert size_of(frame) > 2**20
        assert datasets.cache_large_dataset(frame, "x") is False
        assert datasets.get_large_dataset("x") is None


def test_a_new_writing_replaces_the_old_one_and_removes_its_chunks(observer):
    datasets = HistoricalDataCache(observer, chunk_size_bytes=50_000)
    datasets.cache_large_dataset(FRAME, "x")
    old = set(observer.chunks)
    datasets.cache_large_dataset(FRAME.iloc[:100], "x")
    assert_equal(datasets.get_large_dataset("x"), FRAME.iloc[:100])
    assert set(observer.deleted) == old


def test_until_the_new_one_is_whole_readers_see_the_old_one(observer):
    datasets = HistoricalDataCache(observer, chunk_size_bytes=50_000)
    datasets.cache_large_dataset(FRAME, "x")
    seen = []
    keep = observer.set

    def set_and_look(key, value, category):
        seen.append(datasets.get_large_dataset("x").equals(FRAME))
        keep(key, value, category)

    observer.set = set_and_look
    datasets.cache_large_dataset(FRAME.iloc[:300], "x")
    assert len(seen) > 5
    assert all(seen)


def test_a_reader_that_lost_the_race_reads_the_manifest_again(observer):
    datasets = HistoricalDataCache(observer, chunk_size_bytes=50_000)
    datasets.cache_large_dataset(FRAME, "x")
    keep = observer.get_many

    def replaced_meanwhile(keys, category):
        observer.get_many = keep
        datasets.cache_large_dataset(FRAME.iloc[:100], "x")
        return keep(keys, category)

    observer.get_many = replaced_meanwhile
    assert_equal(datasets.get_large_dataset("x"), FRAME.iloc[:100])


def test_a_write_that_fails_leaves_the_old_one(cache):
    datasets = HistoricalDataCache(cache, chunk_size_bytes=50_000)
    datasets.cache_large_dataset(FRAME, "x")
    frame = FRAME.assign(fee=[Decimal(1)] * (ROWS - 1) + [object()])
    with pytest.raises(TypeError):
        encode(frame)
    try:
        datasets.cache_large_dataset(frame, "x")
    except TypeError:
        assert_equal(datasets.get_large_dataset("x"), FRAME)
    else:  # memory alone keeps any object
        assert datasets.get_large_dataset("x")["fee"].iloc[-1] is not None


def test_delete(observer):
    datasets = HistoricalDataCache(observer, chunk_size_bytes=50_000)
    datasets.cache_large_dataset(FRAME, "x")
    assert datasets.delete_large_dataset("x") is True
    assert set(observer.deleted) == set(observer.written)
    assert datasets.get_large_dataset("x") is None
    assert datasets.delete_large_dataset("x") is False


def test_the_async_doors_do_the_same(cache):
    datasets = HistoricalDataCache(cache, chunk_size_bytes=50_000)

    async def visit():
        assert await datasets.acache_large_dataset(FRAME, "x") is True
        whole = await datasets.aget_large_dataset("x")
        part = await datasets.aget_large_dataset("x", WHEN[5], WHEN[7], ["open"])
        assert await datasets.adelete_large_dataset("x") is True
        return whole, part, await datasets.aget_large_dataset("x")

    whole, part, gone = asyncio.run(visit())
    assert_equal(whole, FRAME)
    assert_equal(part, FRAME[["open"]].iloc[5:7])
    assert gone is None


def test_arguments_that_cannot_be(cache):
    datasets = HistoricalDataCache(cache, chunk_size_bytes=50_000)
    datasets.cache_large_dataset(FRAME, "x")
    datasets.cache_large_dataset(FRAME.reset_index(drop=True), "numbered")
    datasets.cache_large_dataset(FRAME.set_index(["side", "note"]), "levels")
    for arguments, message in [
        (("x", None, None, ["price"]), "columns names 'price': there are open, close"),
        (("x", None, None, "open"), "columns is 'open': give a list"),
        (("x", "yesterday"), "start is 'yesterday'"),
        (("x", WHEN[5], WHEN[5]), "is not before end"),
        (("numbered", "a", None), "index of int64"),
        (("levels", "a", None), "one level"),
    ]:
        with pytest.raises(InvalidArgument, match=message):
            datasets.get_large_dataset(*arguments)
    with pytest.raises(InvalidArgument, match="data is a list"):
        datasets.cache_large_dataset([1], "x")
    with pytest.raises(InvalidArgument, match="chunk_size_bytes is 0"):
        HistoricalDataCache(cache, chunk_size_bytes=0)
