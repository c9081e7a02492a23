"""``ohlcache lake``: out to a lake, a look at it, and back into another store."""

from __future__ import annotations

import pytest
from command_line import CommandLine

import ohlcache
from made_candles import MINUTE, T0, make_block
from ohlcache.candles import to_block
from ohlcache.errors import InvalidArgument
from ohlcache.sources.lake import LakeSource

BTC = ("BTC/USDT", "1m")
BLOCK = make_block(3_000)


@pytest.fixture
def cli(tmp_path, capsys):
    with ohlcache.open(tmp_path / "store") as md:
        md.write(*BTC, BLOCK, venue="binance")
        md.write("ETH/USDT", "1h", make_block(24, step=60 * MINUTE), venue="binance")
    return CommandLine(tmp_path / "store", capsys)


def test_out_and_back(cli, tmp_path, capsys):
    url = tmp_path / "lake"
    assert cli.json("lake", "export", url)["written"] == 2
    assert cli.json("lake", "export", url, *BTC)["unchanged"] == 1
    listed = cli.json("lake", "ls", url)
    assert [(one["symbol"], one["timeframe"], one["rows"]) for one in listed] == [
        (*BTC, 3_000),
        ("ETH/USDT", "1h", 24),
    ]
    other = CommandLine(tmp_path / "other", capsys)
    assert other.json("lake", "fetch", url, *BTC)["new"] == 3_000
    assert other.json("lake", "fetch", url, *BTC)["new"] == 0
    with ohlcache.open(other.store) as md:
        found = to_block(md.candles(*BTC, T0, T0 + 3_000 * MINUTE, venue="binance"))
    assert found.identical(BLOCK)


def test_a_range(cli, tmp_path):
    url = tmp_path / "lake"
    ranged = ("--start", "2020-01-01T10:00", "--end", "2020-01-01T11:00")
    assert cli.json("lake", "export", url, *BTC, *ranged)["rows"] == 60


def test_several_venues(cli, tmp_path, capsys):
    with ohlcache.open(cli.store) as md:
        md.write(*BTC, BLOCK, venue="kraken")
        md.write("SOL/USDT", "1m", BLOCK, venue="kraken")
    url = tmp_path / "lake"
    cli("lake", "export", url)
    assert [(one["venue"], one["symbol"]) for one in cli.json("lake", "ls", url)] == [
        ("binance", "BTC/USDT"),
        ("binance", "ETH/USDT"),
        ("kraken", "BTC/USDT"),
        ("kraken", "SOL/USDT"),
    ]
    assert len(cli.json("lake", "ls", url, "--venue", "kraken")) == 2
    other = CommandLine(tmp_path / "other", capsys)
    assert other.json("lake", "fetch", url, "SOL/USDT", "1m")["venue"] == "kraken"
    assert other.json("lake", "fetch", url, *BTC, "--venue", "kraken")["venue"] == "kraken"
    refused = other("lake", "fetch", url, *BTC)
    assert (refused.code, refused.out) == (1, "")
    assert "BTC/USDT of several: name one of binance, kraken" in refused.error
    unknown = other("lake", "fetch", url, "NO", "1m")
    assert (unknown.code, unknown.out) == (1, "")
    assert "symbol 'NO' of binance or kraken is not in" in unknown.error


def test_a_lake_that_was_damaged_says_that_it_was_repaired(cli, tmp_path):
    url = tmp_path / "lake"
    cli("lake", "export", url)
    next(url.rglob("*.parquet")).unlink()
    assert "1 repaired" in cli("lake", "export", url).out


@pytest.mark.parametrize("url", ["", " ", None])
def test_a_lake_without_a_url_is_refused_before_anything_is_made(cli, tmp_path, monkeypatch, url):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    with ohlcache.open(cli.store) as md, pytest.raises(InvalidArgument, match="^url is "):
        md.export_lake(url, *BTC)
    with pytest.raises(InvalidArgument, match="^url is "):
        LakeSource(url)
    assert list(here.iterdir()) == []


def test_what_people_read(cli, tmp_path):
    url = tmp_path / "lake"
    assert "2 series: 2 parts written with 3,024 candles" in cli("lake", "export", url).out
    assert "BTC/USDT" in cli("lake", "ls", url).out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("export", "LAKE", "BTC/USDT"), 2, "no timeframe"),
        (("export", "LAKE", "XRP", "1m"), 1, "XRP"),
        (("ls", "LAKE"), 1, "there is nothing"),
        (("ls", "s3://lake/x", "--option", "region"), 1, "NAME=VALUE"),
        (("fetch", "nowhere://x", "X", "1m"), 1, "nowhere"),
        (("ls", "ftp://bot:ab/c@h/x"), 1, "cannot be used (its password has to be percent-enc"),
        (("ls", ""), 1, "url is ''"),
    ],
)
def test_wrong_use(cli, tmp_path, arguments, code, said):
    given = [str(tmp_path / "lake") if one == "LAKE" else one for one in arguments]
    ended = cli("lake", *given)
    assert ended.code == code
    assert said in ended.error
