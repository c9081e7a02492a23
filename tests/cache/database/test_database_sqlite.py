"""What only a file can meet: other programs, locks, full disks, and being replaced."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from cache.shared_tier import Recorder
from ohlcache.cache.database import DatabaseTier
from ohlcache.cache.tiers import Change
from ohlcache.errors import (
    StoreDamaged,
    StoreError,
    StoreForeign,
    StoreFull,
    StoreLocked,
    StoreVersionUnsupported,
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache.db"


@pytest.fixture
def tier(open_tier, sqlite_url):
    return open_tier(sqlite_url, timeout_seconds=0.05)


@pytest.fixture
def told(tier):
    recorder = Recorder()
    tier.listen(recorder)
    recorder.wait_for("live")
    recorder.forget()
    return recorder


def execute(path, *statements):
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def test_a_database_of_another_program_is_refused_and_untouched(path, sqlite_url):
    execute(path, "CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with pytest.raises(StoreForeign, match=r"cache .*cache\.db is a database of another program"):
        DatabaseTier(sqlite_url)
    assert path.read_bytes() == before


def test_another_version_is_refused_with_the_remedy(tier, path, sqlite_url):
    tier.close()
    execute(path, "PRAGMA user_version = 0")
    with pytest.raises(StoreVersionUnsupported, match="delete it, the cache fills again"):
        DatabaseTier(sqlite_url)


def test_a_locked_database_is_reported_read_meanwhile_and_works_again(tier, path):
    tier.write([Change("a", b"x", None)])()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for step in (tier.write([Change("a", b"y", None)]), tier.probe()):
            with pytest.raises(StoreLocked, match="locked by another process"):
                step()
        assert tier.read(["a"])()["a"].data == b"x"
        other.execute("ROLLBACK")
    tier.write([Change("a", b"z", None)])()
    assert tier.read(["a"])()["a"].data == b"z"


def test_threads_that_write_for_too_long_are_reported(tier):
    with tier._engine._turn, pytest.raises(StoreLocked, match="written by other threads"):
        tier.probe()()
    tier.probe()()


def test_a_full_disk_is_reported_and_nothing_is_lost(tier):
    tier.write([Change("a", b"x", None)])()
    with tier._engine.database().writing() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
    tier._engine.database()._writer.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StoreFull, match="no room left"):
        tier.write([Change("a", bytes(1_000_000), None)])()
    assert tier.read(["a"])()["a"].data == b"x"


def test_a_file_that_may_not_be_written_is_read(tier, reachable, path):
    tier.write([Change("a", b"x", None)])()
    tier.close()
    program = (
        "import sys, os\n"
        "import ohlcache.cache.database.sqlite\n"
        "if os.getuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "from ohlcache.cache.database import DatabaseTier\n"
        "from ohlcache.cache.tiers import Change\n"
        "tier = DatabaseTier('sqlite:///' + sys.argv[1])\n"
        "print(tier.read(['a'])()['a'].data)\n"
        "for step in (tier.write([Change('a', b'y', None)]), tier.probe()):\n"
        "    try: step()\n"
        "    except Exception as error: print(type(error).__name__)\n"
        "tier.close()\n"
    )
    path.chmod(0o444)
    reachable.chmod(0o555)
    done = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=False
    )
    reachable.chmod(0o755)
    assert done.stdout.split() == ["b'x'", "StoreReadOnly", "StoreReadOnly"], done.stderr


def test_a_damaged_file_is_reported(tier, path, open_tier, sqlite_url):
    tier.write([Change(f"{number}", bytes(3000), None) for number in range(100)])()
    tier.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 8192))
    with pytest.raises(StoreDamaged, match="delete it, the cache fills again"):
        open_tier(sqlite_url).read([f"{number}" for number in range(100)])()


def test_a_closed_tier_says_so(tier):
    tier.close()
    with pytest.raises(StoreError, match="closed"):
        tier.read(["a"])()
    with pytest.raises(StoreError, match="closed"):
        tier.write([Change("a", b"x", None)])()


@pytest.mark.parametrize("is_copied", [False, True])
def test_a_file_that_is_replaced_is_noticed_and_used(
    tier, told, path, tmp_path, open_tier, sqlite_url, is_copied
):
    tier.write([Change("a", b"x", None)])()
    backup = tmp_path / "backup.db"
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(backup)) as target:
        source.backup(target)
    tier.write([Change("a", b"lost with the file", None)])()
    for name in ("cache.db", "cache.db-wal", "cache.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    if is_copied:
        shutil.copy(backup, path)
    told.wait_for("lost")
    told.wait_for("live")
    assert tier.read(["a"])() == {} if not is_copied else tier.read(["a"])()["a"].data == b"x"
    other = open_tier(sqlite_url)
    stamp = other.write([Change("b", b"y", None)])()["b"]
    told.wait_for("changed", ("b", stamp))
    assert tier.read(["b"])()["b"].data == b"y"


def test_notices_that_are_missing_are_noticed(tier, told, path, open_tier, sqlite_url):
    """As when a process was stopped for so long that they were removed meanwhile."""
    stamp = open_tier(sqlite_url).write([Change("a", b"x", None)])()["a"]
    told.wait_for("changed", ("a", stamp))
    execute(path, "UPDATE sqlite_sequence SET seq = seq + 5")
    told.wait_for("lost")
    told.wait_for("live")
    stamp = open_tier(sqlite_url).write([Change("a", b"y", None)])()["a"]
    told.wait_for("changed", ("a", stamp))


def test_old_notices_are_removed(tier, path):
    for _ in range(2400):
        tier.bump({"tag": "version"})()
    with closing(sqlite3.connect(path)) as connection:
        count = connection.execute("SELECT count(*) FROM ohlcache1_notices").fetchone()[0]
    assert 2048 <= count < 2048 + 256
