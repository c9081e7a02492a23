"""JSON arrays of candles, as ccxt gives them and freqtrade stores them."""

import gzip
import json

import numpy as np
import pytest
from candle_files import START, load, make_candles, refused, rows_of, same

from ohlcache.candles import Block
from ohlcache.sources.files import read_candles

CANDLES = make_candles(300)


@pytest.fixture
def write(tmp_path):
    def write_json(data, name="candles.json"):
        path = tmp_path / name
        path.write_text(data if isinstance(data, str) else json.dumps(data))
        return path

    return write_json


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("separators", [None, (",", ":")])
def test_rows(write, indent, separators):
    text = json.dumps(rows_of(CANDLES), indent=indent, separators=separators)
    same(load(write(f"\n {text} \n")), CANDLES)


def test_format_by_name(write):
    assert read_candles(write(rows_of(CANDLES), "BTC_USDT-1Mo.json")).format == "freqtrade"
    futures = write(rows_of(CANDLES), "BTC_USDT_USDT-5m-futures.json")
    assert read_candles(futures).format == "freqtrade"
    assert read_candles(write(rows_of(CANDLES))).format == "ccxt-json"


def test_json_gz_of_freqtrade(tmp_path):
    path = tmp_path / "BTC_USDT-1m.json.gz"
    path.write_bytes(gzip.compress(json.dumps(rows_of(CANDLES)).encode()))
    file = read_candles(path)
    assert file.format == "freqtrade"
    same(Block.concatenate(list(file)), CANDLES)


def test_fields_may_be_null_or_text(write):
    block = load(write([[START, 1, None, 0.5, "1.25", None], [START + 60_000, 1, 2, 0.5, 1, 3]]))
    assert block.values[[0, 3], 0].tolist() == [1, 1.25]
    assert np.isnan(block.values[[1, 4], 0]).all()


def test_objects(write):
    rows = [
        {"symbol": "X", "Volume": v, "date": t, "o": o, "h": h, "l": lo, "c": c, "trades": 1}
        for t, o, h, lo, c, v in rows_of(CANDLES)
    ]
    block = load(write(rows))
    assert block.extras == ("trades",)
    same(block.with_names(CANDLES.names), CANDLES)
    refused(write([{"a": 1}]), "no column for time")
    refused(write([*rows[:9], [1], *rows]), "row 10", "expected an object")


@pytest.mark.parametrize(("convert", "zone"), [(str, None), (lambda t: t // 1000, None)])
def test_times(write, convert, zone):
    same(load(write([[convert(t), *rest] for t, *rest in rows_of(CANDLES)])), CANDLES)


def test_times_as_text(write):
    stamps = CANDLES.times.astype("M8[ms]").astype(str).tolist()
    rows = [[stamp, *row[1:]] for stamp, row in zip(stamps, rows_of(CANDLES), strict=True)]
    same(load(write(rows)), CANDLES)


def test_columns_given(write):
    rows = [[t, lo, h, o, c, v, "x"] for t, o, h, lo, c, v in rows_of(CANDLES)]
    path = write(rows)
    refused(path, "7 values", "--columns")
    same(load(path, columns="time,low,high,open,close,volume,_"), CANDLES)


def test_an_order_that_cannot_be_right_is_refused(write):
    rows = [[t, lo, h, o, c, v] for t, o, h, lo, c, v in rows_of(CANDLES)]
    refused(write(rows), "does not fit", "--columns")


def test_large_files_in_pieces(write):
    candles = make_candles(100_000)
    file = read_candles(write(rows_of(candles)))
    sizes = [len(block) for block in file]
    assert len(sizes) > 1
    assert sum(sizes) == 100_000
    same(Block.concatenate(list(file)), candles)


GOOD = [START, 1, 2, 0.5, 1, 3]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ("[]", "no candles"),
        ("[\n]", "no candles"),
        (json.dumps([GOOD] * 9)[:-1], "truncated"),
        (json.dumps([GOOD] * 9)[:-9], "truncated"),
        (json.dumps([GOOD] * 9)[:100], "truncated"),
        ("[" + json.dumps(GOOD) + "] trailing", "truncated"),
        ("[" + json.dumps(GOOD) + ",,]", "truncated"),
        ("[[1609459200000,1,2,0.5,x,3]]", "cannot be read after row 0"),
        (json.dumps([GOOD, GOOD[:-1]]), "row 2: 5 values, expected 6 (timestamp, open"),
        (json.dumps([GOOD, [*GOOD[:-1], "x"]]), "row 2: volume is 'x', expected a number or null"),
        (json.dumps([GOOD, [*GOOD[:-1], [1]]]), "row 2: volume is [1], expected a number"),
        (json.dumps([GOOD, [None, *GOOD[1:]]]), "row 2: the time is None"),
        (json.dumps([GOOD, ["x", *GOOD[1:]]]), "row 2: the time is 'x', expected epoch"),
        (json.dumps([GOOD, [START // 1000, *GOOD[1:]]]), "row 2: time 1609459200 is in another"),
        ("[1, 2, 3]", "no array of rows"),
        ('{"data": []}', "format"),
        ("[[NaN, 1, 2, 0.5, 1, 3]]", "row 1: the time is nan"),
    ],
)
def test_bad_json(write, data, problem):
    refused(write(data), problem)


def test_wrong_unit(write):
    path = write(rows_of(CANDLES))
    refused(path, "row 1", f"{START} in s", "--time-unit ms", time_unit="s")


def test_integers_that_float64_cannot_hold_are_refused(write):
    path = write([[*GOOD, 2**53 + 1]])
    refused(path, "row 1: id", "2**53", columns="t,o,h,l,c,v,id")


def test_an_object_is_no_array(write):
    refused(write('{"data": []}'), "no array of rows", format="ccxt-json")
