"""``ohlcache show``, ``ls``, ``info``, ``gaps`` and ``verify``."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import numpy as np
import pytest
from command_line import CommandLine

import ohlcache
from made_candles import MINUTE, T0, make_block
from ohlcache.candles import Block

BTC = ("BTC/USDT", "1m")


@pytest.fixture
def cli(tmp_path, capsys):
    return CommandLine(tmp_path / "store", capsys)


def write(cli, block, symbol="BTC/USDT", timeframe="1m", **options):
    with ohlcache.open(cli.store) as md:
        md.write(symbol, timeframe, block, **options)


def times(document):
    return [row[0] for row in document["candles"]]


# -- show ---------------------------------------------------------------------------------------


def test_show_gives_the_last_twenty(cli):
    block = make_block(100)
    write(cli, block)
    document = cli.json("show", *BTC)
    assert times(document) == block.times[-20:].tolist()
    assert [row[1:] for row in document["candles"]] == block.values[:, -20:].T.tolist()
    assert document["next_start"] is None


@pytest.mark.parametrize(
    ("options", "rows", "next_row"),
    [
        (("--limit", 3), slice(97, 100), None),
        (("--limit", 1000), slice(0, 100), None),
        (("--start", T0 + 10 * MINUTE, "--limit", 3), slice(10, 13), 13),
        (("--start", T0 + 97 * MINUTE, "--limit", 3), slice(97, 100), None),
        (("--end", T0 + 10 * MINUTE, "--limit", 3), slice(7, 10), None),
        (("--start", "2020-01-01T00:05", "--end", "2020-01-01T00:07"), slice(5, 7), None),
        (("--start", "2020-01-01T00:05", "--end", "2020-01-01T00:07:01"), slice(5, 8), None),
        (("--end", "2030", "--limit", 2), slice(98, 100), None),
    ],
)
def test_show_a_range(cli, options, rows, next_row):
    block = make_block(100)
    write(cli, block)
    document = cli.json("show", *BTC, *options)
    assert times(document) == block.times[rows].tolist()
    expected = None if next_row is None else int(block.times[next_row])
    assert document["next_start"] == expected


def test_show_reaches_back_over_long_holes(cli):
    old, new = make_block(10), make_block(10, start=T0 + 400 * 1440 * MINUTE)
    write(cli, Block.concatenate([old, new]))
    assert times(cli.json("show", *BTC, "--limit", 15)) == [
        *old.times[-5:].tolist(),
        *new.times.tolist(),
    ]
    document = cli.json("show", *BTC, "--start", T0, "--limit", 12)
    assert times(document) == [*old.times.tolist(), *new.times[:2].tolist()]
    assert document["next_start"] == new.times[2]


def test_show_makes_a_timeframe_that_is_not_stored(cli):
    block = make_block(600)
    write(cli, block)
    document = cli.json("show", "BTC/USDT", "1h", "--limit", 2)
    assert [row[1:3] for row in document["candles"]] == [
        [block.values[0, first], block.values[1, first : first + 60].max()] for first in (480, 540)
    ]
    assert document["timeframe"] == "1h"
    assert cli.json("show", "BTC/USDT", "60m")["timeframe"] == "1h"


def test_show_as_a_table_with_a_chart(cli):
    values = [[10, 11.25, 9.5, 11, 1000], [11, 11, 8, 8.5, 0.125]]
    write(cli, Block(np.array([T0, T0 + MINUTE]), np.array(values, np.float64).T.copy()))
    ended = cli("show", *BTC)
    assert (ended.code, ended.err) == (0, "")
    heading, first, second, *chart = ended.out.splitlines()
    assert heading.split() == ["time", "(UTC)", "open", "high", "low", "close", "volume"]
    assert first.split() == ["2020-01-01", "00:00", "10", "11.25", "9.5", "11.0", "1,000.000"]
    assert second.split() == ["2020-01-01", "00:01", "11", "11.00", "8.0", "8.5", "0.125"]
    assert chart[0].startswith("11.25 ┤")
    assert "\x1b" not in ended.out


def test_show_colours_what_rose_green_and_what_fell_red(cli, monkeypatch):
    values = [[10, 11, 9, 11, 1], [11, 11, 8, 8, 1]]
    write(cli, Block(np.array([T0, T0 + MINUTE]), np.array(values, np.float64).T.copy()))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    _, first, second, *_ = cli("show", *BTC).out.splitlines()
    assert first.startswith("\x1b[32m2020-01-01 00:00")
    assert second.startswith("\x1b[31m2020-01-01 00:01")


def test_show_says_that_more_follows(cli):
    write(cli, make_block(100))
    ended = cli("show", *BTC, "--start", T0, "--limit", 5)
    assert "more follow from 2020-01-01 00:05 on" in ended.out


def test_show_where_there_is_nothing(cli):
    write(cli, Block.concatenate([make_block(10), make_block(10, start=T0 + 60 * MINUTE)]))
    ended = cli("show", *BTC, "--start", T0 + 20 * MINUTE, "--end", T0 + 30 * MINUTE)
    assert (ended.code, ended.out) == (0, "no candles of BTC/USDT 1m in this range\n")


def test_show_what_is_not_a_number_as_null(cli):
    block = make_block(2)
    block.values[4, 0] = np.nan
    write(cli, block)
    assert cli.json("show", *BTC)["candles"][0][5] is None


def test_several_venues_have_to_be_told_apart(cli):
    write(cli, make_block(10), venue="kraken")
    write(cli, make_block(20), venue="binance")
    ended = cli("show", *BTC)
    assert ended.code == 1
    assert "name one of binance, kraken" in ended.error
    assert len(cli.json("show", *BTC, "--venue", "kraken")["candles"]) == 10


# -- ls and info --------------------------------------------------------------------------------


def test_ls_of_nothing(cli):
    assert cli.json("ls") == []
    ended = cli("ls")
    assert ended.code == 0
    assert "nothing is stored in" in ended.out
    assert not cli.store.exists()


def test_ls(cli):
    write(cli, make_block(1_500))
    write(cli, make_block(10), symbol="[bold]ETH:BTC/usd :smile:", venue="kraken")
    first, second = cli.json("ls")
    assert (first["venue"], first["symbol"], first["timeframe"]) == ("kraken", *second_symbol())
    assert (second["rows"], second["start"], second["end"]) == (1_500, T0, T0 + 1_500 * MINUTE)
    out = cli("ls").out
    assert "[bold]ETH:BTC/usd :smile:" in out  # printed as it is
    assert "1,510 candles of 2 series" in out


def test_ls_long_shows_what_is_known_of_the_symbols(cli):
    write(cli, make_block(10))
    with ohlcache.open(cli.store) as md:
        md.set_metadata("BTC/USDT", {"listed": "2017-08-17", "tick_size": 0.01, "mine": "secret"})
    assert "2017-08-17" not in cli("ls").out
    assert "metadata" not in cli.json("ls")[0]
    out = cli("ls", "--long").out
    assert "tick size" in out
    assert "2017-08-17" in out
    assert "delisted" not in out  # not known of any
    assert cli.json("ls", "--long")[0]["metadata"]["mine"] == "secret"
    info = cli("info", *BTC).out
    assert "listed" in info
    assert '{"mine": "secret"}' in info


def second_symbol():
    return "[bold]ETH:BTC/usd :smile:", "1m"


def test_info(cli):
    block = make_block(100).take(np.arange(100) != 50)
    write(cli, block)
    with ohlcache.open(cli.store) as md:
        md.set_metadata("BTC/USDT", {"tick": 0.01})
    document = cli.json("info", *BTC)
    assert document["rows"] == 99
    assert document["coverage"] == [[T0, T0 + 100 * MINUTE]]
    assert document["absent"] == {"empty": 1}
    assert document["metadata"] == {"tick": 0.01}
    out = cli("info", *BTC).out
    assert "1 empty" in out
    assert '{"tick": 0.01}' in out
    assert "days begin" not in out


def test_info_tells_where_days_begin(cli):
    days = np.arange("2020-01-06", "2020-03-28", dtype="M8[D]").astype("M8[ms]").astype(np.int64)
    block = Block(days + 22 * 3_600_000, make_block(len(days)).values)
    block = block.take(block.times < 1_583_000_000_000)
    write(cli, block, timeframe="1d")
    assert "days begin  UTC-02:00" in cli("info", "BTC/USDT", "1d").out


# -- gaps ---------------------------------------------------------------------------------------


def test_gaps(cli):
    rows = np.arange(600)
    write(cli, make_block(600).take((rows % 100 != 7) & (rows % 100 != 8)))
    found = cli.json("gaps", *BTC)
    assert found[0] == {
        "start": T0 + 7 * MINUTE,
        "end": T0 + 9 * MINUTE,
        "kind": "empty",
        "candles": 2,
    }
    assert len(found) == 6
    out = cli("gaps", *BTC, "--limit", 2).out
    assert "2020-01-01 00:07   2020-01-01 00:09         2   empty" in out
    assert "and 4 more" in out
    assert "empty: 12 candles in 6 gaps" in out
    assert len(cli.json("gaps", *BTC, "--start", T0 + 200 * MINUTE)) == 4


def test_gaps_of_what_was_never_fetched(cli):
    write(cli, make_block(10))
    write(cli, make_block(10, start=T0 + 20 * MINUTE))
    (gap,) = cli.json("gaps", *BTC)
    assert (gap["kind"], gap["candles"]) == ("never_fetched", 10)
    assert "never fetched: 10 candles in 1 gap" in cli("gaps", *BTC).out


def test_gaps_with_a_session(cli):
    friday = 1_578_067_200_000  # 2020-01-03 16:00 UTC
    hours = [0, 1, 2, 3, 4, 5, 54, 55, 57]  # up to 17:00 in New York, and from Sunday on
    block = make_block(len(hours))
    write(cli, Block(friday + np.array(hours) * 60 * MINUTE, block.values), timeframe="1h")
    kinds = [
        (gap["kind"], gap["candles"])
        for gap in cli.json("gaps", "BTC/USDT", "1h", "--session", "fx")
    ]
    assert kinds == [("closed", 48), ("empty", 1)]
    assert len(cli.json("gaps", "BTC/USDT", "1h")) == 2


def test_no_gaps(cli):
    write(cli, make_block(10))
    assert cli.json("gaps", *BTC) == []
    assert cli("gaps", *BTC).out == "no candle is absent\n"


# -- verify -------------------------------------------------------------------------------------


def test_verify_what_is_well(cli):
    block = make_block(1_000)
    block.values[3, 10] = block.values[1, 10] + 1  # a close above the high
    write(cli, block)
    document = cli.json("verify")
    assert (document["ok"], document["rows"], document["problems"]) == (True, 1_000, [])
    assert document["flagged"] == {"local BTC/USDT 1m": {"open_or_close_outside_range": 1}}
    out = cli("verify").out
    assert "flagged, but stored: 1 open_or_close_outside_range" in out
    assert out.endswith("1,000 candles in 1 chunk of 1 series: all is well\n")


def test_verify_what_is_damaged(cli):
    write(cli, make_block(1_000))
    damage(cli)
    ended = cli("verify")
    assert ended.code == 1
    assert ended.err == ""
    assert "local BTC/USDT 1m: chunk of 2020-01-01T00:00Z" in ended.out
    assert "1 problem found" in ended.out
    ended = cli("verify", "--json")
    assert (ended.code, ended.document["ok"]) == (1, False)
    (problem,) = ended.document["problems"]
    assert problem["range"] == [T0, T0 + 1_000 * MINUTE]
    ended = cli("show", *BTC)
    assert ended.code == 1
    assert "BTC/USDT" in ended.error


def damage(cli):
    """Alter one byte in the middle of each chunk."""
    with closing(sqlite3.connect(cli.store / "ohlcache.sqlite")) as connection:
        chunks = connection.execute("SELECT rowid, data FROM chunk").fetchall()
        for rowid, data in chunks:
            altered = bytearray(data)
            altered[len(altered) // 2] ^= 0xFF
            connection.execute("UPDATE chunk SET data = ? WHERE rowid = ?", (altered, rowid))
        connection.commit()
