"""The view of several processes: real ones, on Redis, SQLite and PostgreSQL."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import zlib
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohlcache.cache import CacheManager
from ohlcache.errors import ReportUnreadable
from ohlcache.telemetry import Counters, Histogram, Readings, vocabulary
from ohlcache.telemetry.board import Posted
from ohlcache.telemetry.fleet import Fleet
from ohlcache.telemetry.process import Process, this_process
from ohlcache.telemetry.report import Report, decode, encode
from telemetry.fleet_member import durations, settings_of

MEMBER = Path(__file__).with_name("fleet_member.py")
PATIENCE = 10.0
SERIES = (vocabulary.CACHE_HITS, ("l1", "default"))


class FakeBoard:
    """A board in memory; ``error``: raised by everything."""

    def __init__(self):
        self.held = {}
        self.error = None
        self.most = 10
        self.attempts = 0

    def post(self, process, report, seconds):
        self.attempts += 1
        self._check()
        if process not in self.held and len(self.held) >= self.most:
            return False
        self.held[process] = Posted(report, 0.0)
        return True

    def withdraw(self, process):
        self._check()
        self.held.pop(process, None)

    def reports(self):
        self._check()
        return dict(self.held)

    def _check(self):
        if self.error is not None:
            raise self.error


def hits(count):
    readings = Readings()
    readings.add(vocabulary.CACHE_HITS, count, "l1", "default")
    return readings


@pytest.fixture
def board():
    return FakeBoard()


@pytest.fixture
def errors():
    return Counters()


@pytest.fixture
def fleet(board, errors):
    return Fleet(lambda: board, errors=errors)


class TestPosting:
    def test_it_is_done_once_an_interval(self, fleet, board):
        for second in range(11):
            fleet.post(hits(second), 100.0 + second)
        assert board.attempts == fleet.stats()["posts"] == 3
        (view,) = fleet.view().processes.values()
        assert view.readings.values[SERIES] == 10

    def test_a_failure_is_counted_and_not_repeated_before_the_next_interval(
        self, fleet, board, errors
    ):
        board.error = ConnectionError("gone")
        for second in range(10):
            fleet.post(hits(second), float(second))
        assert board.attempts == 2
        assert fleet.stats() == {"failed post: ConnectionError": 2}
        assert errors.snapshot() == {"fleet post: ConnectionError": 2}
        board.error = None
        fleet.post(hits(1), 10.0)
        assert fleet.view().total.values[SERIES] == 1

    def test_a_full_board_is_counted(self, fleet, board, errors):
        board.most = 0
        fleet.post(hits(1), 0.0)
        assert fleet.stats() == {"refused": 1}
        assert errors.snapshot() == {"fleet post: the board is full": 1}

    def test_closing_takes_the_report_away_and_posting_brings_it_back(self, fleet, board):
        fleet.post(hits(1), 0.0)
        assert board.held
        fleet.close()
        assert not board.held
        fleet.post(hits(1), 0.1)
        assert board.held

    def test_closing_survives_a_board_that_fails(self, fleet, board, errors):
        fleet.post(hits(1), 0.0)
        board.error = OSError("gone")
        fleet.close()
        assert errors.snapshot() == {"fleet withdraw: OSError": 1}


class TestViewing:
    def test_without_a_board_a_process_sees_itself(self):
        fleet = Fleet(lambda: None, errors=Counters())
        fleet.post(hits(3), 0.0)
        view = fleet.view()
        assert list(view.processes) == [this_process().name]
        assert view.total.values[SERIES] == 3
        assert "only this process" in view.problem
        assert fleet.stats() == {"without a board": 1}

    def test_a_board_that_fails_is_named_and_counted(self, fleet, board, errors):
        fleet.post(hits(3), 0.0)
        board.error = TimeoutError("slow")
        view = fleet.view()
        assert view.total.values[SERIES] == 3
        assert "TimeoutError" in view.problem
        assert errors.snapshot() == {"fleet view: TimeoutError": 1}

    def test_what_cannot_be_read_is_left_out_and_told(self, fleet, board):
        fleet.post(hits(3), 0.0)
        good = next(iter(board.held.values())).report
        board.held["foreign"] = Posted(b"\x00\x01 something else", 1.0)
        board.held["cut"] = Posted(good[:-7], 1.0)
        view = fleet.view()
        assert list(view.processes) == [this_process().name]
        assert view.total.values[SERIES] == 3
        assert set(view.unreadable) == {"foreign", "cut"}
        assert fleet.stats()["unreadable"] == 2
        assert view.problem == ""

    def test_each_metric_is_put_together_in_its_own_way(self, fleet, board):
        for pid, used in ((1, 0.5), (2, 0.9), (3, 0.2)):
            readings = hits(pid)
            readings.add(vocabulary.MEMORY_USED_RATIO, used)
            readings.add(vocabulary.HEALTH_SCORE, 100 * used, "overall")
            report = Report(Process("host", pid, 1.0), 2.0, readings)
            board.held[report.process.name] = Posted(encode(report), 4.5)
        view = fleet.view()
        assert view.total.values == {
            SERIES: 6,
            (vocabulary.MEMORY_USED_RATIO, ()): 0.9,
            (vocabulary.HEALTH_SCORE, ("overall",)): 20.0,
        }
        second = view.processes["host:2:1000000"]
        assert second.process == Process("host", 2, 1.0)
        assert (second.at, second.age_seconds) == (2.0, 4.5)
        assert second.readings.values[SERIES] == 2


class TestReports:
    @given(
        st.lists(st.tuples(st.sampled_from(sorted(vocabulary.METRICS)), st.floats(0, 1e15))),
        st.lists(st.floats(1e-9, 1e4), max_size=40),
    )
    def test_they_come_back_as_they_were(self, values, times):
        readings, histogram = Readings(), Histogram()
        for duration in times:
            histogram.record(duration)
        for name, value in values:
            metric = vocabulary.METRICS[name]
            labels = [f"{label} ключ;=\n" for label in metric.labels]
            is_histogram = metric.kind == "histogram"
            readings.add(metric, histogram.distribution() if is_histogram else value, *labels)
        found = decode(encode(Report(this_process(), 7.25, readings)))
        assert found.process == this_process()
        assert found.at == 7.25
        assert found.readings.values == readings.values

    @given(st.binary(max_size=200), st.integers(0, 400), st.integers(1, 255))
    def test_other_bytes_are_refused(self, foreign, place, change):
        good = bytearray(encode(Report(this_process(), 1.0, hits(5))))
        place %= len(good)
        good[place] ^= change
        head = b"ohlcache-report-1:"
        for raw in (foreign, bytes(good), head + foreign, head + zlib.compress(foreign)):
            with pytest.raises(ReportUnreadable) as refused:
                decode(raw)
            assert "\n" not in str(refused.value)


@contextmanager
def members(url, namespace, *seeds):
    """Processes that report, and what each says of itself."""
    command = [sys.executable, str(MEMBER), url, namespace]
    running = [
        subprocess.Popen(
            [*command, str(seed)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for seed in seeds
    ]
    try:
        yield [(process, json.loads(process.stdout.readline())) for process in running]
    finally:
        for process in running:
            try:
                process.communicate(timeout=PATIENCE)
            finally:
                process.kill()


@pytest.fixture(params=["redis", "sqlite", "postgres"])
def url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'cache.db'}"
    kind = "redis_url" if request.param == "redis" else "postgres_schema_url"
    return request.getfixturevalue(kind)


@pytest.fixture
def looking(url, namespace):
    """The fleet of a process that looks and has not reported yet."""
    with CacheManager(settings_of(url, namespace)) as cache:
        yield Fleet(lambda: cache.board, errors=Counters())


def until(holds):
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "it never came to pass"
        time.sleep(0.02)


class TestProcesses:
    def test_the_total_is_the_sum_of_what_each_counted(self, url, namespace, looking):
        with members(url, namespace, 1, 2, 3) as running:
            view = looking.view()
            said = {words["name"]: words for _, words in running}
            assert view.processes.keys() == said.keys()
            total = view.total.values
            assert total[SERIES] == sum(words["counts"]["default"] for words in said.values())
            assert total[vocabulary.CACHE_HITS, ("l1", "features")] == 1 + 2 + 3
            pids = [words["pid"] for words in said.values()]
            assert total[vocabulary.CACHE_BYTES, ("default",)] == sum(pids)
            assert total[vocabulary.MEMORY_USED_RATIO, ()] == max(pids) / 1e9
            together = Histogram()
            for seed in (1, 2, 3):
                for duration in durations(str(seed)):
                    together.record(duration)
            found = total[vocabulary.CACHE_READ_SECONDS, ("l1",)]
            assert list(found) == list(together.distribution())
            for share in (0.01, 0.5, 0.99):
                assert found.quantile(share) == together.quantile(share)
            for name, words in said.items():
                own = view.processes[name]
                assert own.process.name == name
                assert own.process.pid == words["pid"]
                assert own.readings.values[SERIES] == words["counts"]["default"]
                assert 0 <= own.age_seconds < PATIENCE
            assert view.problem == ""
            (first, words), *_ = running
            first.communicate()  # it ends as it should
            assert words["name"] not in looking.view().processes
            assert len(looking.view().processes) == 2

    def test_two_namespaces_do_not_see_each_other(self, url, namespace, looking):
        with (
            CacheManager(settings_of(url, f"{namespace}-2")) as other,
            members(url, namespace, 5),
        ):
            apart = Fleet(lambda: other.board, errors=Counters())
            apart.post(hits(1), 0.0)
            assert apart.view().total.values == {SERIES: 1}
            assert looking.view().total.values[SERIES] == 500
            apart.close()

    def test_a_child_is_another_process_and_does_not_count_for_its_parent(
        self, redis_url, namespace
    ):
        with (
            CacheManager(settings_of(redis_url, namespace)) as cache,
            members(redis_url, namespace, "fork") as [(parent, words)],
        ):
            assert words["pid"] != parent.pid
            view = Fleet(lambda: cache.board, errors=Counters()).view()
            assert list(view.processes) == [words["name"]]
            assert words["counts"] == {"default": 7}
            assert view.total.values[SERIES] == 7


class TestOutage:
    def test_redis_goes_and_comes_back(self, redis_server, namespace):
        server, errors = redis_server(), Counters()
        with CacheManager(settings_of(server.url, namespace)) as cache:
            fleet = Fleet(lambda: cache.board, errors=errors)
            fleet.post(hits(1), 0.0)
            assert fleet.view().problem == ""
            server.kill()
            fleet.post(hits(2), 5.0)
            view = fleet.view()
            assert view.problem
            assert view.total.values[SERIES] == 2
            assert errors.snapshot()["fleet post: ConnectionError"] == 1
            cache.set("key", 1)  # the cache finds out, and leaves the tier alone
            assert cache.board is None
            fleet.post(hits(3), 10.0)
            assert fleet.stats()["without a board"] == 1
            server.start()
            until(lambda: cache.board is not None)
            fleet.post(hits(4), 15.0)
            assert fleet.view().problem == ""
            assert fleet.view().total.values[SERIES] == 4

    def test_the_database_takes_over_from_redis(self, redis_server, namespace, tmp_path):
        server = redis_server()
        settings = settings_of(server.url, namespace)
        settings["cache"]["l3"] = {"url": f"sqlite:///{tmp_path / 'cache.db'}"}
        with CacheManager(settings) as cache:
            fleet = Fleet(lambda: cache.board, errors=Counters())
            server.kill()
            cache.set("key", 1)
            fleet.post(hits(2), 0.0)
            assert fleet.view().problem == ""
            assert fleet.view().total.values[SERIES] == 2

    def test_a_killed_process_disappears(self, redis_server, namespace):
        server = redis_server()
        with (
            CacheManager(settings_of(server.url, namespace)) as cache,
            members(server.url, namespace, 1, 2) as running,
        ):
            fleet = Fleet(lambda: cache.board, errors=Counters())
            (killed, words), (_, others) = running
            killed.send_signal(signal.SIGKILL)
            killed.wait()
            assert words["name"] in fleet.view().processes, "its time has not passed yet"
            with server.client() as client:  # which passes here
                ends = f"{{ohlcache:1:{namespace}:0}}:e"
                client.zincrby(ends, -15_000_000, words["name"])
            assert list(fleet.view().processes) == [others["name"]]


def test_a_cache_without_shared_tiers_has_no_board():
    with CacheManager({}) as cache:
        assert cache.board is None
