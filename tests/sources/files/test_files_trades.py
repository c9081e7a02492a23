"""Files of single trades."""

import gzip
import json
import zipfile

import numpy as np
import pandas as pd
import pytest
from candle_files import START, load_trades, refused

from ohlcache.errors import FileFormatError
from ohlcache.sources.files import detect_format, read_trades

TIMES = [START, START + 5, START + 5]
PRICES, AMOUNTS = [1.5, 1.25, 2.0], [10.0, 0.1, 3.0]
ROWS = [
    [time, str(at), None, "sell", price, amount, price * amount]
    for at, (time, price, amount) in enumerate(zip(TIMES, PRICES, AMOUNTS, strict=True))
]


def check(trades):
    assert trades.times.tolist() == TIMES
    assert trades.prices.tolist() == PRICES
    assert trades.amounts.tolist() == AMOUNTS


def write(path, text):
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_json_of_freqtrade(tmp_path):
    text = json.dumps(ROWS)
    check(load_trades(write(tmp_path / "BTC_USDT-trades.json", text)))
    path = write(tmp_path / "x.json.gz", gzip.compress(text.encode()))
    assert detect_format(path) == "trades"
    check(load_trades(path))
    refused(path, "single trades, not candles", "format trades")


def test_json_objects(tmp_path):
    rows = [{"timestamp": t, "price": p, "amount": a, "side": "buy"} for t, *_, p, a, _ in ROWS]
    path = write(tmp_path / "x.json", json.dumps(rows))
    assert detect_format(path) == "trades"
    check(load_trades(path))


@pytest.mark.parametrize("suffix", ["feather", "parquet"])
def test_columns_of_freqtrade(tmp_path, suffix):
    names = ["timestamp", "id", "type", "side", "price", "amount", "cost"]
    frame = pd.DataFrame(ROWS, columns=names)
    path = tmp_path / f"BTC_USDT-trades.{suffix}"
    getattr(frame, f"to_{suffix}")(path)
    assert detect_format(path) == "trades"
    check(load_trades(path))


@pytest.mark.parametrize("name", ["amount", "qty", "Quantity", "size", "volume"])
def test_csv_with_header(tmp_path, name):
    rows = "".join(f"{p},BTC,{a},{t * 1000 + 7}\n" for t, *_, p, a, _ in ROWS)
    path = write(tmp_path / "x.csv", f"Price,symbol,{name},time\n{rows}")
    assert detect_format(path) == "trades"
    check(load_trades(path))  # 7 µs are cut off


def test_csv_with_columns_given(tmp_path):
    path = write(tmp_path / "x.csv", "".join(f"{t},{a},{p}\n" for t, *_, p, a, _ in ROWS))
    check(load_trades(path, columns="timestamp,amount,price"))
    with pytest.raises(FileFormatError, match="3 columns of the trades have no names"):
        load_trades(path)


@pytest.mark.parametrize("scale", [1, 1_000])
@pytest.mark.parametrize("last", [",True,True", ",true"])
@pytest.mark.parametrize("kind", ["trades", "aggTrades"])
@pytest.mark.parametrize("header", [False, True])
def test_archives_of_binance(tmp_path, scale, last, kind, header):
    between = "1.0" if kind == "trades" else "1,2"
    rows = [f"{i},{p},{a},{between},{t * scale}{last}" for t, i, _, _, p, a, _ in ROWS]
    if header:
        heads = "quote_qty,time" if kind == "trades" else "first_id,last_id,transact_time"
        rows.insert(
            0,
            f"id,price,{'qty' if kind == 'trades' else 'quantity'},{heads},"
            + ("is_buyer_maker,best" if "True" in last else "is_buyer_maker"),
        )
    path = tmp_path / f"BTCUSDT-{kind}-2021-01-01.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(path.name.replace(".zip", ".csv"), "\n".join(rows))
    assert detect_format(path) == "trades"
    check(load_trades(path))


def test_progress_and_emptiness(tmp_path):
    path = write(tmp_path / "x.json", json.dumps(ROWS))
    file = read_trades(path)
    assert (file.format, file.path, file.fraction) == ("trades", path, 0)
    assert len(list(file)) == 1
    assert file.fraction == 1
    assert "TradeFile" in repr(file)
    with pytest.raises(FileFormatError, match="no trades"):
        load_trades(write(tmp_path / "y.json", "[]"))


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([ROWS[0], ROWS[1][:-1]], "row 2: 6 values, expected 7"),
        ([ROWS[0], [*ROWS[1][:4], "x", 1, 1]], "row 2: price is 'x'"),
        ([[None, *ROWS[1][1:]]], "row 1: the time is None"),
    ],
)
def test_bad_rows(tmp_path, rows, problem):
    with pytest.raises(FileFormatError, match=problem):
        load_trades(write(tmp_path / "x-trades.json", json.dumps(rows)))


def test_a_bad_line(tmp_path):
    path = write(tmp_path / "x.csv", f"time,price,qty\n{START},1,1\n{START},1\n")
    with pytest.raises(
        FileFormatError, match=r"line 3: 2 columns, expected 3 \(time, price, qty\)"
    ):
        load_trades(path)


def test_missing_values_are_nan(tmp_path):
    path = write(tmp_path / "x.csv", f"time,price,qty\n{START},1,\n")
    assert np.isnan(load_trades(path).amounts).all()


def test_a_table_of_candles_is_no_trades(tmp_path):
    path = write(tmp_path / "x.csv", f"time,open,high,low,close\n{START},1,2,0.5,1\n")
    with pytest.raises(FileFormatError, match="no column for price, amount"):
        load_trades(path)
