"""``ohlcache fetch``, ``repair``, ``resample``, ``export`` and ``delete``."""

from __future__ import annotations

import io
import os
import signal
import sqlite3
import sys
import threading
from contextlib import closing

import numpy as np
import pytest
from command_line import CommandLine

import ohlcache
from made_candles import MINUTE, T0, make_block
from ohlcache.candles import Block, to_block
from ohlcache.sources import CallableSource, Capabilities, SyntheticSource

BTC = ("BTC/USDT", "1m")
SYNTHETIC = (*BTC, "--exchange", "synthetic")
HOUR = 60 * MINUTE


@pytest.fixture
def cli(tmp_path, capsys):
    return CommandLine(tmp_path / "store", capsys)


def stored(cli, symbol="BTC/USDT", timeframe="1m", **options):
    with ohlcache.open(cli.store) as md:
        return to_block(md.candles(symbol, timeframe, as_="numpy", **options))


def write(cli, block, symbol="BTC/USDT", timeframe="1m", **options):
    with ohlcache.open(cli.store) as md:
        md.write(symbol, timeframe, block, **options)


# -- fetch --------------------------------------------------------------------------------------


def test_fetch_only_what_is_missing(cli):
    day = ("--start", "2024-01-01", "--end", "2024-01-02")
    first = cli.json("fetch", *SYNTHETIC, *day)
    assert (first["new"], first["venue"], first["series"]["rows"]) == (1440, "synthetic", 1440)
    again = cli.json("fetch", *SYNTHETIC, *day)
    assert (again["new"], again["requests"]) == (0, 0)
    wider = cli.json("fetch", *SYNTHETIC, "--start", "2023-12-31", "--end", "2024-01-03")
    assert (wider["new"], wider["requests"]) == (2880, 2)
    assert len(stored(cli)) == 3 * 1440


def test_fetch_goes_on_where_the_history_ends(cli):
    cli.json("fetch", *SYNTHETIC, "--start", "2024-01-01", "--end", "2024-01-02")
    more = cli.json("fetch", *SYNTHETIC, "--end", "2024-01-02T06:00")
    assert more["new"] == 360
    assert more["series"]["end"] == 1_704_175_200_000


def test_fetch_says_what_it_did(cli):
    ended = cli("fetch", *SYNTHETIC, "--start", "2024-01-01", "--end", "2024-01-02")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        "1,440 new candles from synthetic in 1 request",
        "synthetic BTC/USDT 1m now holds 1,440 candles, 2024-01-01 00:00 to 2024-01-02 00:00 UTC",
    ]


def paged_source(fetch):
    """A source whose venue is "paged", an hour at a time, one request after the other."""
    return CallableSource(fetch, venue="paged", capabilities=Capabilities(page_size=60))


def use_source(monkeypatch, source):
    monkeypatch.setattr("ohlcache.cli.commands.fetch.source_named", lambda name: source)
    return ("fetch", *BTC, "--exchange", "paged", "--start", T0, "--end", T0 + 24 * HOUR)


def test_a_fetch_that_fails_keeps_what_arrived_and_goes_on_later(cli, monkeypatch):
    block = make_block(1440)
    asked = []
    broken = True

    def fetch(symbol, timeframe, start, end):
        asked.append(start)
        if broken and len(asked) > 3:
            raise LookupError("the exchange changed its answer")
        return block.between(start, end)

    arguments = use_source(monkeypatch, paged_source(fetch))
    ended = cli(*arguments)
    assert ended.code == 1
    assert "the exchange changed its answer" in ended.error
    assert ended.error.endswith("180 candles before that are stored")
    assert stored(cli).identical(block.slice(0, 180))
    broken = False
    asked.clear()
    use_source(monkeypatch, paged_source(fetch))
    assert cli.json(*arguments)["new"] == 1440 - 180
    assert min(asked) == T0 + 180 * MINUTE
    assert stored(cli).identical(block)


def test_ctrl_c_keeps_what_arrived_and_goes_on_later(cli, monkeypatch):
    block = make_block(1440)
    interrupted = threading.Event()
    asked = []

    def on_interrupt(number, frame):
        interrupted.set()
        raise KeyboardInterrupt

    def fetch(symbol, timeframe, start, end):
        asked.append(start)
        if len(asked) == 3:
            os.kill(os.getpid(), signal.SIGINT)
            assert interrupted.wait(60)
        if len(asked) > 3:
            raise LookupError("nothing more arrives")
        return block.between(start, end)

    arguments = use_source(monkeypatch, paged_source(fetch))
    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        ended = cli(*arguments)
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended.code == 130
    assert ended.out == ""
    assert "interrupted" in ended.error
    assert "run the same command again" in ended.error
    kept = stored(cli)
    assert len(kept) in (120, 180)  # the third page may have arrived
    assert kept.identical(block.slice(0, len(kept)))
    assert cli("verify").code == 0
    use_source(monkeypatch, paged_source(lambda s, t, start, end: block.between(start, end)))
    assert cli.json(*arguments)["new"] == 1440 - len(kept)
    assert stored(cli).identical(block)


# -- repair -------------------------------------------------------------------------------------


def test_repair_fetches_damaged_parts_again(cli):
    cli.json("fetch", *SYNTHETIC, "--start", "2024-01-01", "--end", "2024-01-02")
    before = stored(cli)
    with closing(sqlite3.connect(cli.store / "ohlcache.sqlite")) as connection:
        connection.execute("UPDATE chunk SET data = substr(data, 1, 100)")
        connection.commit()
    ended = cli("repair")
    assert ended.code == 1
    assert "name the exchange with --exchange" in ended.out
    ended = cli("repair", "--json")
    assert (ended.code, ended.document["ok"], ended.document["refetched"]) == (1, False, [])
    document = cli.json("repair", "--exchange", "synthetic")
    assert document["ok"]
    assert len(document["refetched"]) == 1
    assert stored(cli).identical(before)
    assert cli("repair").out == "all is well\n"


def test_repair_says_which_earlier_values_are_lost(cli):
    block = make_block(100)
    write(cli, block)
    write(cli, make_block(10, start=T0 + 50 * MINUTE, seed=1))
    with closing(sqlite3.connect(cli.store / "ohlcache.sqlite")) as connection:
        connection.execute("UPDATE past_rows SET data = substr(data, 1, 100) WHERE rows > 0")
        connection.commit()
    assert "repair marks them as lost" in cli("verify").out
    ended = cli("repair")
    assert ended.code == 0
    assert "2020-01-01 00:50 to" in ended.out
    assert "was damaged and is lost" in ended.out
    assert cli.json("repair")["lost"] == []
    assert "what it was is lost" in cli("revisions", *BTC).out
    found = cli.json("revisions", *BTC)
    assert [one["before"] for one in found] == [{}] * 10


# -- resample -----------------------------------------------------------------------------------


def test_resample_stores_complete_candles(cli):
    block = make_block(300, start=T0 + 30 * MINUTE)  # half of the first and of the last hour
    write(cli, block)
    expected = stored(cli, timeframe="1h")
    document = cli.json("resample", *BTC, "--to", "1h")
    assert (document["timeframe"], document["added"]) == ("1h", 4)
    assert document["incomplete"] == [T0, T0 + 5 * HOUR]
    with ohlcache.open(cli.store) as md:
        assert md.info("BTC/USDT", "1h").rows == 4
        assert md.coverage("BTC/USDT", "1h") == [(T0 + HOUR, T0 + 5 * HOUR)]
    assert stored(cli, timeframe="1h").identical(expected)
    again = cli.json("resample", *BTC, "--to", "1h")
    assert (again["added"], again["unchanged"]) == (0, 4)


def test_resample_does_not_cover_what_the_base_does_not(cli):
    write(cli, make_block(180))
    write(cli, make_block(180, start=T0 + 10 * HOUR + 30 * MINUTE))
    cli.json("resample", *BTC, "--to", "1h")
    with ohlcache.open(cli.store) as md:
        assert md.coverage("BTC/USDT", "1h") == [
            (T0, T0 + 3 * HOUR),
            (T0 + 11 * HOUR, T0 + 13 * HOUR),
        ]


def test_resample_of_days_that_follow_a_session(cli):
    days = np.arange("2020-06-01", "2020-09-01", dtype="M8[D]").astype("M8[ms]").astype(np.int64)
    block = Block(days - 3 * HOUR, make_block(len(days)).values)  # 17:00 in New York, in summer
    write(cli, block, timeframe="1d")
    cli.json("resample", "BTC/USDT", "1d", "--to", "1w")
    weeks = stored(cli, timeframe="1w")
    assert len(weeks) == 13
    assert weeks.times[0] == days[0] - 3 * HOUR  # Monday, June 1st, less three hours
    assert weeks.column("volume")[0] == pytest.approx(block.values[4, :7].sum())


def test_resample_marks_incomplete_candles_in_what_it_says(cli):
    write(cli, make_block(90))
    ended = cli("resample", *BTC, "--to", "1h", "--incomplete", "mark")
    assert ended.code == 0
    assert ended.out.splitlines() == [
        "BTC/USDT 1h of 90 1m candles: 1 added, 0 updated, 0 unchanged",
        "1 incomplete candle left out",
        "  2020-01-01 01:00 is incomplete",
    ]


@pytest.mark.parametrize(
    ("incomplete", "header", "last"),
    [
        ("drop", "timestamp,open,high,low,close,volume", T0),
        ("keep", "timestamp,open,high,low,close,volume", T0 + HOUR),
        ("mark", "timestamp,open,high,low,close,volume,complete", T0 + HOUR),
    ],
)
def test_resample_to_a_file(cli, tmp_path, incomplete, header, last):
    write(cli, make_block(90))
    path = tmp_path / "hours.csv"
    cli.json("resample", *BTC, "--to", "1h", "--incomplete", incomplete, "-o", path)
    lines = path.read_text().splitlines()
    assert lines[0] == header
    assert int(lines[-1].split(",")[0]) == last
    if incomplete == "mark":
        assert [line.rsplit(",", 1)[1] for line in lines[1:]] == ["1", "0"]
    with ohlcache.open(cli.store) as md:
        assert [info.timeframe for info in md.series()] == ["1m"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--incomplete", "keep"), "incomplete candles are never stored"),
        (("--format", "csv"), "give -o FILE too"),
        (("-o", "x.txt"), "x.txt does not tell the format"),
        (("-o", "x.json", "--incomplete", "mark"), "no place for a mark"),
    ],
)
def test_resample_used_wrongly(cli, options, message):
    write(cli, make_block(90))
    ended = cli("resample", *BTC, "--to", "1h", *options)
    assert ended.code == 2
    assert message in ended.error


def test_resample_to_what_the_base_does_not_divide(cli):
    write(cli, make_block(90), timeframe="1m")
    cli.json("resample", *BTC, "--to", "5m")
    ended = cli("resample", "BTC/USDT", "5m", "--to", "7m")
    assert ended.code == 1
    assert "7m candles (UTC) cannot be made of 5m ones" in ended.error
    ended = cli("resample", *BTC, "--to", "1d")
    assert ended.code == 1
    assert "no complete 1d candle" in ended.error


# -- export -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("csv", "x.csv"),
        ("csv", "x.csv.gz"),
        ("parquet", "x.parquet"),
        ("feather", "x.feather"),
        ("freqtrade", "X-1m.feather"),
        ("freqtrade", "X-1m.json"),
        ("backtesting", "x.csv"),
        ("ccxt-json", "x.json.zst"),
    ],
)
def test_what_is_exported_can_be_imported(cli, tmp_path, kind, name):
    block = make_block(3_000).take(np.arange(3_000) % 17 != 3)
    write(cli, block)
    path = tmp_path / name
    document = cli.json("export", *BTC, "--format", kind, "-o", path)
    assert document["rows"] == len(block)
    assert document["bytes"] == path.stat().st_size
    cli.json("import", path, "--symbol", "AGAIN", "--timeframe", "1m")
    assert stored(cli, "AGAIN").identical(block)


def test_export_of_a_range_and_of_a_timeframe_that_is_not_stored(cli, tmp_path):
    write(cli, make_block(1440))
    path = tmp_path / "x.parquet"
    range_ = ("--start", T0 + 3 * HOUR, "--end", T0 + 5 * HOUR)
    assert cli.json("export", "BTC/USDT", "1h", "-o", path, *range_)["rows"] == 2
    cli.json("import", path, "--symbol", "AGAIN", "--timeframe", "1h")
    expected = stored(cli, timeframe="1h", start=T0 + 3 * HOUR, end=T0 + 5 * HOUR)
    assert stored(cli, "AGAIN", "1h").identical(expected)


def test_export_into_a_folder(cli, tmp_path):
    write(cli, make_block(60))
    document = cli.json("export", *BTC, "--format", "freqtrade", "-o", tmp_path)
    assert document["path"] == str(tmp_path / "BTC_USDT-1m.feather")


def test_export_says_what_the_format_does_not_hold(cli, tmp_path):
    block = make_block(60)
    extra = Block(block.times, np.vstack([block.values, block.values[4]]), (*block.names, "trades"))
    write(cli, extra)
    ended = cli("export", *BTC, "--format", "freqtrade", "-o", tmp_path / "x.feather")
    assert "freqtrade has no place for: trades" in ended.out


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ((), 2, "give -o FILE"),
        (("-o", "x.xls"), 2, "x.xls does not tell the format"),
        (("-o", "nowhere/x.csv"), 1, "nowhere/x.csv"),
        (("-o", "x.csv", "--start", "2021"), 1, "nothing of BTC/USDT is stored in this range"),
        (("-o", "x.csv", "--start", "2021", "--end", "2020"), 1, "is not before end"),
    ],
)
def test_export_used_wrongly(cli, tmp_path, monkeypatch, options, code, message):
    monkeypatch.chdir(tmp_path)
    write(cli, make_block(60))
    ended = cli("export", *BTC, *options)
    assert ended.code == code
    assert message in ended.error
    assert {path.name for path in tmp_path.iterdir()} == {"store"}


def test_an_export_of_no_candles_leaves_the_file_that_was_there(cli, tmp_path):
    write(cli, Block.concatenate([make_block(5), make_block(5, start=T0 + HOUR)]))
    path = tmp_path / "x.csv"
    path.write_text("precious")
    range_ = ("--start", T0 + 10 * MINUTE, "--end", T0 + 20 * MINUTE)
    ended = cli("export", *BTC, "-o", path, *range_)
    assert ended.code == 1
    assert "no candles in this range" in ended.error
    assert path.read_text() == "precious"


# -- delete -------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self):
        return True


def test_delete_asks(cli, monkeypatch):
    write(cli, make_block(100))
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    ended = cli("delete", *BTC)
    assert ended.code == 130
    assert "Delete all of local BTC/USDT 1m (100 candles in all)? [y/N]" in ended.err
    assert len(stored(cli)) == 100
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    ended = cli("delete", *BTC)
    assert (ended.code, ended.out) == (0, "100 candles of local BTC/USDT 1m deleted\n")
    assert cli.json("ls") == []


def test_delete_does_nothing_where_nobody_can_be_asked(cli, monkeypatch):
    write(cli, make_block(100))
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    ended = cli("delete", *BTC)
    assert ended.code == 2
    assert "give --yes" in ended.error
    assert len(stored(cli)) == 100


def test_deleting_a_whole_series_names_the_snapshots_that_end(cli):
    write(cli, make_block(100))
    cli("snapshot", "before")
    range_ = ("--start", T0, "--end", T0 + MINUTE)
    assert cli("delete", *BTC, *range_, "--yes").err == ""
    warned = cli("delete", *BTC, "--yes")
    assert warned.code == 0
    said = "local BTC/USDT 1m can then no longer be read as of snapshots: before"
    assert warned.err == f"{said}\n"


def test_delete_a_range(cli):
    block = make_block(100)
    write(cli, block)
    range_ = ("--start", T0 + 10 * MINUTE, "--end", T0 + 90 * MINUTE)
    assert cli.json("delete", *BTC, *range_, "--yes") == {"deleted": 80}
    assert stored(cli).identical(block.take(np.r_[0:10, 90:100]))
    (gap,) = cli.json("gaps", *BTC)
    assert gap["kind"] == "never_fetched"


def test_the_synthetic_source_keeps_its_name(cli):
    cli.json("fetch", *SYNTHETIC, "--start", "2024-01-01", "--end", "2024-01-01T01:00")
    assert cli.json("ls")[0]["venue"] == SyntheticSource().venue == "synthetic"


@pytest.mark.parametrize("timeframe", ["1m", "1h", "1w"])
def test_long_series_are_read_in_pieces(cli, tmp_path, monkeypatch, timeframe):
    rows = np.arange(40_000)
    write(cli, make_block(40_000).take((rows % 1000 > 80) | (rows % 7 > 3)))
    whole, pieces = tmp_path / "whole.csv", tmp_path / "pieces.csv"
    cli.json("export", "BTC/USDT", timeframe, "-o", whole)
    monkeypatch.setattr("ohlcache.cli.reading.PIECE", 777)
    monkeypatch.setattr("ohlcache.cli.commands.resample.PIECE", 777)
    cli.json("export", "BTC/USDT", timeframe, "-o", pieces)
    assert pieces.read_bytes() == whole.read_bytes()
    if timeframe != "1m":
        cli.json("resample", *BTC, "--to", timeframe, "-o", pieces)
        assert pieces.read_bytes() == whole.read_bytes()
