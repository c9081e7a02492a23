"""The store: merging, layers, processes, identity, damage."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ohlcache
from conftest import MINUTE, T0, make_block
from ohlcache.candles import Block, to_block
from ohlcache.errors import (
    StoreDamaged,
    StoreError,
    StoreForeign,
    StoreFull,
    StoreLocked,
    StoreVersionUnsupported,
)
from ohlcache.history.chunks import BODY, RECENT

BTC = ("BTC/USDT", "1m")
SQLITE = "ohlcache.sqlite"


def layers(folder):
    with sqlite3.connect(folder / SQLITE) as connection:
        return dict(connection.execute("SELECT layer, sum(rows) FROM chunk GROUP BY layer"))


@given(st.lists(st.tuples(st.integers(0, 3_000), st.integers(1, 700)), min_size=1, max_size=12))
@settings(max_examples=30, deadline=None)
def test_any_order_of_writes_gives_the_history_of_a_dictionary(tmp_path_factory, writes):
    model: dict[int, tuple[float, ...]] = {}
    with ohlcache.open(tmp_path_factory.mktemp("store")) as md:
        for seed, (start, rows) in enumerate(writes):
            block = make_block(rows, start=T0 + start * MINUTE, seed=seed)
            new = dict(zip(block.times.tolist(), block.values.T.tolist(), strict=True))
            report = md.write(*BTC, block)
            assert report.added == len(new.keys() - model.keys())
            assert report.unchanged == sum(model.get(time) == row for time, row in new.items())
            model.update(new)
            read = to_block(md.candles(*BTC))
            assert read.times.tolist() == sorted(model)
            assert read.values.T.tolist() == [model[time] for time in sorted(model)]
        assert md.verify().ok
        assert md.info(*BTC).rows == len(model)


def test_single_appends_keep_the_recent_layer_short(tmp_path):
    block = make_block(3_000)
    with ohlcache.open(tmp_path) as md:
        for row in range(3_000):
            assert md.write(*BTC, block.slice(row, row + 1)).added == 1
            if row % 500 == 0:
                assert to_block(md.candles(*BTC)).identical(block.slice(0, row + 1))
        assert to_block(md.candles(*BTC)).identical(block)
        assert md.coverage(*BTC) == [(T0, T0 + 3_000 * MINUTE)]
    stored = layers(tmp_path)
    assert stored[RECENT] <= 512
    assert stored[BODY] + stored[RECENT] == 3_000


def test_corrections_of_single_candles_do_not_rewrite_the_body(tmp_path):
    block = make_block(20_000)
    with ohlcache.open(tmp_path) as md:
        md.write(*BTC, block)
        values = block.values.copy()
        for row in (5, 10_000, 19_999):
            values[4, row] += 1
            md.write(*BTC, Block(block.times[row : row + 1], values[:, row : row + 1]))
        assert to_block(md.candles(*BTC)).identical(Block(block.times, values))
        assert md.info(*BTC).rows == 20_000
    assert layers(tmp_path) == {BODY: 20_000, RECENT: 3}


def test_a_reader_sees_what_another_opening_writes(tmp_path):
    block = make_block(100)
    with ohlcache.open(tmp_path) as one, ohlcache.open(tmp_path) as other:
        for row in range(100):
            one.write(*BTC, block.slice(row, row + 1))
            assert len(other.candles(*BTC, T0, T0 + 100 * MINUTE)) == row + 1
        one.delete(*BTC, T0, T0 + 50 * MINUTE)
        assert len(other.candles(*BTC, T0, T0 + 100 * MINUTE)) == 50


def _write_share(folder, share, of, rows):
    block = make_block(rows)
    with ohlcache.open(folder) as md:
        for row in range(share, rows, of):
            md.write(*BTC, block.slice(row, row + 1))
    return share


def test_processes_writing_the_same_chunk_lose_nothing(tmp_path):
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(_write_share, tmp_path, share, 4, 400) for share in range(4)]
        assert [job.result() for job in jobs] == [0, 1, 2, 3]
    with ohlcache.open(tmp_path) as md:
        assert to_block(md.candles(*BTC)).identical(make_block(400))
        assert md.verify().ok


def test_a_forked_child_reads_and_writes_with_connections_of_its_own(tmp_path):
    with ohlcache.open(tmp_path) as md:
        md.write(*BTC, make_block(100_000))
        md.candles(*BTC, T0, T0 + MINUTE)
        child = os.fork()
        if child == 0:
            md.write(*BTC, make_block(10, start=T0 + 200_000 * MINUTE))
            is_right = len(md.candles(*BTC, T0, T0 + 300_000 * MINUTE)) == 100_010
            os._exit(0 if is_right else 1)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert len(md.candles(*BTC, T0, T0 + 300_000 * MINUTE)) == 100_010


def _in_child(use):
    """Run in a forked child, which is ended if it hangs; whether it returned something true."""
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        os._exit(0 if use() else 1)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0


def test_a_forked_child_sees_what_was_written_after_the_fork(tmp_path):
    block = make_block(1_000)
    with ohlcache.open(tmp_path) as md, ohlcache.open(tmp_path) as other:
        md.write(*BTC, block)
        md.candles(*BTC, T0, T0 + MINUTE)
        ready, go = os.pipe()

        def use():
            os.read(ready, 1)
            return md.candles(*BTC, T0, T0 + MINUTE)["volume"].iloc[0] == 555.0

        child = os.fork()
        if child == 0:
            signal.alarm(20)
            os._exit(0 if use() else 1)
        other.write(*BTC, Block(block.times[:1], np.vstack([block.values[:4, :1], [[555.0]]])))
        os.write(go, b"x")
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_forked_child_can_fetch_and_read_asynchronously(tmp_path):
    history = make_block(1_000)
    with ohlcache.open(tmp_path, source=lambda *asked: history.between(*asked[2:])) as md:

        def read(start):
            frame = asyncio.run(md.acandles(*BTC, T0 + start * MINUTE, T0 + 100 * MINUTE))
            return len(frame) == 100 - start

        assert read(50)
        assert _in_child(lambda: read(0))


# -- what is not a store, or cannot be used as one ----------------------------------------------


def _set(folder, pragma):
    with sqlite3.connect(folder / SQLITE) as connection:
        connection.execute(f"PRAGMA {pragma}")
    connection.close()


def test_a_database_of_another_program_is_refused_and_untouched(tmp_path):
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreForeign, match=r"other\.db is a database of another program"):
        ohlcache.open(f"sqlite:///{path}")
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_untouched(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("no database at all" * 100)
    with pytest.raises(StoreForeign, match="not a SQLite database"):
        ohlcache.open(path)
    assert path.read_text().startswith("no database")


@pytest.mark.parametrize(("version", "remedy"), [(99, "upgrade ohlcache"), (0, "import it again")])
def test_other_store_versions_are_refused_by_number(tmp_path, version, remedy):
    ohlcache.open(tmp_path).close()
    _set(tmp_path, f"user_version = {version}")
    with pytest.raises(StoreVersionUnsupported, match=f"version {version}, .*{remedy}"):
        ohlcache.open(tmp_path)


def test_a_store_locked_by_another_program_is_reported_and_nothing_lost(tmp_path):
    with ohlcache.open(tmp_path, settings={"history": {"busy_timeout_seconds": 0}}) as md:
        md.write(*BTC, make_block(10))
        other = sqlite3.connect(tmp_path / SQLITE)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreLocked, match="locked by another process"):
            md.write(*BTC, make_block(20))
        assert len(md.candles(*BTC)) == 10
        other.rollback()
        other.close()
        assert md.write(*BTC, make_block(20)).added == 10


def test_a_full_disk_refuses_the_write_and_keeps_what_was_there(tmp_path):
    with ohlcache.open(tmp_path) as md:
        md.write(*BTC, make_block(1_000))
        with md._store._database.writing() as connection:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
        md._store._database._writer.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(StoreFull, match="no room left"):
            md.write(*BTC, make_block(500_000, seed=1))
        assert to_block(md.candles(*BTC)).identical(make_block(1_000))
        assert md.verify().ok


def test_a_store_on_a_read_only_medium_can_be_read(tmp_path):
    with ohlcache.open(tmp_path) as md:
        md.write(*BTC, make_block(10))
    program = (
        "import ohlcache, ohlcache.runtime, pandas, sys, os\n"
        "os.setuid(65534) if os.getuid() == 0 else None\n"
        "md = ohlcache.open(sys.argv[1])\n"
        "print(len(md.candles('BTC/USDT', '1m')))\n"
        "try: md.write('BTC/USDT', '1m', [[0, 1, 1, 1, 1, 1]])\n"
        "except ohlcache.OhlcacheError as error: print(type(error).__name__, error)\n"
    )
    if os.getuid() == 0:  # another user has to come as far as the store
        for folder in (tmp_path, *tmp_path.parents[:2]):
            folder.chmod(folder.stat().st_mode | 0o055)
    (tmp_path / SQLITE).chmod(0o444)
    tmp_path.chmod(0o555)
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=False
    )
    tmp_path.chmod(0o755)
    assert done.stdout.startswith("10\nStoreReadOnly store"), done.stderr
    assert "cannot be written" in done.stdout


def test_a_location_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError):
        ohlcache.open(tmp_path / "file" / "store")


@pytest.mark.parametrize("location", ["mysql://x", "sqlite://", "postgresql://localhost/x", ""])
def test_locations_that_cannot_be_one_are_refused(location):
    with pytest.raises(ohlcache.OhlcacheError, match="location"):
        ohlcache.open(location)


# -- damage -------------------------------------------------------------------------------------


def _damage(folder):
    with sqlite3.connect(folder / SQLITE) as connection:
        row, data = connection.execute(
            "SELECT rowid, data FROM chunk WHERE layer = 0 ORDER BY start LIMIT 1"
        ).fetchone()
        damaged = bytearray(data)
        damaged[len(data) // 2] ^= 0xFF
        connection.execute("UPDATE chunk SET data = ? WHERE rowid = ?", (bytes(damaged), row))
    connection.close()


def test_a_damaged_chunk_is_an_error_never_other_values(tmp_path):
    with ohlcache.open(tmp_path) as md:
        md.write(*BTC, make_block(100_000))
    _damage(tmp_path)
    with ohlcache.open(tmp_path) as md:
        with pytest.raises(StoreDamaged, match="local BTC/USDT 1m.*checksum"):
            md.candles(*BTC)
        report = md.verify()
        assert not report.ok
        assert "BTC/USDT 1m: chunk of 2020-01-01T00:00Z" in str(report.problems[0])
        assert not md.repair().ok
        assert not md.verify().ok


def test_repair_fetches_what_is_damaged_again(tmp_path):
    history = make_block(100_000)
    asked = []

    def source(symbol, timeframe, start, end):
        asked.append((start, end))
        return history.between(start, end)

    with ohlcache.open(tmp_path) as md:
        md.write(*BTC, history)
    _damage(tmp_path)
    with ohlcache.open(tmp_path, source=source) as md:
        report = md.repair()
        assert report.ok
        assert [series for series, _ in report.refetched] == ["local BTC/USDT 1m"]
        assert to_block(md.candles(*BTC, T0, T0 + 100_000 * MINUTE)).identical(history)
        assert md.coverage(*BTC) == [(T0, T0 + 100_000 * MINUTE)]
        assert len(asked) == 1


def test_a_repair_that_would_lose_candles_changes_nothing(tmp_path):
    with ohlcache.open(tmp_path) as md:
        md.write(*BTC, make_block(100_000))
    _damage(tmp_path)

    def failing(*_):
        raise AttributeError("bug")

    for source in (lambda *_: [], failing):
        with ohlcache.open(tmp_path, source=source) as md:
            report = md.repair()
            assert not report.ok
            assert report.refetched == ()
            assert not md.verify().ok


def test_a_damaged_range_can_be_deleted_and_imported_again(tmp_path):
    block = make_block(100_000)
    with ohlcache.open(tmp_path) as md:
        md.write(*BTC, block)
        _damage(tmp_path)
        damaged = md.verify().problems[0].range
        md.delete(*BTC, *damaged)
        assert md.verify().ok
        md.write(*BTC, block)
        assert to_block(md.candles(*BTC)).identical(block)


@pytest.mark.parametrize("data", [7, "text", b"", b"OHLC\1\0\0\0\xff\xff\xff\xff"])
def test_verify_survives_whatever_stands_in_a_chunk(tmp_path, data):
    with ohlcache.open(tmp_path) as md:
        md.write(*BTC, make_block(1_000))
        with sqlite3.connect(tmp_path / SQLITE) as connection:
            connection.execute("UPDATE chunk SET data = ?", (data,))
        connection.close()
        assert not md.verify().ok


def test_a_damaged_file_is_reported(tmp_path):
    with ohlcache.open(tmp_path) as md:
        md.write(*BTC, make_block(300_000))
    path = tmp_path / SQLITE
    data = bytearray(path.read_bytes())
    data[8192 * 3 : 8192 * 30] = os.urandom(8192 * 27)
    path.write_bytes(data)
    with pytest.raises(StoreError) as caught, ohlcache.open(tmp_path) as md:
        md.candles(*BTC)
    assert "\n" not in str(caught.value)


def test_closing_while_others_read_ends_their_reads_and_nothing_else(tmp_path):
    script = (
        "import sys, threading, ohlcache\n"
        "from ohlcache.errors import StoreError\n"
        "def read(md):\n"
        "    try:\n"
        "        while True:\n"
        "            md.candles('BTC/USDT', '1m', '2020-01-01', '2020-01-02')\n"
        "    except StoreError:\n"
        "        pass\n"
        "for _ in range(15):\n"
        "    md = ohlcache.open(sys.argv[1])\n"
        "    threads = [threading.Thread(target=read, args=(md,)) for _ in range(3)]\n"
        "    for thread in threads:\n"
        "        thread.start()\n"
        "    md.candles('BTC/USDT', '1m', '2020-01-01', '2020-01-02')\n"
        "    md.close()\n"
        "    for thread in threads:\n"
        "        thread.join(10)\n"
        "        assert not thread.is_alive()\n"
    )
    with ohlcache.open(tmp_path) as md:
        md.write(*BTC, make_block(3_000))
    ended = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
