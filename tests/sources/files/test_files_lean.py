"""LEAN's zips: asset classes, resolutions, zones, quotes."""

import datetime as dt
import zipfile

import numpy as np
import pytest
from candle_files import load, refused

from ohlcache.errors import InvalidArgument
from ohlcache.sources.files import read_candles

MINUTES = (
    "14400000,1674100,1674100,1672500,1672700,3197\n14460000,1672500,1672600,1672500,1672600,9"
)
DAYS = "20141201 00:00,300,370,290.5,365,0.05\n20141202 00:00,377,378,377,378,15.0136\n"
QUOTES = "0,1.1,1.3,1.0,1.2,5,1.3,1.5,1.2,1.4,6\n60000,,,,,,1.3,1.5,1.2,1.4,6\n"


def write_zip(path, member, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, text)
    return path


def at(text):
    return int(dt.datetime.fromisoformat(text).timestamp() * 1000)


def test_minutes_of_a_us_equity(tmp_path):
    path = tmp_path / "equity/usa/minute/spy/20131007_trade.zip"
    block = load(write_zip(path, "20131007_spy_minute_trade.csv", MINUTES))
    assert block.times.tolist() == [at("2013-10-07T08:00Z"), at("2013-10-07T08:01Z")]
    assert block.values[:, 0].tolist() == [167.41, 167.41, 167.25, 167.27, 3197]
    assert read_candles(path).format == "lean"


def test_the_asset_class_in_the_name(tmp_path):
    path = tmp_path / "lean_equity_usa_minute_spy_20131007_trade.zip"
    block = load(write_zip(path, "20131007_spy_minute_trade.csv", MINUTES))
    assert block.column("open")[0] == 167.41
    path = tmp_path / "lean_crypto_coinbase_minute_btcusd_20131007_trade.zip"
    block = load(write_zip(path, "20131007_btcusd_minute_trade.csv", MINUTES))
    assert block.times[0] == at("2013-10-07T04:00Z")
    assert block.column("open")[0] == 1674100


def test_winter_and_summer(tmp_path):
    text = "20131001 00:00,1674100,1674100,1672500,1672700,3197\n"
    text += "20131201 00:00,1674100,1674100,1672500,1672700,3197\n"
    block = load(write_zip(tmp_path / "equity/usa/daily/spy.zip", "spy.csv", text))
    assert block.times.tolist() == [at("2013-10-01T04:00Z"), at("2013-12-01T05:00Z")]


def test_days_of_crypto(tmp_path):
    path = tmp_path / "crypto/coinbase/daily/btcusd_trade.zip"
    block = load(write_zip(path, "btcusd.csv", DAYS))
    assert block.times.tolist() == [at("2014-12-01T00:00Z"), at("2014-12-02T00:00Z")]
    assert block.values[:, 0].tolist() == [300, 370, 290.5, 365, 0.05]


def test_an_undecided_file_names_the_option(tmp_path):
    path = write_zip(tmp_path / "20131007_trade.zip", "20131007_spy_minute_trade.csv", MINUTES)
    refused(path, "--lean-market", "equity, crypto, forex")
    assert load(path, lean_market="equity").column("open")[0] == 167.41
    assert load(path, lean_market="equity").times[0] == at("2013-10-07T08:00Z")
    assert load(path, lean_market="crypto").times[0] == at("2013-10-07T04:00Z")
    with pytest.raises(InvalidArgument, match="lean_market"):
        load(path, lean_market="bonds")


def test_other_asset_classes_are_refused(tmp_path):
    path = tmp_path / "option/usa/minute/spy/20131007_trade.zip"
    refused(write_zip(path, "20131007_spy_minute_trade.csv", MINUTES), "holds option")


def test_a_zone_given_goes_first(tmp_path):
    path = tmp_path / "equity/usa/minute/spy/20131007_trade.zip"
    write_zip(path, "20131007_spy_minute_trade.csv", MINUTES)
    assert load(path, tz="UTC").times[0] == at("2013-10-07T04:00Z")


def test_markets_without_a_known_zone(tmp_path):
    path = tmp_path / "equity/mars/minute/spy/20131007_trade.zip"
    write_zip(path, "20131007_spy_minute_trade.csv", MINUTES)
    refused(path, "'mars'", "--tz")
    assert load(path, tz="Europe/Berlin").times[0] == at("2013-10-07T02:00Z")


def test_quotes_become_the_middle(tmp_path):
    path = tmp_path / "forex/oanda/minute/eurusd/20140501_quote.zip"
    block = load(write_zip(path, "20140501_eurusd_minute_quote.csv", QUOTES))
    assert block.times[0] == at("2014-05-01T00:00Z")
    assert np.allclose(block.values[:4, 0], [1.2, 1.4, 1.1, 1.3])
    assert np.isnan(block.column("volume")).all()
    assert np.isnan(block.values[:, 1]).all()


def test_ticks_and_odd_files_are_refused(tmp_path):
    folder = tmp_path / "equity/usa/tick/spy"
    path = write_zip(
        folder / "20131007_trade.zip", "20131007_spy_tick_trade.csv", "1,2,3,D,1,0,1\n"
    )
    refused(path, "7 columns", "ticks are not read")
    folder = tmp_path / "equity/usa/minute/spy"
    path = write_zip(folder / "trade.zip", "spy.csv", MINUTES)
    refused(path, "no date in the name", "YYYYMMDD_trade.zip", format="lean")
    path = write_zip(folder / "20131332_trade.zip", "20131332_spy_minute_trade.csv", MINUTES)
    refused(path, "no date in the name")
    late = MINUTES + "\n86400000,1,1,1,1,1\n"
    path = write_zip(folder / "20131007_trade.zip", "20131007_spy_minute_trade.csv", late)
    refused(path, "line 3", "86400000", "since midnight")
