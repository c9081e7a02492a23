"""Counters and histograms: exact over any number of threads, also those that have ended."""

from __future__ import annotations

import gc
import math
import os
import threading
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohlcache.telemetry import Counters, Histogram
from ohlcache.telemetry.per_thread import PerThread

WITHIN = 2 ** (1 / 4)  # a quantile is known to this factor


def in_threads(count, work):
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class TestCounters:
    def test_they_are_exact_over_many_threads(self):
        counters = Counters()

        def work(number):
            for _ in range(2000):
                counters.count("hits")
                counters.count("bytes", number)

        in_threads(8, work)
        assert counters.snapshot() == {"hits": 16_000, "bytes": 2000 * sum(range(8))}
        assert counters["hits"] == 16_000
        assert counters["never"] == 0

    def test_looking_while_others_count_loses_nothing(self):
        counters = Counters()
        ended = threading.Event()
        seen = []

        def look(_):
            while not ended.is_set():
                seen.append(counters["hits"])

        watcher = threading.Thread(target=look, args=(0,))
        watcher.start()
        for _ in range(20):
            in_threads(4, lambda _: [counters.count("hits") for _ in range(200)])
        ended.set()
        watcher.join()
        assert counters["hits"] == 20 * 4 * 200
        assert seen == sorted(seen)

    def test_threads_that_ended_are_folded_and_let_go(self):
        counters = Counters()
        for _ in range(50):
            in_threads(4, lambda _: counters.count("hits"))
            counters.snapshot()
            assert len(counters._counts._parts) <= 1
        assert counters["hits"] == 200

    def test_names_below_a_prefix(self):
        counters = Counters()
        counters.count("error:Timeout", 2)
        counters.count("errors")
        assert counters.below("error:") == {"Timeout": 2}

    def test_a_snapshot_is_nobodys(self):
        counters = Counters()
        counters.count("hits")
        counters.snapshot()["hits"] = 99
        assert counters["hits"] == 1

    def test_counters_that_nobody_needs_leave_nothing_behind(self):
        counters = Counters()
        counters.count("hits")
        gone = weakref.ref(counters)
        del counters
        gc.collect()
        assert gone() is None


class TestPerThread:
    def test_each_thread_has_its_own(self):
        parts = PerThread(list, lambda part, total: total.extend(part))
        parts.own.append(0)
        in_threads(3, lambda number: parts.own.append(number + 1))
        assert sorted(parts.total()) == [0, 1, 2, 3]
        assert parts.own == [0]


class TestHistogram:
    def test_it_is_exact_over_many_threads(self):
        histogram = Histogram()
        in_threads(8, lambda number: [histogram.record(number / 1000) for _ in range(1000)])
        found = histogram.snapshot()
        assert found["count"] == 8000
        assert found["mean"] == pytest.approx(3.5 / 1000)

    @given(
        st.lists(st.floats(1e-7, 360), min_size=1, max_size=300),
        st.sampled_from([0.01, 0.5, 0.9, 0.99, 0.999, 1.0]),
    )
    def test_quantiles_are_within_19_percent(self, durations, share):
        histogram = Histogram()
        for seconds in durations:
            histogram.record(seconds)
        exact = sorted(durations)[max(0, math.ceil(share * len(durations)) - 1)]
        found = histogram.quantile(share)
        assert exact / 1.0001 <= found <= exact * WITHIN * 1.0001

    def test_nothing_was_recorded(self):
        found = Histogram().snapshot()
        assert found == {"count": 0, "mean": 0.0, "p50": 0.0, "p99": 0.0, "p999": 0.0}

    @pytest.mark.parametrize("seconds", [0.0, -1.0, 1e-12, 1e6])
    def test_what_no_bucket_is_for_counts_in_the_nearest(self, seconds):
        histogram = Histogram()
        histogram.record(seconds)
        found = histogram.snapshot()
        assert found["count"] == 1
        assert found["mean"] == seconds
        assert 1e-7 <= found["p50"] <= 500


def test_a_forked_child_counts_anew_and_its_parent_goes_on():
    counters, histogram = Counters(), Histogram()
    counters.count("hits", 100)
    histogram.record(1.0)
    child = os.fork()
    if child == 0:
        counters.count("hits", 7)
        is_own = counters.snapshot() == {"hits": 7} and histogram.snapshot()["count"] == 0
        os._exit(0 if is_own else 1)
    assert os.waitpid(child, 0)[1] == 0
    counters.count("hits")
    assert counters["hits"] == 101
    assert histogram.snapshot()["count"] == 1


def test_threads_that_ended_are_let_go_though_nobody_looks():
    counters = Counters()
    for _ in range(40):
        in_threads(10, lambda _: counters.count("hits"))
    assert len(counters._counts._parts) < 150
    assert counters["hits"] == 400
