"""What only a store in a SQLite file can meet: foreign files, locks, disks, damage of the file."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys

import pytest

import ohlcache
from made_candles import make_block
from ohlcache.candles import to_block
from ohlcache.errors import (
    StoreError,
    StoreForeign,
    StoreFull,
    StoreLocked,
    StoreVersionUnsupported,
)

BTC = ("BTC/USDT", "1m")
SQLITE = "ohlcache.sqlite"


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
        with md._store._engine._database.writing() as connection:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
        md._store._engine._database._writer.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(StoreFull, match="no room left"):
            md.write(*BTC, make_block(500_000, seed=1))
        assert to_block(md.candles(*BTC)).identical(make_block(1_000))
        assert md.verify().ok


def test_a_store_on_a_read_only_medium_can_be_read(reachable):
    with ohlcache.open(reachable) as md:
        md.write(*BTC, make_block(10))
    program = (
        "import ohlcache, ohlcache.runtime, pandas, sys, os\n"
        "os.setuid(65534) if os.getuid() == 0 else None\n"
        "md = ohlcache.open(sys.argv[1])\n"
        "print(len(md.candles('BTC/USDT', '1m')))\n"
        "try: md.write('BTC/USDT', '1m', [[0, 1, 1, 1, 1, 1]])\n"
        "except ohlcache.OhlcacheError as error: print(type(error).__name__, error)\n"
    )
    (reachable / SQLITE).chmod(0o444)
    reachable.chmod(0o555)
    done = subprocess.run(
        [sys.executable, "-c", program, reachable], capture_output=True, text=True, check=False
    )
    reachable.chmod(0o755)
    assert done.stdout.startswith("10\nStoreReadOnly store"), done.stderr
    assert "cannot be written" in done.stdout


def test_a_location_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError):
        ohlcache.open(tmp_path / "file" / "store")


@pytest.mark.parametrize("location", ["mysql://x", "sqlite://", ""])
def test_locations_that_cannot_be_one_are_refused(location):
    with pytest.raises(ohlcache.OhlcacheError, match="location"):
        ohlcache.open(location)


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


@pytest.mark.parametrize("data", [7, "text"])
def test_verify_survives_what_is_not_even_bytes(tmp_path, data):
    with ohlcache.open(tmp_path) as md:
        md.write(*BTC, make_block(1_000))
        with sqlite3.connect(tmp_path / SQLITE) as connection:
            connection.execute("UPDATE chunk SET data = ?", (data,))
        connection.close()
        assert not md.verify().ok


_CREATE_AT_ONCE = """
import os, pathlib, sys, time
from ohlcache.history import SQLiteEngine

for number in range(100):
    begin = time.monotonic() + 0.005
    children = []
    for _ in range(3):
        children.append(os.fork())
        if children[-1] == 0:
            while time.monotonic() < begin:
                pass
            SQLiteEngine(pathlib.Path(sys.argv[1], f"{number}.sqlite"), 5.0).close()
            os._exit(0)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
"""


def test_processes_that_open_a_new_store_at_once_all_get_it(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", _CREATE_AT_ONCE, str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (ended.returncode, ended.stderr) == (0, "")


_CLOSE_AMID_READS = """
import sys, threading, ohlcache
from ohlcache.errors import StoreError

def watch(store):
    try:
        while True:
            store.token()
    except StoreError:
        pass

for number in range(60):
    with ohlcache.open(f"{sys.argv[1]}/{number}") as md:
        threads = [threading.Thread(target=watch, args=(md._store,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        sum(range(100_000))
    for thread in threads:
        thread.join()
"""


def test_closing_while_others_read_stops_them_with_an_error(tmp_path):
    # In a process of its own: what must not happen would end it.
    ended = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", _CLOSE_AMID_READS, str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
