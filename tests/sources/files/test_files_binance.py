"""Kline archives of Binance: header, units, checksum."""

import hashlib
import zipfile

import pytest
from candle_files import START, load, make_candles, refused, rows_of

from ohlcache.sources.files import read_candles
from ohlcache.sources.files.binance import COLUMNS

CANDLES = make_candles(100)
HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
    "taker_buy_quote_volume,ignore"
)
EXTRAS = ("quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume")


def klines(scales=(1,), header=False):
    lines = [HEADER] if header else []
    for at, (time, *values) in enumerate(rows_of(CANDLES)):
        scale = scales[at * len(scales) // len(CANDLES)]
        numbers = ",".join(map(repr, values))
        lines.append(f"{time * scale},{numbers},{(time + 59_999) * scale},10.5,{at},1.5,2.5,0")
    return "\n".join(lines) + "\n"


def write_zip(folder, text, name="BTCUSDT-1m-2021-01.zip"):
    path = folder / name
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name.replace(".zip", ".csv"), text)
    return path


@pytest.mark.parametrize("header", [False, True])
@pytest.mark.parametrize("scales", [(1,), (1_000,), (1, 1_000)])
def test_archives(tmp_path, header, scales):
    file = read_candles(write_zip(tmp_path, klines(scales, header)))
    assert file.format == "binance"
    (block,) = file
    assert block.extras == EXTRAS
    assert block.with_names(CANDLES.names).identical(CANDLES)
    assert block.column("trades").tolist() == list(range(100))
    assert block.column("taker_buy_quote_volume").tolist() == [2.5] * 100


def test_unpacked_under_any_name(tmp_path):
    path = tmp_path / "renamed.csv"
    path.write_text(klines())
    assert read_candles(path).format == "binance"
    path.write_text(klines(header=True))
    assert read_candles(path).format == "binance"
    assert len(COLUMNS) == 12


def test_a_monthly_file(tmp_path):
    assert read_candles(write_zip(tmp_path, klines(), "X-1mo-2021-01.zip")).format == "binance"


def test_checksum(tmp_path):
    path = write_zip(tmp_path, klines())
    beside = tmp_path / f"{path.name}.CHECKSUM"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    beside.write_text(f"{digest}  {path.name}\n")
    assert len(load(path)) == 100
    beside.write_text(f"{'0' * 64}  {path.name}\n")
    refused(path, "SHA-256", beside.name, "000000000000…", "download the file again")
    beside.write_text("not found\n")
    refused(path, "no SHA-256")


def test_a_bad_row(tmp_path):
    lines = klines().splitlines()
    lines[49] = lines[49].replace(",10.5", ",x")
    refused(write_zip(tmp_path, "\n".join(lines)), "line 50", "expected a number")
    lines[49] = "1,2"
    refused(write_zip(tmp_path, "\n".join(lines)), "line 50", "2 columns, expected 12")


def test_another_table_is_refused(tmp_path):
    path = tmp_path / "candles.csv"
    path.write_text(f"{START},1,2,0.5,1,3\n")
    refused(path, "6 columns", "Binance", "csv", format="binance")


def test_a_time_between_milliseconds_is_refused(tmp_path):
    text = klines((1_000,)).replace(str(START * 1_000), str(START * 1_000 + 1))
    refused(write_zip(tmp_path, text), "line 1", "no whole millisecond")


def test_times_in_seconds_are_refused(tmp_path):
    text = "\n".join(
        f"{time // 1000},{','.join(map(repr, values))},{time // 1000 + 59},1,1,1,1,0"
        for time, *values in rows_of(CANDLES)
    )
    refused(write_zip(tmp_path, text), "line 1", "early 1970", "--time-unit s")
    assert load(write_zip(tmp_path, text), time_unit="s").times.tolist() == CANDLES.times.tolist()
