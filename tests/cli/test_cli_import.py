"""``ohlcache import``: files of candles and of trades, what is refused, and Ctrl-C."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from command_line import CommandLine, start, write_csv

import ohlcache
from made_candles import MINUTE, T0, make_block
from ohlcache.candles import Block, to_block
from ohlcache.sources.files import export

BTC = ("--symbol", "BTC/USDT", "--timeframe", "1m")
HOUR = 60 * MINUTE


@pytest.fixture
def cli(tmp_path, capsys):
    return CommandLine(tmp_path / "store", capsys)


def stored(cli, symbol="BTC/USDT", timeframe="1m", **options):
    with ohlcache.open(cli.store) as md:
        return to_block(md.candles(symbol, timeframe, as_="numpy", **options))


def coverage(cli, symbol="BTC/USDT", timeframe="1m"):
    with ohlcache.open(cli.store) as md:
        return md.coverage(symbol, timeframe)


def trades_csv(path, trades):
    lines = [f"{time},{price},{amount}" for time, price, amount in trades]
    path.write_text("timestamp,price,amount\n" + "\n".join(lines) + "\n")
    return path


def test_a_csv_file_is_stored_bit_for_bit(cli, tmp_path):
    block = make_block(5_000)
    path = write_csv(tmp_path / "btc.csv", block)
    document = cli.json("import", path, *BTC, "--venue", "binance")
    assert (document["added"], document["rejected"]) == (5_000, 0)
    assert document["stored"] == {"rows": 5_000, "start": T0, "end": T0 + 5_000 * MINUTE}
    (file,) = document["files"]
    assert (file["path"], file["format"], file["rows"]) == (str(path), "csv", 5_000)
    assert stored(cli, venue="binance").identical(block)


def test_it_says_what_it_did(cli, tmp_path):
    ended = cli("import", write_csv(tmp_path / "btc.csv", make_block(1_500)), *BTC)
    assert ended.code == 0
    assert ended.err == ""  # no progress bar where there is no terminal
    lines = ended.out.splitlines()
    assert lines[2].split() == ["btc.csv", "csv", "1,500", "1,500", "0", "0", "0"]
    assert lines[-1] == (
        "local BTC/USDT 1m now holds 1,500 candles, 2020-01-01 00:00 to 2020-01-02 01:00 UTC"
    )


def test_what_is_stored_already_is_merged(cli, tmp_path):
    path = write_csv(tmp_path / "btc.csv", make_block(300))
    cli.json("import", path, *BTC)
    again = cli.json("import", path, *BTC)
    assert (again["added"], again["unchanged"]) == (0, 300)
    assert again["stored"]["rows"] == 300


def test_files_are_imported_in_the_order_given(cli, tmp_path):
    first, second = make_block(100, seed=1), make_block(100, seed=2)
    paths = [
        write_csv(tmp_path / "b.csv", first),
        write_csv(tmp_path / "a.csv", second),
    ]
    document = cli.json("import", *paths, *BTC)
    assert [file["added"] for file in document["files"]] == [100, 0]
    assert document["updated"] > 0
    assert stored(cli).identical(second)


def test_nothing_is_known_of_the_time_between_two_files(cli, tmp_path):
    early, late = make_block(60), make_block(60, start=T0 + 2 * HOUR)
    cli.json("import", write_csv(tmp_path / "1", early), write_csv(tmp_path / "2", late), *BTC)
    assert coverage(cli) == [(T0, T0 + HOUR), (T0 + 2 * HOUR, T0 + 3 * HOUR)]


def test_columns_in_another_order(cli, tmp_path):
    block = make_block(200)
    shuffled = Block(block.times, block.values[[0, 3, 1, 2, 4]])
    path = write_csv(tmp_path / "bitfinex.csv", shuffled, header="")
    refused = cli("import", path, *BTC)
    assert refused.code == 1
    assert "--columns" in refused.error
    cli.json("import", path, *BTC, "--columns", "timestamp,open,close,high,low,volume")
    assert stored(cli).identical(block)


def test_zone_and_unit_of_times(cli, tmp_path):
    block = make_block(120)
    seconds = Block(block.times // 1000, block.values)
    cli.json("import", write_csv(tmp_path / "s.csv", seconds), *BTC, "--time-unit", "s")
    assert stored(cli).identical(block)
    text = tmp_path / "berlin.csv"
    text.write_text("date,open,high,low,close,volume\n2020-07-01 02:00:00,1,1,1,1,1\n")
    cli.json("import", text, "--symbol", "B", "--timeframe", "1m", "--tz", "Europe/Berlin")
    assert stored(cli, "B").times.tolist() == [1_593_561_600_000]  # midnight, UTC


@pytest.mark.parametrize("kind", ["parquet", "feather", "freqtrade", "ccxt-json", "csv"])
def test_every_format_that_is_exported(cli, tmp_path, kind):
    block = make_block(700)
    path = tmp_path / f"file.{ {'freqtrade': 'feather', 'ccxt-json': 'json'}.get(kind, kind) }"
    export(block, path, format=kind)
    assert cli.json("import", path, *BTC, "--format", kind)["added"] == 700
    assert stored(cli).identical(block)


def test_bad_rows_are_left_out_and_named(cli, tmp_path):
    block = make_block(100)
    block.values[1, 7] = 0.5  # a high below the low
    path = write_csv(tmp_path / "btc.csv", block)
    ended = cli("import", path, *BTC)
    assert ended.code == 0
    assert "rejected: 1 high_below_low" in ended.out
    assert "first 2020-01-01 00:07" in ended.out
    assert len(stored(cli)) == 99


def test_strict_stores_nothing_of_a_file_with_a_bad_row(cli, tmp_path):
    good, bad = make_block(100), make_block(250_000, start=T0 + 30 * 24 * HOUR)
    bad.values[1, -1] = 0.5
    paths = [write_csv(tmp_path / "good.csv", good), write_csv(tmp_path / "bad.csv", bad)]
    ended = cli("import", *paths, *BTC, "--strict")
    assert ended.code == 1
    assert "1 of 250000 rows" in ended.error
    assert ended.error.endswith("100 candles before that are stored")
    assert stored(cli).identical(good)


def test_candles_after_closed_until_are_still_forming(cli, tmp_path):
    path = write_csv(tmp_path / "btc.csv", make_block(100))
    document = cli.json("import", path, *BTC, "--closed-until", "2020-01-01T01:00:30")
    assert (document["added"], document["reasons"]) == (60, {"not_closed": 40})


def test_an_import_of_which_nothing_could_be_stored_fails(cli, tmp_path):
    block = make_block(60)
    block.times[:] += 1_000
    ended = cli("import", write_csv(tmp_path / "btc.csv", block), *BTC)
    assert ended.code == 1
    assert "nothing could be stored: all of 60 rows were refused (60 off_grid" in ended.error
    with ohlcache.open(cli.store) as md:
        assert md.series() == []


def test_rows_closer_than_the_timeframe_are_refused(cli, tmp_path):
    # Some of them are on the grid of the hour, and would pass for hours.
    path = write_csv(tmp_path / "btc.csv", make_block(600))
    ended = cli("import", path, "--symbol", "BTC/USDT", "--timeframe", "1h")
    assert ended.code == 1
    assert f"timeframe 1h does not fit {path}, whose rows are 1m apart" in ended.error
    with ohlcache.open(cli.store) as md:
        assert md.series() == []


def test_rows_that_are_all_wider_apart_are_stored_with_a_warning(cli, tmp_path):
    path = write_csv(tmp_path / "btc.csv", make_block(600, step=5 * MINUTE))
    ended = cli("import", path, *BTC)
    assert ended.code == 0
    assert "btc.csv: all rows are 5m or a multiple of it apart" in ended.out
    thin = make_block(600).take(np.arange(600) % 7 != 3)
    assert "apart" not in cli("import", write_csv(path, thin), *BTC).out


def test_months_differ_in_length(cli, tmp_path):
    months = np.arange("2020-01", "2022-01", dtype="M8[M]").astype("M8[ms]").astype(np.int64)
    block = Block(months, make_block(24).values)
    path = write_csv(tmp_path / "btc.csv", block)
    assert cli.json("import", path, "--symbol", "B", "--timeframe", "1M")["added"] == 24


def test_a_file_that_breaks_off_keeps_what_came_before(cli, tmp_path):
    good = make_block(400_000)
    path = write_csv(tmp_path / "btc.csv", good)
    with path.open("a") as file:
        file.write("1601856000000,1,2\n")
    ended = cli("import", path, *BTC)
    assert ended.code == 1
    assert "line 400002" in ended.error
    rows = stored(cli)
    assert f"{len(rows):,} candles before that are stored" in ended.error
    assert 0 < len(rows) <= 400_000
    assert rows.identical(good.slice(0, len(rows)))


def test_all_files_are_looked_at_before_the_first_is_read(cli, tmp_path):
    good, empty = write_csv(tmp_path / "good.csv", make_block(60)), tmp_path / "empty.feather"
    empty.touch()
    ended = cli("import", good, empty, *BTC)
    assert ended.code == 1
    assert "empty.feather: the file is empty (0 bytes)" in ended.error
    assert not cli.store.exists()


# -- trades -------------------------------------------------------------------------------------


def test_trades_are_made_into_candles_without_the_last(cli, tmp_path):
    trades = [(T0, 10, 1), (T0 + 59_999, 12, 2), (T0 + MINUTE, 11, 3), (T0 + 2 * MINUTE, 9, 1)]
    path = trades_csv(tmp_path / "trades.csv", trades)
    ended = cli("import", path, *BTC)
    assert ended.code == 0
    assert "trades.csv: the candle of 2020-01-01T00:02Z is left out" in ended.out
    rows = stored(cli)
    assert rows.times.tolist() == [T0, T0 + MINUTE]
    assert rows.values[:5].T.tolist() == [[10, 12, 10, 12, 3], [11, 11, 11, 11, 3]]
    assert rows.column("trades").tolist() == [2, 1]


def test_the_last_candle_counts_when_the_trades_are_said_to_be_complete(cli, tmp_path):
    path = trades_csv(tmp_path / "trades.csv", [(T0, 10, 1), (T0 + MINUTE, 11, 3)])
    document = cli.json("import", path, *BTC, "--closed-until", T0 + 2 * MINUTE)
    assert (document["added"], document["files"][0]["incomplete"]) == (2, [])


def test_a_candle_goes_on_in_the_next_file(cli, tmp_path):
    first = trades_csv(tmp_path / "1.csv", [(T0, 10, 1), (T0 + MINUTE, 11, 1)])
    second = trades_csv(tmp_path / "2.csv", [(T0 + MINUTE + 1, 14, 1), (T0 + 2 * MINUTE, 12, 1)])
    document = cli.json("import", first, second, *BTC)
    assert [file["incomplete"] for file in document["files"]] == [[], [T0 + 2 * MINUTE]]
    rows = stored(cli)
    assert rows.column("high").tolist() == [10, 14]
    assert coverage(cli) == [(T0, T0 + 2 * MINUTE)]


def test_a_candle_that_a_file_cuts_off_is_left_out(cli, tmp_path):
    first = trades_csv(tmp_path / "1.csv", [(T0, 10, 1), (T0 + MINUTE, 11, 1)])
    later = T0 + HOUR
    second = trades_csv(tmp_path / "2.csv", [(later, 14, 1), (later + MINUTE, 12, 1)])
    document = cli.json("import", first, second, *BTC)
    assert [file["incomplete"] for file in document["files"]] == [[T0 + MINUTE], [later + MINUTE]]
    assert stored(cli).times.tolist() == [T0, later]
    assert coverage(cli) == [(T0, T0 + MINUTE), (later, later + MINUTE)]


def test_trades_of_one_candle_only_store_nothing(cli, tmp_path):
    path = trades_csv(tmp_path / "trades.csv", [(T0, 10, 1), (T0 + 5, 11, 1)])
    ended = cli("import", path, *BTC)
    assert ended.code == 1
    assert "2 trades make no complete candle" in ended.error


# -- Ctrl-C -------------------------------------------------------------------------------------


def test_ctrl_c_leaves_a_store_to_go_on_with(cli, tmp_path):
    rows = 600_000  # more than a busy machine reads before the signal comes
    block = make_block(rows)
    path = tmp_path / "btc.json"
    export(block, path, format="ccxt-json")
    arguments = ("import", path, *BTC)
    database = cli.store / "ohlcache.sqlite"
    process = start(*arguments, store=cli.store)
    while count(database) == 0:
        assert process.poll() is None
    lock = sqlite3.connect(database, isolation_level=None, timeout=60)
    lock.execute("BEGIN IMMEDIATE")  # from here on nothing more is committed
    process.send_signal(signal.SIGINT)
    kept = count(database)
    lock.execute("ROLLBACK")
    lock.close()
    out, err = process.communicate()
    assert process.returncode == 130
    assert out == ""
    assert err.startswith("ohlcache: interrupted: ")
    assert "run the same command again" in err
    assert err.count("\n") == 1
    assert 0 < kept <= count(database) < rows
    assert cli("verify").code == 0
    again = cli.json(*arguments)
    assert again["unchanged"] >= kept
    assert again["added"] + again["unchanged"] == rows
    assert stored(cli).identical(block)


def count(database):
    """Candles committed by now."""
    if not database.exists():
        return 0
    with closing(sqlite3.connect(database)) as connection:
        try:
            return connection.execute("SELECT total(rows) FROM chunk").fetchone()[0]
        except sqlite3.OperationalError:
            return 0  # the tables are not there yet


# -- real files ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "timeframe", "options", "rows", "first", "gaps"),
    [
        ("UNITTEST_BTC-1m.feather", "1m", (), 13_681, None, (538, 717)),
        ("UNITTEST_BTC-1m.json", "1m", (), None, None, None),
        ("ADA_BTC-5m.feather", "5m", (), 5_720, None, (None, 40)),
        ("btc-perp-20211231-20220201_1m.csv", "1m", (), 45_031, None, (0, 0)),
        (
            "bitfinex_BTCUSD_1m_2013.csv.gz",
            "1m",
            ("--columns", "timestamp,open,close,high,low,volume"),
            148_055,
            None,
            (49_884, None),
        ),
        ("lean_crypto_coinbase_minute_btcusd_20180404_trade.zip", "1m", (), 1_007, None, None),
        ("lean_crypto_coinbase_daily_btcusd_trade.zip", "1d", (), 1_318, None, (None, 34)),
        (
            "lean_equity_usa_minute_spy_20131007_trade.zip",
            "1m",
            (),
            None,
            ("2013-10-07T08:00Z", 167.0, 168.0),  # 04:00 in New York, prices not times 10,000
            None,
        ),
    ],
)
def test_real_files(cli, real_candles, name, timeframe, options, rows, first, gaps):
    series = ("X", timeframe)
    path = real_candles / name
    ended = cli("import", path, "--symbol", "X", "--timeframe", timeframe, *options)
    assert (ended.code, ended.err) == (0, "")
    info = cli.json("info", *series)
    if rows is not None:
        assert info["rows"] == rows
    if first is not None:
        moment, low, high = first
        (row,) = cli.json("show", *series, "--limit", 1, "--start", moment)["candles"]
        assert ohlcache.candles.to_iso(row[0]) == moment
        assert low < row[4] < high
    if gaps is not None:
        found = cli.json("gaps", *series)
        runs, missing = gaps
        assert {gap["kind"] for gap in found} <= {"empty"}
        assert runs is None or len(found) == runs
        assert missing is None or sum(gap["candles"] for gap in found) == missing
    assert cli("verify").code == 0


def test_real_trades(cli, real_candles):
    path = real_candles / "XRP_ETH-trades.json.gz"
    document = cli.json("import", path, "--symbol", "XRP/ETH", "--timeframe", "1m")
    (file,) = document["files"]
    assert (file["format"], file["rows"], len(file["incomplete"])) == ("trades", 12_477, 1)
    ours = stored(cli, "XRP/ETH")
    theirs = cli.json(
        "import", real_candles / "XRP_ETH-1m.feather", "--symbol", "F", "--timeframe", "1m"
    )
    # freqtrade kept the last candle, though the trades may go on in it
    assert theirs["stored"]["rows"] == len(ours) + 1
    made = stored(cli, "F").slice(0, len(ours))
    assert np.array_equal(ours.times, made.times)
    assert np.array_equal(ours.values[:4], made.values[:4])


def test_a_file_cut_short_by_a_crash(cli, real_candles):
    path = real_candles / "UNITTEST_BTC-8m.feather"
    ended = cli("import", path, "--symbol", "X", "--timeframe", "8m")
    assert ended.code == 1
    assert "0 bytes" in ended.error
