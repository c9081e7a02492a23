from __future__ import annotations

import gc
import json
import logging
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import ohlcache
from memory.alone import alone
from memory.conftest import MB
from ohlcache import reclaim
from ohlcache.cache import CacheManager
from ohlcache.memory import MemoryManager, get_memory_manager
from ohlcache.memory import process as memory_process
from ohlcache.memory.usage import read_usage
from ohlcache.settings import MemorySettings
from ohlcache.telemetry import vocabulary as metrics
from ohlcache.telemetry.registry import registry

WAIT = 10.0


def wait_for(condition):
    pause = threading.Event()
    for _ in range(1000):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("did not happen")


# -- one for the process --------------------------------------------------------------------------


@pytest.fixture
def no_manager_yet(monkeypatch):
    monkeypatch.setattr(memory_process, "_manager", None)


@pytest.mark.usefixtures("no_manager_yet")
def test_there_is_one_which_takes_another_limit():
    manager = get_memory_manager(memory_limit_mb=700)
    assert manager.snapshot().limit_bytes == 700 * MB
    assert get_memory_manager() is manager
    assert manager.snapshot().limit_bytes == 700 * MB

    assert get_memory_manager(memory_limit_mb=800) is manager
    assert manager.snapshot().limit_bytes == 800 * MB


@pytest.mark.usefixtures("no_manager_yet")
def test_it_obeys_the_settings_in_force(monkeypatch):
    monkeypatch.setenv("OHLCACHE_MEMORY__LIMIT_MB", "900")
    monkeypatch.setenv("OHLCACHE_MEMORY__WARNING", "0.5")

    stats = get_memory_manager().stats()

    assert stats["limit_bytes"] == 900 * MB
    assert stats["warning_bytes"] == 450 * MB


@pytest.mark.usefixtures("no_manager_yet")
@pytest.mark.parametrize("limit", [0, -1, float("nan"), "much"])
def test_a_limit_that_is_none_is_refused(limit):
    with pytest.raises(ohlcache.InvalidArgument, match="limit_mb"):
        get_memory_manager(memory_limit_mb=limit)
    manager = get_memory_manager()
    with pytest.raises(ohlcache.InvalidArgument, match="limit_mb"):
        get_memory_manager(memory_limit_mb=limit)
    assert manager.snapshot().limit_bytes == 2048 * MB


def test_a_snapshot_shows_process_interpreter_and_machine():
    snapshot = MemoryManager(MemorySettings(limit_mb=10_000)).snapshot()

    assert abs(snapshot.rss_bytes - read_usage().rss) < 50 * MB
    assert 0 < snapshot.uss_bytes <= snapshot.rss_bytes * 1.1
    assert snapshot.used_ratio == snapshot.rss_bytes / snapshot.limit_bytes
    assert snapshot.system_total_bytes >= snapshot.system_available_bytes > 0
    assert len(snapshot.garbage.collections) == 3
    assert snapshot.heap_blocks > 0
    assert snapshot.rating == "Excellent"


def test_a_sample_is_kept_at_each_interval_however_often_it_looks(process, make_manager):
    manager = make_manager(1000, interval_seconds=5)
    for size in (100, 500, 790):
        process.fixed = size * MB
        before, began = manager._monitor.samples.taken, process.now
        while process.now < began + 100:
            process.now += manager._look()
        assert 19 <= manager._monitor.samples.taken - before <= 21


def test_a_reporter_that_hangs_does_not_keep_it_from_seeing_pressure(process, make_manager):
    class Reporter:
        def report(self, readings):
            come_back.wait(WAIT)

    come_back, reporter = threading.Event(), Reporter()
    registry.register(reporter.report)
    part = process.part(900)
    manager = make_manager(1000)
    manager.on_pressure(part.free)
    try:
        with manager:
            wait_for(lambda: process.rss < 800 * MB)
    finally:
        come_back.set()


def test_pressure_is_relieved_before_anybody_is_asked_what_it_holds(process):
    def held():
        come_back.wait(WAIT)
        return 0

    come_back, part = threading.Event(), process.part(900)
    manager = MemoryManager(
        MemorySettings(limit_mb=1000),
        read=process.read,
        clock=process.clock,
        bounds=lambda usage: [],
        held=held,
    )
    manager.on_pressure(part.free)
    manager.start()
    try:
        wait_for(lambda: process.rss < 800 * MB)
    finally:
        come_back.set()
        manager.stop()


def test_a_signal_handler_may_stop_what_is_being_started(process, make_manager):
    manager, done = make_manager(1000), threading.Event()

    def start_and_stop():
        with manager._starting, manager._pauses._starting, memory_process._lock:
            manager.stop()  # as a handler would, in the thread that it interrupts
            manager.start()
            get_memory_manager()
            manager.stop()
        done.set()

    threading.Thread(target=start_and_stop, daemon=True).start()

    assert done.wait(WAIT)
    assert not manager.is_started


def test_of_two_managers_each_takes_leave_for_itself_alone(process, make_manager):
    part = process.part(700)
    one, other = make_manager(1000), make_manager(100_000)
    one.on_pressure(part.free)

    with one:
        with other:
            pass
        reclaim.announce(500 * MB)

    assert process.rss + 500 * MB <= 900 * MB


def test_what_others_set_of_the_collector_meanwhile_is_theirs(make_manager):
    before = gc.get_threshold()
    callbacks = list(gc.callbacks)
    manager = make_manager().start(gc_tuning=True)
    try:
        gc.set_threshold(1234, 5, 6)
        gc.callbacks.clear()
        manager.stop()
        assert gc.get_threshold() == (1234, 5, 6)
    finally:
        gc.set_threshold(*before)
        gc.callbacks[:] = callbacks


# -- watching -------------------------------------------------------------------------------------


def test_above_the_warning_mark_memory_is_reclaimed_to_below_it(process, make_manager):
    part = process.part(700)
    manager = make_manager(1000)
    manager.on_pressure(part.free, name="mine")
    process.fixed = 150 * MB

    with manager:
        wait_for(lambda: process.rss < 800 * MB)
        wait_for(lambda: manager.stats()["pressure"]["reliefs"] == 1)

    assert process.rss == 768 * MB  # and no further than 4% below the mark
    assert manager.stats()["pressure"]["recovered_bytes"]["mine"] == 850 * MB - 768 * MB


def test_parts_give_in_their_order_and_callbacks_after_them(process, make_manager):
    class Offers:
        def __init__(self, name):
            self.name = name

        def free(self, wanted):
            order.append(self.name)
            return 0

    order = []
    decoded, compress, evict = Offers("decoded"), Offers("compress"), Offers("evict")
    reclaim.offer("decoded", reclaim.DECODED, decoded.free)
    reclaim.offer("compress", reclaim.COMPRESS, compress.free)
    reclaim.offer("evict", reclaim.EVICT, evict.free)
    manager = make_manager(100)

    @manager.on_pressure
    def last():
        order.append("callback")

    manager.on_pressure(lambda wanted: order.append("first"), order=1)
    process.fixed = 95 * MB

    manager.optimize()

    # Compressing costs nobody a value, so optimize asks for that before anything else.
    assert order == ["compress", "first", "compress", "evict", "decoded", "callback"]


def test_callbacks_take_the_bytes_wanted_or_nothing(process, make_manager):
    manager = make_manager(100)
    got = []
    manager.on_pressure(lambda: got.append("none"))
    manager.on_pressure(got.append)
    manager.on_pressure(lambda wanted: got.append(wanted + 0))
    manager.on_pressure(lambda *wanted: got.append(wanted[0]))
    manager.on_pressure(gc.collect)
    forgotten = manager.on_pressure(lambda: got.append("forgotten"))
    manager.forget(forgotten)
    process.fixed = 90 * MB

    manager.optimize()

    wanted = process.rss - manager._monitor.marks.target
    assert got == ["none", wanted, wanted, wanted]
    assert manager.stats()["pressure"]["errors"] == {}


@pytest.mark.parametrize("callback", [None, 5, "free", lambda one, two: None, lambda *, key: None])
def test_what_cannot_be_called_so_is_refused(make_manager, callback):
    with pytest.raises(ohlcache.InvalidArgument, match="callback"):
        make_manager().on_pressure(callback)


def test_a_coroutine_function_is_refused(make_manager):
    async def free():
        pass

    with pytest.raises(ohlcache.InvalidArgument, match="coroutine function"):
        make_manager().on_pressure(free)


def test_announced_growth_finds_room_while_started_only(process, make_manager):
    part = process.part(700)
    manager = make_manager(1000)
    manager.on_pressure(part.free)

    reclaim.announce(500 * MB)
    assert part.held == 700 * MB
    with manager:
        reclaim.announce(500 * MB)
        assert process.rss + 500 * MB <= 900 * MB
    before = part.held
    reclaim.announce(800 * MB)
    assert part.held == before


def test_a_limit_below_what_is_in_use_is_told_at_start_and_blocks_nothing(
    process, make_manager, caplog
):
    process.fixed = 300 * MB
    manager = make_manager(100)

    with manager:
        manager.make_room(10 * MB)
        wait_for(lambda: manager.stats()["pressure"]["in_vain"] > 0)
        health = manager.health()

    (told,) = [one for one in caplog.records if "in use already" in one.message]
    assert told.levelno == logging.WARNING
    assert told.message.startswith("setting memory.limit_mb is 100 MB, and 300 MB are in use")
    assert "\n" not in told.message
    assert manager.stats()["limit_is_below_use"]
    assert health.rating == "Critical"
    assert any("nobody who was asked" in reason.message for reason in health.reasons)


def test_without_samples_there_is_nothing_to_find(make_manager):
    manager = make_manager()

    assert manager.findings() == []
    manager.trend()
    assert manager.findings() == []


def test_other_settings_are_obeyed_from_then_on(make_manager):
    manager = make_manager(1000)

    manager.configure(MemorySettings(limit_mb=500, warning=0.5, critical=0.6))

    stats = manager.stats()
    assert (stats["warning_bytes"], stats["critical_bytes"]) == (250 * MB, 300 * MB)


def test_starting_and_stopping_again_and_again(make_manager):
    threads = threading.active_count()
    manager = make_manager()
    for _ in range(3):
        assert manager.start() is manager
        assert manager.start().is_started
        manager.stop()
        manager.stop()
        assert not manager.is_started
    assert threading.active_count() == threads
    assert manager._pauses._called not in gc.callbacks


@alone
def test_a_leak_is_reported_with_its_suspects(process, make_manager):
    manager = make_manager(2000)
    noise = np.random.default_rng(1)
    for _ in range(360):
        process.now += 10
        process.fixed += int(MB * (1 + noise.normal()))
        manager._see()

    first = manager.health()
    leaked = [[number] for number in range(50_000)]
    process.now += 100
    health = manager.health()

    assert first.leak.leaking
    assert health.rating in ("Warning", "Critical")
    assert 200 * MB < health.growth_bytes_per_hour < 500 * MB
    assert health.time_to_limit_seconds is not None
    assert any("list" in suspect.type_name for suspect in health.suspects), health.suspects
    assert manager.trend().significant
    (finding,) = manager.findings()
    assert (finding.component, finding.message) == ("memory", health.leak.why)
    del leaked


def test_a_filling_cache_is_no_leak(process, make_manager):
    manager = make_manager(8000)
    noise = np.random.default_rng(1)
    for step in range(360):
        process.now += 10
        process.accounted = step * MB
        process.fixed = int(200 * MB + process.accounted + 2 * MB * noise.normal())
        manager._see()

    health = manager.health()

    assert not health.leak.leaking
    assert health.growth_bytes_per_hour > 200 * MB
    assert health.suspects == ()


def test_what_caches_and_candles_hold_is_known(tmp_path):
    before = reclaim.held_bytes()
    with CacheManager({"cache": {}}) as cache, ohlcache.open(tmp_path) as md:
        cache.set("key", b"x" * MB)
        in_cache = reclaim.held_bytes() - before
        md.write("A/B", "1m", [[0, 1, 1, 1, 1, 1], [60_000, 1, 1, 1, 1, 1]])
        md.candles("A/B", "1m", 0, 120_000)
        in_all = reclaim.held_bytes() - before

    assert MB <= in_cache < 1.1 * MB
    assert in_all >= in_cache + 2 * 6 * 8


def test_steady_memory_is_excellent(process, make_manager):
    manager = make_manager(2000)
    noise = np.random.default_rng(1)
    for _ in range(360):
        process.now += 10
        process.fixed = int(200 * MB + 2 * MB * noise.normal())
        manager._see()

    health = manager.health()

    assert (health.rating, health.reasons, health.growth_bytes_per_hour) == ("Excellent", (), 0.0)


def test_stats_and_metrics_tell_all(process, make_manager):
    part = process.part(900)
    manager = make_manager(1000)
    manager.on_pressure(part.free, name="a part of mine")
    with manager:
        wait_for(lambda: manager.stats()["pressure"]["reliefs"] > 0)
        readings = registry.collect()

    json.dumps(manager.stats())
    reclaimed = dict(readings.of(metrics.MEMORY_RECLAIMED_BYTES))
    assert reclaimed[("a part of mine",)] == 950 * MB - 768 * MB
    assert dict(readings.of(metrics.MEMORY_USED_RATIO))[()] >= 0.768


# -- optimize -------------------------------------------------------------------------------------


def test_optimize_gives_back_real_memory():
    manager = MemoryManager(MemorySettings(limit_mb=100_000))
    held = []
    for _ in range(64):
        cycle = [bytearray(MB)]
        cycle.append(cycle)
        held.append(cycle)
    held.clear()
    del cycle

    report = manager.optimize()

    assert report.gained_bytes > 48 * MB
    assert report.gained_bytes == report.before.rss_bytes - report.after.rss_bytes
    names = [step.name for step in report.steps]
    assert names == ["garbage collection", "free memory of the allocator"]
    assert report.steps[0].recovered > 48 * MB
    assert any("not compressed" in note for note in report.notes)


def test_optimize_during_a_relief_takes_no_more_than_the_relief_needs(process, make_manager):
    held_up, go_on = threading.Event(), threading.Event()

    def hold():
        held_up.set()
        go_on.wait(WAIT)

    part = process.part(900)
    manager = make_manager(1000)
    manager.on_pressure(hold, order=1)
    manager.on_pressure(part.free)
    with manager:
        assert held_up.wait(WAIT)
        optimizing = threading.Thread(target=manager.optimize)
        optimizing.start()
        go_on.set()
        optimizing.join(WAIT)

    assert process.rss == 768 * MB


def test_under_pressure_optimize_asks_everybody_and_tells_what_failed(process, make_manager):
    part = process.part(400)
    manager = make_manager(500)

    def broken():
        raise RuntimeError("no")

    manager.on_pressure(broken, name="broken")
    manager.on_pressure(part.free, name="mine")

    report = manager.optimize()

    assert process.rss == 384 * MB
    assert "broken failed: RuntimeError: no" in report.notes
    assert report.gained_bytes == 450 * MB - 384 * MB


def test_optimize_from_within_a_callback_does_nothing_and_says_so(process, make_manager):
    manager = make_manager(100)
    reports = []
    manager.on_pressure(lambda: reports.append(manager.optimize()))
    process.fixed = 99 * MB

    manager.optimize()

    (report,) = reports
    assert report.steps == ()
    assert any("nothing was asked for" in note for note in report.notes)


# -- real memory ----------------------------------------------------------------------------------


GIVING = """
import threading
import numpy as np
from ohlcache.memory import MemoryManager
from ohlcache.memory.usage import read_usage
from ohlcache.settings import MemorySettings

MB = 2**20
fixed = read_usage().rss
cache = {number: np.ones(MB // 8) for number in range(100)}
manager = MemoryManager(MemorySettings(limit_mb=(fixed + 80 * MB) / 0.8 / MB))

@manager.on_pressure
def shrink(wanted):
    freed = 0
    while cache and freed < wanted:
        freed += cache.popitem()[1].nbytes
    return freed

with manager:
    while not manager.stats()["pressure"]["reliefs"]:
        threading.Event().wait(0.01)
stats = manager.stats()
print(stats["rss_bytes"], stats["warning_bytes"], len(cache))
"""


def test_a_real_cache_gives_real_memory_until_it_suffices():
    done = subprocess.run(
        [sys.executable, "-c", GIVING], check=True, stdout=subprocess.PIPE, text=True, timeout=60
    )
    in_use, warning, left = map(int, done.stdout.split())
    assert in_use < warning
    assert left > 40  # no more went than had to


FRAGMENTING = """
import sys
from ohlcache.memory import MemoryManager
from ohlcache.memory.usage import read_usage
from ohlcache.settings import MemorySettings

MB = 2**20
for size in (30, 20, 10):  # has glibc take these for small
    block = bytearray(size * MB)
    del block
held, small = [], []
manager = MemoryManager(MemorySettings(limit_mb=20))
if sys.argv[1] == "managed":
    manager.on_pressure(lambda: None)
    manager.optimize()
for _ in range(40):
    held.append(b"x" * (4 * MB))
    small.append(b"x" * 100_000)
before = read_usage().data
del held[::2]
print((before - read_usage().data) / MB)
"""


def test_where_memory_is_short_large_pieces_leave_no_holes():
    fell = {}
    for how in ("managed", "alone"):
        command = [sys.executable, "-c", FRAGMENTING, how]
        environment = {name: os.environ[name] for name in os.environ if "MALLOC" not in name}
        done = subprocess.run(
            command, env=environment, check=True, stdout=subprocess.PIPE, text=True
        )
        fell[how] = float(done.stdout)
    assert fell["managed"] > 75
    assert fell["alone"] < 40


# -- forks ----------------------------------------------------------------------------------------

FORKING = """
import gc, os, sys, threading
from ohlcache import reclaim
from ohlcache.memory import get_memory_manager, process

found = gc.get_threshold(), list(gc.callbacks)
gc.set_threshold(500, 9, 9)
manager = get_memory_manager(memory_limit_mb=10_000).start(gc_tuning=True)
manager.on_pressure(lambda: 1 / 0, name="broken")
manager._pressure.request(0).done.wait()
reclaim.announce(2**21)
gc.collect()
while not manager.stats()["samples"] or not manager.stats()["pressure"]["errors"]:
    threading.Event().wait(0.01)
locked = threading.Event()
def lock():
    with process._lock, manager._starting, manager._pauses._starting, manager._tuning._lock:
        locked.set()
        threading.Event().wait()
threading.Thread(target=lock, daemon=True).start()
locked.wait()
child = os.fork()
if child == 0:
    assert get_memory_manager() is manager
    assert not manager.is_started
    stats = manager.stats()
    assert stats["samples"] == stats["looks"] == 0
    pressure = stats["pressure"]
    assert not pressure["reliefs"] and not pressure["errors"] and not pressure["steps"]
    assert not pressure["recovered_bytes"]
    assert not any(stats["announcements"].values())
    assert not any(pauses["count"] for pauses in stats["gc_pauses"].values())
    assert gc.callbacks == found[1]
    assert gc.get_threshold() == (500, 9, 9)
    reclaim.announce(2**30)
    assert manager.snapshot().rss_bytes > 0
    manager.start()
    assert manager.is_started
    assert "ohlcache-memory" in [thread.name for thread in threading.enumerate()]
    manager.optimize()
    manager.stop()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert manager.is_started
os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_the_manager_not_started():
    subprocess.run([sys.executable, "-c", FORKING], check=True, timeout=60)


def test_it_is_cheap_to_import():
    code = (
        "import sys; import ohlcache.memory; from ohlcache.memory import get_memory_manager; "
        "get_memory_manager().snapshot(); "
        "assert not {'numpy', 'pandas', 'pyarrow'} & set(sys.modules), 'heavy'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
