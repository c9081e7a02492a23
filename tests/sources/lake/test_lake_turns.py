"""Exports of one series at the same moment: what one of them reported is never lost."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from made_candles import MINUTE, T0, make_block
from ohlcache.candles import Interval, Timeframe, to_block
from ohlcache.errors import SourceError, SourceUnavailable
from ohlcache.sources.lake import Storage, export_series
from ohlcache.sources.lake.turns import STALE_MS

BTC = ("BTC/USDT", "1m")
FOLDER = "venue=binance/symbol=BTC%2FUSDT/timeframe=1m"
DAY = 1440 * MINUTE
BLOCK = make_block(70_000)
JANUARY, FEBRUARY = Interval(T0, T0 + DAY), Interval(T0 + 31 * DAY, T0 + 32 * DAY)


def export(lake, range_, block=BLOCK, now=T0):
    def known(start, end):
        low, high = max(start, range_.start), min(end, range_.end)
        return block.between(*range_), (Interval(low, high),) if low < high else ()

    storage = Storage(lake.url, lake.options)
    timeframe = Timeframe.parse("1m")
    return export_series(storage, "binance", "BTC/USDT", timeframe, (range_,), known, now)


def read(lake):
    return to_block(lake.source().candles(*BTC, as_="numpy"))


def names(lake):
    return Storage(lake.url, lake.options).objects(FOLDER)


@pytest.fixture
def before_put(monkeypatch):
    """Has something done once, just before an object whose name ends like this is put."""
    put = Storage.put

    def arrange(ending, act):
        acts = [act]

        def acting(self, path, data):
            if path.endswith(ending) and acts:
                acts.pop()()
            put(self, path, data)

        monkeypatch.setattr(Storage, "put", acting)

    return arrange


@pytest.mark.parametrize("is_first", [True, False])
def test_an_export_while_another_replaces_the_manifest_is_refused(lake, before_put, is_first):
    if not is_first:
        export(lake, Interval(T0 + DAY, T0 + 2 * DAY))
    refused = []

    def another():
        with pytest.raises(SourceError, match=r"another export: .*export again") as caught:
            export(lake, FEBRUARY)
        refused.append(caught.value)

    before_put("_manifest.json", another)
    assert export(lake, JANUARY).written == 1
    assert len(refused) == 1
    assert not isinstance(refused[0], SourceUnavailable)
    assert "\n" not in str(refused[0])
    assert JANUARY.start in read(lake).times
    export(lake, FEBRUARY)
    found = read(lake)
    for range_ in (JANUARY, FEBRUARY):
        assert found.between(*range_).identical(BLOCK.between(*range_))
    assert not [name for name in names(lake) if name.startswith("_exporting")]


def test_many_exports_at_once_all_arrive(lake):
    days = [Interval(T0 + day * DAY, T0 + (day + 1) * DAY) for day in range(0, 48, 8)]
    together = threading.Barrier(len(days))

    def until_accepted(range_):
        together.wait()
        while True:
            try:
                return export(lake, range_).written
            except SourceError as error:
                if "another export" not in str(error):
                    raise
                time.sleep(random.uniform(0, 0.2))

    with ThreadPoolExecutor(len(days)) as threads:
        written = list(threads.map(until_accepted, days))
    assert set(written) <= {0, 1}  # 0: another one adopted the part that a refused export had put
    assert lake.source().known(*BTC) == tuple(days)
    found = read(lake)
    assert all(found.between(*day).identical(BLOCK.between(*day)) for day in days)


def test_an_export_that_was_killed_bars_nobody_from_a_folder(folder):
    export(folder, JANUARY)
    program = (
        "import sys, time\n"
        "from ohlcache.sources.lake.storage import Storage\n"
        "from ohlcache.sources.lake.turns import own_turn\n"
        "with own_turn(Storage(sys.argv[1]), sys.argv[2]):\n"
        "    print('in turn', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, folder.url, FOLDER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"in turn\n"
        with pytest.raises(SourceError, match="is being changed by another export"):
            export(folder, FEBRUARY)
        process.kill()
    export(folder, FEBRUARY)
    assert folder.source().known(*BTC) == (JANUARY, FEBRUARY)


def test_an_export_to_a_bucket_that_died_bars_others_for_an_hour(bucket):
    export(bucket, JANUARY)
    storage = Storage(bucket.url, bucket.options)
    now = time.time_ns() // 1_000_000
    claim = f"_exporting-{now - STALE_MS // 2}-dead"
    storage.put(f"{FOLDER}/{claim}", b"")
    with pytest.raises(SourceError, match=f"if none runs, it died: delete {claim} or wait"):
        export(bucket, FEBRUARY)
    assert read(bucket).identical(BLOCK.between(*JANUARY))
    storage.remove(f"{FOLDER}/{claim}")
    storage.put(f"{FOLDER}/_exporting-{now - STALE_MS}-dead", b"")
    export(bucket, FEBRUARY)
    assert names(bucket) == ["_manifest.json"]


def test_a_claim_that_tells_no_time_is_respected(bucket):
    export(bucket, JANUARY)
    Storage(bucket.url, bucket.options).put(f"{FOLDER}/_exporting-somehow", b"")
    with pytest.raises(SourceError, match="delete _exporting-somehow"):
        export(bucket, FEBRUARY)


def test_an_export_that_others_took_for_dead_does_not_report_success(bucket, before_put):
    def take_for_dead():
        storage = Storage(bucket.url, bucket.options)
        (claim,) = (name for name in names(bucket) if name.startswith("_exporting"))
        storage.remove(f"{FOLDER}/{claim}")

    before_put("_manifest.json", take_for_dead)
    with pytest.raises(SourceError, match="compare the clocks, and export again"):
        export(bucket, JANUARY)


def test_exporting_what_the_lake_has_takes_no_turn(bucket, server):
    export(bucket, JANUARY)
    server.requests.clear()
    assert export(bucket, JANUARY).unchanged == 1
    assert not server.sent("PUT", "")
