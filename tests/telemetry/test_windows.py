"""The recent past: increases, rates, levels and durations over any time, in fixed memory."""

from __future__ import annotations

import itertools
import random
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohlcache.telemetry import Histogram, Readings
from ohlcache.telemetry import vocabulary as metrics
from ohlcache.telemetry.windows import RESOLUTIONS, Selection, Windows

HITS = Selection.of(metrics.CACHE_HITS, tier="l1")


def readings(hits=0, category="default", **gauges):
    found = Readings()
    found.add(metrics.CACHE_HITS, hits, "l1", category)
    for name, value in gauges.items():
        found.add(metrics.METRICS[f"ohlcache_{name}"], value)
    return found


def test_what_was_counted_before_the_first_look_counts():
    windows = Windows(0.0)
    windows.add(5.0, readings(hits=40))
    assert windows.increase(HITS, 60) == 40
    assert windows.rate(HITS, 60) == 8.0


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=300), st.integers(1, 110))
def test_the_increase_over_seconds_is_that_of_the_counter(steps, seconds):
    windows, total, totals = Windows(0.0), 0, [0]
    for at, step in enumerate(steps, 1):
        total += step
        totals.append(total)
        windows.add(float(at), readings(hits=total))
    assert windows.increase(HITS, seconds) == total - totals[max(0, len(steps) - seconds)]


def test_a_counter_that_starts_again_counts_from_nothing():
    windows = Windows(0.0)
    windows.add(1.0, readings(hits=500))
    windows.add(2.0, readings(hits=3))
    assert windows.increase(HITS, 1) == 3


def test_minutes_and_hours_are_there_long_after_the_seconds_are_gone():
    windows = Windows(0.0)
    for at in range(1, 3 * 3600, 1):
        windows.add(float(at), readings(hits=at))
    now = windows.at
    for seconds in (1, 60, 100, 600, 3600):
        resolution = 1 if seconds < 110 else 60
        assert windows.increase(HITS, seconds) == pytest.approx(seconds, abs=resolution)
    minutes = windows.levels(HITS, 60.0)
    assert len(minutes) == RESOLUTIONS[1][1] + 1
    assert all(
        48 < later - earlier < 72 for (earlier, _), (later, _) in itertools.pairwise(minutes)
    )
    assert now - minutes[0][0] == pytest.approx(7200, abs=120)


def test_series_are_selected_by_their_labels():
    windows, found = Windows(0.0), Readings()
    found.add(metrics.CACHE_HITS, 5, "l1", "features")
    found.add(metrics.CACHE_HITS, 7, "l1", "default")
    found.add(metrics.CACHE_HITS, 9, "l2", "default")
    windows.add(1.0, found)
    assert windows.increase(HITS, 60) == 12
    assert windows.increase(Selection.of(metrics.CACHE_HITS, category="default"), 60) == 16
    assert windows.increase(Selection(metrics.CACHE_HITS), 60) == 21


def test_gauges_are_put_together_as_the_metric_says():
    windows, found = Windows(0.0), Readings()
    found.add(metrics.CACHE_BYTES, 10, "features")
    found.add(metrics.CACHE_BYTES, 5, "default")
    found.add(metrics.CACHE_BREAKER_OPEN, 1, "l2")
    found.add(metrics.CACHE_BREAKER_OPEN, 0, "l3")
    windows.add(1.0, found)
    assert windows.level(Selection(metrics.CACHE_BYTES)) == 15
    assert windows.level(Selection(metrics.CACHE_BREAKER_OPEN)) == 1
    assert windows.level(Selection(metrics.MEMORY_USED_RATIO)) is None


def test_a_series_that_is_gone_has_no_level_any_more():
    windows = Windows(0.0)
    windows.add(1.0, readings(memory_used_ratio=0.5))
    windows.add(2.0, readings())
    assert windows.level(Selection(metrics.MEMORY_USED_RATIO)) is None


def test_durations_of_the_last_seconds_only():
    windows, histogram = Windows(0.0), Histogram()
    selection = Selection.of(metrics.CACHE_READ_SECONDS, tier="l2")
    for at, seconds in enumerate([0.001] * 60 + [0.100] * 60, 1):
        histogram.record(seconds)
        found = Readings()
        found.add(metrics.CACHE_READ_SECONDS, histogram.distribution(), "l2")
        windows.add(float(at), found)
    last = windows.distribution(selection, 60)
    assert last.count == 60
    assert last.quantile(0.01) == pytest.approx(0.1, rel=0.19)
    assert windows.distribution(selection, 119).quantile(0.01) == pytest.approx(0.001, rel=0.19)


def test_memory_does_not_grow_with_time():
    windows, random_ = Windows(0.0), random.Random(1)
    series = [Readings() for _ in range(2)]

    def look(at):
        found = series[at % 2] = Readings()
        for category in range(30):
            found.add(metrics.CACHE_HITS, random_.random() * at, "l1", str(category))
        windows.add(float(at) * 40, found)

    for at in range(1, 20_000):  # more than a week, so that all rings are full
        look(at)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for at in range(20_000, 21_000):
            look(at)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    frames = sum(most + 1 for _, most in RESOLUTIONS)
    assert grown < frames * 30 * 80  # replaced one by one, none kept


def test_names_that_come_and_go_do_not_fill_the_memory():
    windows = Windows(0.0)
    for at in range(1, 200):
        found = Readings()
        for number in range(100):
            found.add(metrics.HISTORY_SERIES_READS, 1, f"{at}-{number}")
        windows.add(float(at), found)
    assert len(windows.series(Selection(metrics.HISTORY_SERIES_READS))) <= 4000
