"""Sizes of values: what they keep alive, within a few percent."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from ohlcache.cache.memory.sizing import size_of


def near(expected: float, share: float = 0.1) -> object:
    return pytest.approx(expected, rel=share)


@pytest.mark.parametrize("value", [None, 1, 2.5, "text", "ü" * 100, b"x" * 1000, True])
def test_plain_values(value):
    assert size_of(value) == sys.getsizeof(value)


def test_containers_count_their_parts():
    words = [f"{'word' * 10}{i}" for i in range(10)]
    parts = sum(map(sys.getsizeof, words))
    assert size_of(words) == sys.getsizeof(words) + parts
    assert size_of(set(words)) == sys.getsizeof(set(words)) + parts
    table = dict.fromkeys(words, 1.0)
    assert size_of(table) > sys.getsizeof(table) + parts


def test_long_containers_are_sampled_evenly():
    words = ["x" * (10 if i < 50_000 else 1000) for i in range(100_000)]
    assert size_of(words) == near(sys.getsizeof(words) + sum(map(sys.getsizeof, words)))


def test_what_holds_itself_has_a_size():
    loop: list = [bytes(1000)]
    loop.append(loop)
    assert 1000 < size_of(loop) < 1500
    deep: list = []
    for _ in range(5000):
        deep = [deep]
    assert size_of(deep) > 5000 * 50


def test_arrays_count_the_memory_that_they_keep_alive():
    base = np.zeros(100_000)
    assert size_of(base) == near(800_000)
    assert size_of(base[:10]) == near(800_000)
    assert size_of(np.array(["x" * 1000] * 1000, dtype=object)) == near(1000 * 1057)
    assert size_of(np.float64(1.0)) < 150


def test_frames_of_every_kind():
    numbers = np.random.default_rng(1).random(50_000)
    df = pd.DataFrame({"a": numbers, "b": numbers}, index=pd.date_range("2020", periods=50_000))
    assert size_of(df) == near(3 * 400_000)
    assert size_of(df["a"].copy()) == near(2 * 400_000)
    texts = pd.DataFrame({"text": pd.Series(["x" * 200] * 10_000, dtype=object)})
    assert size_of(texts) == near(10_000 * (8 + 249))
    assert size_of(pl.DataFrame({"a": numbers})) == near(400_000)
    assert size_of(pa.table({"a": numbers})) == near(400_000)


SMALL_FRAMES = """
import gc
import numpy as np, pandas as pd
from ohlcache.cache.memory import MemoryTier
from ohlcache.memory.usage import read_usage

for make in (
    lambda: pd.DataFrame(np.ones((50, 5)), columns=list("ohlcv")),
    lambda: pd.DataFrame({"a": np.ones(50), "b": np.arange(50)}),
    lambda: pd.DataFrame({"a": np.ones(50), "text": ["x"] * 50}),
    lambda: pd.Series(np.ones(50)),
):
    tier = MemoryTier()
    for number in range(2200):
        if number == 200:
            gc.collect()
            before, accounted = read_usage().rss, tier.bytes
        tier.set(number, make())
    gc.collect()
    print((tier.bytes - accounted) / (read_usage().rss - before))
    kept = tier, globals().get("kept")  # what is freed would be filled again
"""


def test_small_frames_count_what_they_are_made_of():
    done = subprocess.run(
        [sys.executable, "-c", SMALL_FRAMES], check=True, stdout=subprocess.PIPE, text=True
    )
    for share in map(float, done.stdout.split()):
        assert 0.75 < share < 1.25, done.stdout


def test_objects_count_what_they_hold():
    @dataclasses.dataclass
    class Plain:
        data: bytes

    @dataclasses.dataclass(slots=True)
    class Slotted:
        data: bytes

    for kind in (Plain, Slotted):
        assert 10_000 < size_of(kind(bytes(10_000))) < 10_500
        assert 10_000 < size_of([kind(bytes(10_000))]) < 10_600


def test_what_is_shared_by_all_is_not_counted():
    assert size_of([sys, int, size_of, "text".upper]) < 500
