"""Who grows: types and lines."""

from __future__ import annotations

import gc
import random
import tracemalloc

import numpy as np
import pandas as pd
import pytest

from memory.alone import alone
from ohlcache.memory import census
from ohlcache.memory.suspects import Suspects


class Order:
    def __init__(self, number):
        self.number = number


class Dear:
    """Asking for its size would take as long as looking at all it refers to."""

    asked = 0

    def __sizeof__(self):
        Dear.asked += 1
        return 10**9


@pytest.fixture
def suspects(monkeypatch):
    monkeypatch.setattr(census, "SAMPLE", 10**9)  # count all
    gc.freeze()  # but what was there before, which takes seconds
    marked = Suspects()
    marked.mark()
    yield marked
    gc.unfreeze()


def by_name(found):
    return {suspect.type_name: suspect for suspect in found}


def test_a_type_that_grows_is_named(suspects):
    kept = [Order(number) for number in range(5_000)]
    found = by_name(suspects.growth(100))[f"{__name__}.Order"]
    assert found.count_growth == len(kept)
    assert found.bytes_growth >= len(kept) * 40
    assert f"{__name__}.Order" in str(found)


def test_what_is_gone_again_is_not_named(suspects):
    kept = [Order(number) for number in range(5_000)]
    del kept
    assert f"{__name__}.Order" not in by_name(suspects.growth(1_000))


@pytest.mark.parametrize(
    ("make", "name", "nbytes"),
    [
        (lambda n: [np.ones(125_000) for _ in range(n)], "numpy.ndarray", 1_000_000),
        (lambda n: [np.ones(125_000)[5:] for _ in range(n)], "numpy.ndarray", 1_000_000),
        (lambda n: [bytes(1_000_000) for _ in range(n)], "bytes", 1_000_000),
        (lambda n: [{i: (bytes(1_000_000), 7)} for i in range(n)], "bytes", 1_000_000),
        (lambda n: [pd.DataFrame(np.ones((25_000, 5))) for _ in range(n)], "numpy.ndarray", 10**6),
    ],
    ids=["arrays", "views", "bytes", "bytes in tuples", "frames"],
)
def test_memory_that_the_collector_does_not_track_is_found_with_who_holds_it(
    suspects, make, name, nbytes
):
    kept = make(20)
    found = suspects.growth(1)
    assert found[0].type_name == name
    assert found[0].bytes_growth == pytest.approx(len(kept) * nbytes, rel=0.1)


def test_no_code_of_a_class_is_run_to_learn_its_size(suspects):
    kept = [Dear() for _ in range(100)]
    found = by_name(suspects.growth(1_000))[f"{__name__}.Dear"]
    assert found.count_growth == len(kept)
    assert Dear.asked == 0
    assert found.bytes_growth < 100_000


@alone
def test_above_the_bound_it_is_estimated_from_a_sample(monkeypatch):
    monkeypatch.setattr(census, "SAMPLE", 20_000)
    monkeypatch.setattr(census, "_random", random.Random(1))
    suspects = Suspects()
    suspects.mark()
    kept = [Order(number) for number in range(50_000)]
    found = by_name(suspects.growth(10))
    assert found[f"{__name__}.Order"].count_growth == pytest.approx(len(kept), rel=0.1)


def test_looking_is_not_itself_suspect(suspects):
    suspects.growth()
    assert sum(suspect.bytes_growth for suspect in suspects.growth(1_000)) < 100_000


@pytest.mark.parametrize(
    "make", [list, lambda arrays: dict(enumerate(arrays))], ids=["list", "dict"]
)
@alone
def test_many_arrays_in_one_list_are_found_whatever_the_sample(monkeypatch, make):
    monkeypatch.setattr(census, "SAMPLE", 5_000)
    suspects = Suspects()
    suspects.mark()
    kept = [make(np.ones(1_250) for _ in range(5_000))]
    found = by_name(suspects.growth(10))["numpy.ndarray"]
    assert found.bytes_growth == pytest.approx(len(kept[0]) * 10_000, rel=0.3)


@alone
def test_nothing_is_suspected_only_because_another_sample_was_drawn(monkeypatch):
    monkeypatch.setattr(census, "SAMPLE", 5_000)
    monkeypatch.setattr(census, "_random", random.Random(1))
    suspects = Suspects()
    suspects.mark()
    assert len(suspects.growth(1_000)) <= 3


def test_the_programs_random_numbers_do_not_depend_on_it(monkeypatch):
    monkeypatch.setattr(census, "SAMPLE", 1_000)
    random.seed(5)
    expected = random.random()
    random.seed(5)
    census.take_census()
    assert random.random() == expected


def test_growth_before_a_mark_sets_one():
    suspects = Suspects()
    assert not suspects.is_marked
    assert suspects.growth() == []
    assert suspects.is_marked
    assert suspects.sites() == []


def test_lines_are_named_while_allocations_are_traced():
    gc.freeze()  # what was there before would take seconds
    tracemalloc.start()
    try:
        suspects = Suspects()
        suspects.mark()
        kept = [bytearray(10_000) for _ in range(100)]
        first = suspects.sites()[0]
    finally:
        tracemalloc.stop()
        gc.unfreeze()
    assert first.file == __file__
    assert first.bytes_growth == pytest.approx(len(kept) * 10_000, rel=0.1)
    assert f"{__file__}:{first.line} holds 1.0" in str(first)
    assert suspects.sites() == []
