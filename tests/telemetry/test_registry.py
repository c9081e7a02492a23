"""Who reports: asked when somebody looks, forgotten with its owner, put together with others."""

from __future__ import annotations

import gc
import os

from ohlcache.telemetry import vocabulary as metrics
from ohlcache.telemetry.distribution import Distribution
from ohlcache.telemetry.metric import Metric
from ohlcache.telemetry.registry import MOST_SERIES, Readings, Registry


class Part:
    def __init__(self, bytes_=0, hits=0, is_open=0):
        self.bytes, self.hits, self.is_open = bytes_, hits, is_open

    def report(self, readings):
        readings.add(metrics.CACHE_HITS, self.hits, "l1", "default")
        readings.add(metrics.CACHE_BYTES, self.bytes, "default")
        readings.add(metrics.CACHE_BREAKER_OPEN, self.is_open, "l2")


class Broken:
    def report(self, readings):
        raise ValueError("out of order")


def test_parts_that_report_the_same_are_put_together_as_the_metric_says():
    registry, parts = Registry(), [Part(100, 5, 0), Part(50, 7, 1)]
    for part in parts:
        registry.register(part.report)
    values = registry.collect().values
    assert values[metrics.CACHE_HITS, ("l1", "default")] == 12
    assert values[metrics.CACHE_BYTES, ("default",)] == 150
    assert values[metrics.CACHE_BREAKER_OPEN, ("l2",)] == 1  # the worst, not the sum


def test_a_part_is_forgotten_with_its_owner():
    registry, part = Registry(), Part(hits=1)
    registry.register(part.report)
    del part
    gc.collect()
    assert not registry.collect().values


def test_a_part_that_fails_is_counted_and_hides_no_other():
    registry, part, broken = Registry(), Part(hits=3), Broken()
    registry.register(broken.report)
    registry.register(part.report)
    values = registry.collect().values
    assert values[metrics.CACHE_HITS, ("l1", "default")] == 3
    ((labels, count),) = registry.collect().of(metrics.TELEMETRY_ERRORS)
    assert labels == ("Broken.report: ValueError",)
    assert count == 2


def test_series_without_end_are_left_out_and_counted():
    class Spendthrift:
        def report(self, readings):
            for number in range(MOST_SERIES + 10):
                readings.add(metrics.HISTORY_SERIES_READS, 1, str(number))

    registry, part = Registry(), Spendthrift()
    registry.register(part.report)
    readings = registry.collect()
    assert len(list(readings.of(metrics.HISTORY_SERIES_READS))) == MOST_SERIES
    assert readings.values[metrics.TELEMETRY_ERRORS, ("too many series",)] == 10


def test_distributions_are_added():
    readings = Readings()
    readings.add(metrics.CACHE_READ_SECONDS, Distribution({3: 2}, 0.5), "l1")
    readings.add(metrics.CACHE_READ_SECONDS, Distribution({3: 1, 9: 4}, 1.0), "l1")
    assert readings.values[metrics.CACHE_READ_SECONDS, ("l1",)] == Distribution({3: 3, 9: 4}, 1.5)


def test_every_metric_is_well_named_and_found_by_its_name():
    for name, metric in metrics.METRICS.items():
        assert isinstance(metric, Metric)
        assert name == metric.name
        assert name.startswith("ohlcache_")
        assert not metric.unit or name.endswith(f"_{metric.unit}")
        assert metric.kind != "histogram" or metric.unit == "seconds"
        assert metric.help.endswith(".")


def test_a_child_process_that_was_forked_while_others_collect_can_collect():
    import threading

    registry, part = Registry(), Part(hits=1)
    registry.register(part.report)
    ended = threading.Event()

    def collect():
        while not ended.is_set():
            registry.collect()

    thread = threading.Thread(target=collect)
    thread.start()
    try:
        for _ in range(50):
            child = os.fork()
            if child == 0:
                registry.collect()
                registry.errors.count("x")
                os._exit(0 if registry.errors["x"] == 1 else 1)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        ended.set()
        thread.join()
