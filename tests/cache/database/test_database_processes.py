"""Real processes on one database: writing at once, being killed, beginning at once."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from cache.database.writers import PAIR, TURNS
from ohlcache.cache.tiers import Change

WRITERS = Path(__file__).with_name("writers.py")
PATIENCE = 10.0


def begin(*arguments):
    return subprocess.Popen(
        [sys.executable, WRITERS, *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )


def test_of_many_processes_that_write_at_once_none_is_lost(open_tier, url):
    """They begin on an empty database, so they create its tables at once, too."""
    process = begin("many", url, 8)
    output = process.communicate()[0].splitlines()
    assert process.returncode == 0
    lines = [line.split(maxsplit=2) for line in output]
    assert len({stamp for _, stamp, _ in lines}) == 8 * TURNS, "a stamp was given twice"
    tier = open_tier(url)
    found = tier.read([f"key {key}" for key in range(3)])()
    for key in "012":
        newest = max((int(stamp), data.encode()) for at, stamp, data in lines if at == key)
        assert found[f"key {key}"] == newest


def test_a_killed_writer_leaves_no_half_and_blocks_nobody(open_tier, url):
    tier = open_tier(url)
    for turn in range(2):
        process = begin("pairs", url)
        assert process.stdout.readline() == "begun\n"
        time.sleep(0.03 * turn)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        found = tier.read(PAIR)()
        assert found["left"].data == found["right"].data
        wait_ms = tier.claim(["lease"], "of the living", 1000)()["lease"].wait_ms
        assert wait_ms <= 500
        deadline = time.monotonic() + PATIENCE
        while not tier.claim(["lease"], "of the living", 1)()["lease"].is_held:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        tier.release(["lease"], "of the living")()
        stamps = tier.write([Change(key, b"after", None) for key in PAIR])()
        assert all(stamps.values())
