"""``ohlcache serve`` as a process, and ``ohlcache demo``."""

from __future__ import annotations

import json
import signal
import socket
import sys
import tempfile
import urllib.request

import pytest
from command_line import CommandLine, start

import ohlcache
from made_candles import make_block
from ohlcache.sources import SyntheticSource


@pytest.fixture
def cli(tmp_path, capsys):
    return CommandLine(tmp_path / "store", capsys)


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Where temporary folders are made."""
    made = tmp_path / "temporary"
    made.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(made))
    return made


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_serve_until_it_is_stopped(tmp_path, how):
    block = make_block(100)
    with ohlcache.open(tmp_path) as md:
        md.write("BTC/USDT", "1m", block)
    process = start("serve", "--port", 0, "--json", store=tmp_path)
    url = json.loads(process.stdout.readline())["url"]
    with urllib.request.urlopen(f"{url}/api/crypto/ohlc?symbol=BTC/USDT&timeframe=1m") as answer:
        assert len(json.load(answer)) == 100
    process.send_signal(how)
    out, err = process.communicate()
    assert (process.returncode, out, err) == (0, "", "")


def test_serve_says_where_it_is_and_what_to_try(tmp_path):
    with ohlcache.open(tmp_path) as md:
        md.write("BTC/USDT", "1m", make_block(100), venue="binance")
    process = start("serve", "--port", 0, store=tmp_path)
    assert "on http://127.0.0.1:" in process.stdout.readline()
    command, url = process.stdout.readline().split()
    assert command == "curl"
    with urllib.request.urlopen(url.strip("'")) as answer:
        assert len(json.load(answer)) == 100
    process.send_signal(signal.SIGINT)
    assert process.communicate() == ("", "")


def test_serve_where_somebody_else_listens(cli):
    with ohlcache.open(cli.store) as md:
        md.write("BTC/USDT", "1m", make_block(10))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = cli("serve", "--port", port)
    assert ended.code == 1
    assert f"host 127.0.0.1 port {port} cannot be listened on" in ended.error


def test_demo(cli, folders, capsys):
    capsys.readouterr()
    code = ohlcache.cli.main(["demo", "--no-serve"])
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    sections = [line for line in out.splitlines() if line[:1].isdigit() and line[1:3] == "  "]
    assert [section[0] for section in sections] == ["1", "2", "3", "4", "5", "6"]
    assert "Synthetic candles (made up" in out
    assert "12,154 daily candles of AAPL, FB, GOOG, IBM, MSFT" in out
    assert "All gave the same candles" in out
    assert "Ctrl-C" not in out
    assert list(folders.iterdir()) == []


def test_demo_with_an_exchange_and_a_store_of_its_own(cli, folders, monkeypatch):
    monkeypatch.setattr("ohlcache.cli.commands.demo.source_named", lambda name: SyntheticSource())
    document = cli.json("demo", "--exchange", "binance", "--days", 2)
    assert document["fetch"]["rows"] == 2880
    assert [read["rows"] for read in document["reads"]] == [2880] * 5
    assert document["request"]["status"] == 200
    assert list(document["bytes"])[-1] == "store: this series"
    symbols = {info["symbol"]: info["rows"] for info in cli.json("ls")}
    assert symbols["BTC/USDT"] == 2880
    assert symbols["AAPL"] == 3270
    assert list(folders.iterdir()) == []


@pytest.mark.parametrize("command", [["serve"], ["demo"]])
def test_without_flask(cli, folders, monkeypatch, command):
    with ohlcache.open(cli.store) as md:
        md.write("BTC/USDT", "1m", make_block(10))
    monkeypatch.setattr("ohlcache.cli.demo.data.SYNTHETIC_END", "2022-01-02")
    monkeypatch.setattr("ohlcache.cli.commands.demo._YEAR", (1_640_995_200_000, 1_641_081_600_000))
    for name in ("ohlcache.web.api", "ohlcache.web.app"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "flask", None)
    ended = cli(*command)
    assert ended.code == 1
    assert "flask is not installed: run pip install 'ohlcache[web]'" in ended.error.replace(
        "run  ", "run "
    )


def test_demo_without_the_stocks(cli, folders, monkeypatch):
    monkeypatch.setattr("ohlcache.cli.demo.data._PACKAGE", "no_such_package")
    ended = cli("demo", "--no-serve")
    assert ended.code == 1
    assert "pip install 'ohlcache[demo]'" in ended.error
    assert list(folders.iterdir()) == []
