"""``ohlcache snapshot``, ``snapshots``, ``revisions``, and ``--as-of``."""

from __future__ import annotations

import pytest
from command_line import CommandLine

import ohlcache
from made_candles import MINUTE, T0, make_block
from ohlcache.candles import to_frame

BTC = ("BTC/USDT", "1m")


@pytest.fixture
def cli(tmp_path, capsys):
    """A store of which a snapshot was taken before two of its candles were changed."""
    line = CommandLine(tmp_path / "store", capsys)
    with ohlcache.open(line.store) as md:
        md.write(*BTC, make_block(100))
        md.snapshot("backtest-42")
        md.write(*BTC, make_block(2, start=T0 + 98 * MINUTE, seed=1))
    return line


def test_a_snapshot_is_taken_listed_and_forgotten(cli):
    assert cli("snapshot", "another").out == "snapshot another taken of 1 series\n"
    listed = cli("snapshots").out
    assert "backtest-42" in listed
    assert "another" in listed
    assert [one["name"] for one in cli.json("snapshots")] == ["backtest-42", "another"]
    assert cli("snapshot", "another", "--delete").code == 0
    assert [one["series"] for one in cli.json("snapshots")] == [1]
    assert "exists already" in cli("snapshot", "backtest-42").error


def test_show_and_export_read_what_was_known(cli, tmp_path):
    before = to_frame(make_block(100), "ccxt")
    shown = cli.json("show", *BTC, "--as-of", "backtest-42", "--limit", "3")
    assert shown["candles"] == before[-3:]
    assert cli.json("show", *BTC, "--limit", "3")["candles"] != before[-3:]
    cli.json("export", *BTC, "--as-of", "backtest-42", "-o", tmp_path / "then.json")
    cli.json("import", tmp_path / "then.json", "--symbol", "THEN", "--timeframe", "1m")
    assert cli.json("show", "THEN", "1m", "--limit", "100")["candles"] == before
    assert (
        "does not exist (there are backtest-42)" in cli("show", *BTC, "--as-of", "backtest").error
    )


def test_revisions_are_listed_with_what_changed(cli):
    found = cli.json("revisions", *BTC)
    assert [one["timestamp"] for one in found] == [T0 + 98 * MINUTE, T0 + 99 * MINUTE]
    assert found[0]["before"]["close"] == make_block(100).column("close")[98]
    text = cli("revisions", *BTC, "--limit", "1").out
    assert f"close {found[1]['before']['close']} to {found[1]['after']['close']}" in text
    assert "2 changes" in text
    cli("delete", *BTC, "--end", "2020-01-01T00:01", "--yes")
    assert "removed" in cli("revisions", *BTC).out
    assert cli("revisions", *BTC, "--start", "2030-01-01").out == "nothing was changed\n"
