"""Exports: read again they are the same bits, other tools read them, and none is left half done."""

import gzip
import json
import os
import threading
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from candle_files import MINUTE, START, load, make_candles, same
from hypothesis import given, settings
from hypothesis import strategies as st

from ohlcache.candles import OHLCV, Block
from ohlcache.errors import InvalidArgument, OhlcacheError
from ohlcache.sources.files import EXPORT_FORMATS, export, read_candles

CANDLES = make_candles(500)
EXTRA_NAMES = (*OHLCV, "quote_volume", "Adj Close", "a,b")
NAMES = {
    "csv": "x.csv",
    "parquet": "x.parquet",
    "feather": "x.feather",
    "freqtrade": "BTC_USDT-1m.feather",
    "backtesting": "x.csv",
    "ccxt-json": "x.json",
}
EXACT = ["csv", "parquet", "feather", "backtesting"]  # hold any float64 and further columns


def names_in(folder):
    return [path.name for path in folder.iterdir()]


def with_extras(block):
    extras = np.stack([block.values[0] * 3, np.full(len(block), np.nan), -block.values[1]])
    return Block(block.times, np.concatenate((block.values, extras)), EXTRA_NAMES)


@pytest.mark.parametrize("kind", EXPORT_FORMATS)
def test_read_again_it_is_the_same(tmp_path, kind):
    path = tmp_path / NAMES[kind]
    written = export(CANDLES, path, format=kind)
    assert (written.path, written.rows, written.left_out) == (path, 500, ())
    same(load(path), CANDLES)
    assert names_in(tmp_path) == [path.name]


@pytest.mark.parametrize("kind", EXPORT_FORMATS)
def test_further_columns(tmp_path, kind):
    path = tmp_path / NAMES[kind]
    written = export(with_extras(CANDLES), path, format=kind)
    if kind in EXACT:
        assert written.left_out == ()
        same(load(path), with_extras(CANDLES))
    else:
        assert written.left_out == EXTRA_NAMES[5:]
        same(load(path), CANDLES)


SPECIAL = [0.0, -0.0, 5e-324, -5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, np.nan]
ANY = st.floats(allow_nan=False, width=64) | st.sampled_from([*SPECIAL, np.inf, -np.inf])
FINITE = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(SPECIAL)


@settings(max_examples=15)
@given(data=st.data(), kind=st.sampled_from(EXPORT_FORMATS))
def test_every_bit_survives(tmp_path_factory, data, kind):
    numbers = ANY if kind in (*EXACT, "freqtrade") else FINITE
    rows = data.draw(st.integers(1, 30))
    volumes = data.draw(st.lists(numbers, min_size=rows, max_size=rows))
    step = data.draw(st.sampled_from([1, 1_000, MINUTE, 86_400_000]))
    start = data.draw(st.integers(-(10**12), 4 * 10**12).filter(lambda ms: abs(ms) > 10**10))
    candles = make_candles(rows, start=start, step=step)
    candles.values[4] = volumes
    path = tmp_path_factory.mktemp("export") / NAMES[kind]
    export(candles, path, format=kind)
    same(load(path), candles)


@pytest.mark.parametrize("kind", ["parquet", "feather", "freqtrade"])
def test_columns_keep_even_the_bits_of_nan(tmp_path, kind):
    candles = make_candles(3)
    bits = [0x7FF8000000000000, 0xFFF8000000000000, 0x7FF0000000000001]
    candles.values[4] = np.array(bits, np.uint64).view(np.float64)
    path = tmp_path / NAMES[kind]
    export(candles, path, format=kind)
    same(load(path), candles)
    table = pq.read_table(path) if kind == "parquet" else pa.ipc.open_file(path).read_all()
    assert table["volume"].null_count == 1  # the usual NaN is null


def test_blocks_are_written_as_they_come(tmp_path):
    candles = make_candles(300_000)
    cuts = [0, 1, 2, 10, 140_000, 140_000, 290_000, 300_000]
    blocks = [candles.slice(a, b) for a, b in pairwise(cuts)]
    for kind in ("csv", "parquet", "feather"):
        written = export(iter(blocks), tmp_path / NAMES[kind], format=kind)
        assert written.rows == 300_000
        same(load(tmp_path / NAMES[kind]), candles)
    assert pq.ParquetFile(tmp_path / "x.parquet").metadata.num_row_groups == 3


def test_columns_come_from_the_first_block(tmp_path):
    path = tmp_path / "x.csv"
    more, less = with_extras(CANDLES.slice(0, 10)), CANDLES.slice(10, 20)
    export([more, less], path, format="csv")
    same(load(path), Block.concatenate([more, less]))
    with pytest.raises(InvalidArgument, match="quote_volume, Adj Close, a,b is not in the first"):
        export([less, more], path, format="csv")
    same(load(path), Block.concatenate([more, less]))


def test_no_candles_make_an_empty_table(tmp_path):
    for kind in EXPORT_FORMATS:
        assert export([], tmp_path / NAMES[kind], format=kind).rows == 0
    assert json.loads((tmp_path / "x.json").read_text()) == []
    assert pd.read_parquet(tmp_path / "x.parquet").columns.tolist() == ["timestamp", *OHLCV]


# -- what other tools find ----------------------------------------------------------------------


def test_freqtrade_reads_its_feather(tmp_path):
    path = tmp_path / "BTC_USDT-1m.feather"
    export(CANDLES, path, format="freqtrade")
    frame = pd.read_feather(path)
    assert frame.columns.tolist() == ["date", *OHLCV]
    assert str(frame["date"].dtype) == "datetime64[ms, UTC]"
    assert frame["date"].iloc[0] == pd.Timestamp("2021-01-01", tz="UTC")
    assert [str(kind) for kind in frame.dtypes[1:]] == ["float64"] * 5


def test_freqtrade_reads_its_json(tmp_path):
    path = tmp_path / "BTC_USDT-1m.json.gz"
    export(CANDLES, path, format="freqtrade")
    frame = pd.read_json(path, orient="values")
    assert frame[0].iloc[0] in (START, pd.Timestamp("2021-01-01"))
    assert frame[4].tolist() == CANDLES.column("close").tolist()
    assert read_candles(path).format == "freqtrade"
    export(CANDLES, tmp_path / "x-1m.parquet", format="freqtrade")
    assert pd.read_parquet(tmp_path / "x-1m.parquet").columns[0] == "date"


def test_backtesting_reads_its_csv(tmp_path):
    export(CANDLES, tmp_path / "x.csv", format="backtesting")
    frame = pd.read_csv(tmp_path / "x.csv", index_col=0, parse_dates=True)
    assert frame.columns.tolist() == ["Open", "High", "Low", "Close", "Volume"]
    assert isinstance(frame.index, pd.DatetimeIndex)
    assert frame.index.tz is None
    assert frame.index[1] == pd.Timestamp("2021-01-01 00:01")


def test_csv_is_plain(tmp_path):
    candles = Block(np.array([START]), np.array([[1.5], [2], [0.25], [np.nan], [1e300]]))
    export(candles, tmp_path / "x.csv", format="csv")
    text = (tmp_path / "x.csv").read_text()
    assert text == f"timestamp,open,high,low,close,volume\n{START},1.5,2,0.25,,1e+300\n"


def test_ccxt_json_holds_null_but_no_infinity(tmp_path):
    path = tmp_path / "x.json"
    candles = make_candles(3)
    candles.values[4, 1] = np.nan
    export(candles, path, format="ccxt-json")
    rows = json.loads(path.read_text())
    assert rows[1][0] == START + MINUTE
    assert rows[1][5] is None
    before = path.read_bytes()
    candles.values[4, 2] = np.inf
    with pytest.raises(InvalidArgument, match=r"volume at 2021-01-01T00:02Z is inf"):
        export(candles, path, format="ccxt-json")
    assert path.read_bytes() == before


@pytest.mark.parametrize("suffix", ["gz", "xz", "bz2", "zst"])
def test_text_is_compressed_by_name(tmp_path, suffix):
    for kind, name in [("csv", "x.csv"), ("ccxt-json", "x.json")]:
        path = tmp_path / f"{name}.{suffix}"
        export(CANDLES, path, format=kind)
        assert path.stat().st_size < 20_000
        same(load(path), CANDLES)
    if suffix == "gz":
        assert gzip.decompress(path.read_bytes()).startswith(b"[[")
    with pytest.raises(InvalidArgument, match="compressed by itself"):
        export(CANDLES, tmp_path / f"x.parquet.{suffix}", format="parquet")


# -- where it goes ------------------------------------------------------------------------------


def test_names_in_a_folder(tmp_path):
    def name(kind, symbol, timeframe):
        written = export(CANDLES, tmp_path, format=kind, symbol=symbol, timeframe=timeframe)
        return written.path.relative_to(tmp_path).as_posix()

    assert name("freqtrade", "BTC/USDT", "1m") == "BTC_USDT-1m.feather"
    assert name("freqtrade", "BTC/USDT:USDT", "1h") == "futures/BTC_USDT_USDT-1h-futures.feather"
    assert name("freqtrade", "BTC/USDT", "1M") == "BTC_USDT-1Mo.feather"
    assert name("csv", "../../etc/x", "5m") == "______etc_x-5m.csv"
    assert name("ccxt-json", "A B", "1d") == "A_B-1d.json"
    with pytest.raises(InvalidArgument, match="symbol and timeframe"):
        export(CANDLES, tmp_path, format="csv")


def test_paths_that_cannot_be_written(tmp_path):
    for path, part in [
        (tmp_path / "none" / "x.csv", "No such file or directory"),
        (tmp_path / "x.csv.zip", "no zip is written"),
    ]:
        with pytest.raises(InvalidArgument, match=part):
            export(CANDLES, path, format="csv")
    with pytest.raises(InvalidArgument, match="no ordinary file"):
        export(CANDLES, "/dev/null", format="csv")
    with pytest.raises(InvalidArgument, match="format is 'xls': use one of csv"):
        export(CANDLES, tmp_path / "x", format="xls")
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("kind", EXPORT_FORMATS)
def test_what_was_there_stays_when_it_fails(tmp_path, kind):
    path = tmp_path / NAMES[kind]
    export(CANDLES, path, format=kind)
    before = path.read_bytes()

    def failing():
        yield make_candles(200_000)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(failing(), path, format=kind)
    assert path.read_bytes() == before
    assert names_in(tmp_path) == [path.name]


@pytest.mark.parametrize("kind", ["csv", "parquet", "feather", "ccxt-json"])
def test_a_full_disk(tmp_path, kind):
    """The limit on the size of a file stands for a disk that is full."""
    resource, signal = pytest.importorskip("resource"), pytest.importorskip("signal")
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals need the main thread")
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    path = tmp_path / NAMES[kind]
    path.write_text("what was there")
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        with pytest.raises(OhlcacheError, match="cannot be written"):
            export(make_candles(100_000), path, format=kind)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_text() == "what was there"
    assert names_in(tmp_path) == [path.name]


def test_a_link_is_followed_and_permissions_are_ordinary(tmp_path):
    target = tmp_path / "target.csv"
    target.touch()
    link = tmp_path / "link.csv"
    link.symlink_to(target)
    export(CANDLES, link, format="csv")
    assert link.is_symlink()
    same(load(target), CANDLES)
    mask = os.umask(0)
    os.umask(mask)
    assert target.stat().st_mode & 0o777 == 0o666 & ~mask
