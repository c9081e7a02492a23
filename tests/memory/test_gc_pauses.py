"""Pauses of garbage collection, as they are measured."""

from __future__ import annotations

import gc
import itertools
import threading

import pytest

from ohlcache.memory.gc_pauses import GcPauses


class Node:
    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def _only_ours():
    """No collection but those that the test asks for."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def pauses():
    ticks = itertools.count()
    with GcPauses(clock=lambda: next(ticks) * 0.25) as started:
        yield started


def test_each_collection_counts_in_its_generation_with_its_pause(pauses):
    for generation in (0, 0, 2):
        gc.collect(generation)
    stats = pauses.stats()
    assert [stats[f"generation_{number}"]["count"] for number in range(3)] == [2, 0, 1]
    assert stats["generation_0"]["seconds"] == 0.5
    assert stats["generation_2"]["longest"] == 0.25
    assert pauses.totals() == (3, 0.75)
    assert pauses.distribution(0).quantile(0.99) == pytest.approx(0.25, rel=0.19)


def test_collected_objects_are_counted(pauses):
    for _ in range(10):
        Node()
    gc.collect(0)
    assert pauses.stats()["generation_0"]["collected"] >= 10


def test_the_longest_pause_is_told_once(pauses):
    gc.collect(0)
    assert pauses.take_longest() == 0.25
    assert pauses.take_longest() == 0.0


def test_nothing_is_left_behind_and_starting_twice_measures_once():
    before = list(gc.callbacks)
    pauses = GcPauses()
    pauses.start()
    pauses.start()
    gc.collect(0)
    assert pauses.totals().collections == 1
    pauses.stop()
    pauses.stop()
    assert gc.callbacks == before
    gc.collect(0)
    assert pauses.totals().collections == 1


def test_callbacks_that_someone_cleared_stop_nothing():
    before = list(gc.callbacks)
    with GcPauses():
        gc.callbacks.clear()
    assert gc.callbacks == []
    gc.callbacks[:] = before


def test_started_again_it_goes_on_counting():
    pauses = GcPauses()
    for _ in range(2):
        with pauses:
            gc.collect(0)
    assert pauses.totals().collections == 2


def test_collections_in_any_thread_count(pauses):
    threads = [threading.Thread(target=gc.collect, args=(1,)) for _ in range(4)]
    for thread in threads:
        thread.start()
        thread.join()
    assert pauses.stats()["generation_1"]["count"] == 4
