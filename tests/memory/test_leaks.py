"""Leaks: what is one, what only looks like one, and that the reason agrees with the verdict."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohlcache.errors import InvalidArgument
from ohlcache.memory.leaks import assess_leak

MB = 2**20
N = 360
AT = np.arange(N)
X = AT / N
TIMES = 10.0 * AT


def shaken(megabytes, seed=0, noise=2.0):
    return MB * (300 + megabytes + noise * np.random.default_rng(seed).normal(size=N))


LEAKS = {
    "steady": 80 * X,
    "steady and small": 8 * X,
    "by steps": 10 * np.floor(12 * X),
    "under a sawtooth": 60 * X + 4 * (AT % 25),
    "under batch jobs": 60 * X + 200 * (AT % 40 < 15),
    "after a start": 200 * np.minimum(X / 0.1, 1) + 80 * X,
    "after a cache has filled": 150 * -np.expm1(-25 * X) + 80 * X,
    "begins late": 150 * np.maximum(X - 0.4, 0),
    "accelerating": 120 * X**2,
    "with spikes": 80 * X + 300 * (AT % 50 == 7),
}
OTHERS = {
    "steady": 0 * X,
    "cache up to its bound": 200 * np.minimum(X / 0.6, 1),
    "cache that saturates": 200 * -np.expm1(-6 * X),
    "cache that still fills": 200 * -np.expm1(-2.5 * X),
    "logarithm": 40 * np.log1p(AT),
    "root": 10 * np.sqrt(AT),
    "fewer and fewer steps": 20 * np.floor(np.log2(1 + AT)),
    "sawtooth": 5.0 * (AT % 25),
    "sawtooth that ends near its top": 5.0 * ((AT + 20) % 28),
    "few teeth": 200 * ((3.4 * X) % 1),
    "one tooth and a half": 200 * ((1.5 * X) % 1),
    "batch jobs": 200.0 * (AT % 70 < 30),
    "start, then flat": 200 * np.minimum(X / 0.1, 1),
    "one step": 100.0 * (X > 0.5),
    "one wave": -60 * np.cos(2 * np.pi * X),
    "waves": 60 * np.sin(2 * np.pi * 2.3 * X),
    "shrinks": -80 * X,
    "spikes": 300.0 * (AT % 50 == 7),
}


@pytest.mark.parametrize("noise", [0.0, 2.0])
@pytest.mark.parametrize("name", LEAKS)
def test_a_leak_is_found(name, noise):
    for seed in range(3):
        found = assess_leak(TIMES, shaken(LEAKS[name], seed, noise))
        assert found.leaking, found.why
        assert found.bytes_per_hour > 0
        assert found.confidence > 0.5
        assert found.why.startswith("leak: ")


@pytest.mark.parametrize("noise", [0.0, 2.0])
@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_leak_is_not_called_one(name, noise):
    for seed in range(3):
        found = assess_leak(TIMES, shaken(OTHERS[name], seed, noise))
        assert not found.leaking, found.why
        assert found.confidence >= 0.5
        assert found.why.startswith("no leak: ")


@pytest.mark.parametrize("name", ["steady", "by steps", "under a sawtooth", "with spikes"])
def test_the_rate_is_that_of_the_leak(name):
    grown = {"steady": 80, "by steps": 120, "under a sawtooth": 60, "with spikes": 80}[name]
    found = assess_leak(TIMES, shaken(LEAKS[name]))
    assert found.bytes_per_hour == pytest.approx(grown * MB, rel=0.2)  # in an hour


@pytest.mark.parametrize("share", [0.9, 0.95, 0.98])
@pytest.mark.parametrize("seed", range(3))
def test_growth_that_has_just_stopped_is_no_leak(share, seed):
    found = assess_leak(TIMES, shaken(800 * np.minimum(X / share, 1), seed, noise=0.5))
    assert not found.leaking
    assert "stopped growing" in found.why


@pytest.mark.parametrize("seed", range(10))
def test_few_loads_at_random_are_no_leak(seed):
    loads = np.random.default_rng([seed, 3]).random(8)
    grown = 30 * np.searchsorted(np.sort(loads), X)
    assert not assess_leak(TIMES, shaken(grown, seed, noise=1.0)).leaking


@pytest.mark.parametrize(
    ("samples", "interval", "is_leak", "is_sure"),
    [(30, 1, False, False), (60, 1, True, False), (120, 1, True, False), (20, 60, True, True)],
)
def test_what_was_seen_briefly_is_less_sure(samples, interval, is_leak, is_sure):
    at = np.arange(samples)
    found = assess_leak(interval * at, MB * (300 + at))
    assert found.leaking == is_leak
    assert (found.confidence >= 0.5) == is_sure


def test_times_may_be_datetimes():
    from_seconds = assess_leak(TIMES, shaken(80 * X))
    times = pd.date_range("2026-01-01", periods=N, freq="10s", tz="UTC")
    for moments in (times, list(times.to_pydatetime()), [one.isoformat() for one in times]):
        found = assess_leak(moments, shaken(80 * X))
        assert found.leaking
        assert found.bytes_per_hour == pytest.approx(from_seconds.bytes_per_hour)


def test_the_reason_gives_rate_and_time():
    found = assess_leak(TIMES, shaken(80 * X, noise=0.0))
    assert found.why == (
        "leak: memory grows evenly, now by 80.0 MB an hour (23.5% of its size), "
        "and gave nothing back in 59.8 min"
    )


def test_growth_that_known_caches_hold_is_no_leak():
    filling = 80 * X
    assert assess_leak(TIMES, shaken(filling)).leaking
    assert not assess_leak(TIMES, shaken(filling), held_bytes=MB * filling).leaking
    assert assess_leak(TIMES, shaken(filling + 50 * X), held_bytes=MB * filling).leaking


HELD = {
    "line": 300 * X,
    "bounded": 300 * np.minimum(X / 0.3, 1),
    "bounded late": 300 * np.minimum(X / 0.8, 1),
    "saturates": 300 * -np.expm1(-5 * X),
    "sawtooth": 3.0 * (AT % 100),
    "steps": 50 * np.floor(6 * X),
}


@pytest.mark.parametrize("name", HELD)
@pytest.mark.parametrize("missed", [0.04, 0.25])
def test_what_the_accounts_of_caches_miss_is_no_leak(name, missed):
    held = HELD[name]
    found = assess_leak(TIMES, shaken(held * (1 + missed)), held_bytes=MB * held)
    assert not found.leaking, found.why


@pytest.mark.parametrize("name", HELD)
def test_a_leak_beside_a_filling_cache_is_found(name):
    held = HELD[name]
    found = assess_leak(TIMES, shaken(1.04 * held + 110 * X), held_bytes=MB * held)
    assert found.leaking, found.why
    assert 90 * MB < found.bytes_per_hour < 150 * MB


def test_growth_too_small_to_matter_is_no_leak():
    found = assess_leak(TIMES, MB * (4000 + 0.5 * X))
    assert not found.leaking
    assert "too little to matter" in found.why


@pytest.mark.parametrize("length", [1, 5, 19])
def test_few_samples_decide_nothing(length):
    found = assess_leak(range(length), [MB * at for at in range(length)])
    assert not found.leaking
    assert found.confidence == 0.0
    assert "at least 20" in found.why


def test_memory_that_does_not_move_is_no_leak():
    found = assess_leak(TIMES, [300 * MB] * N)
    assert not found.leaking
    assert found.bytes_per_hour == 0.0
    assert "is flat" in found.why


def test_one_moment_decides_nothing():
    assert not assess_leak([3.0] * 40, [MB * at for at in range(40)]).leaking


def test_holes_are_left_out():
    sizes = shaken(80 * X)
    sizes[::5] = math.nan
    assert assess_leak(TIMES, sizes).leaking


@pytest.mark.parametrize(
    ("times", "sizes", "held", "words"),
    [
        ([], [], None, "times is empty"),
        ([1, 2, 3], [1, 2], None, "rss_bytes has 2 entries and times 3"),
        ([2, 1], [1, 2], None, "times falls from 2 to 1"),
        ([1, 2], [1, 2], [1], "held_bytes has 1 entries and times 2"),
        ([1, 2], [1, 2], ["a", "b"], "held_bytes .* holds what is no number"),
    ],
)
def test_bad_input_is_refused(times, sizes, held, words):
    with pytest.raises(InvalidArgument, match=words):
        assess_leak(times, sizes, held_bytes=held)


@settings(max_examples=25)
@given(
    st.lists(st.integers(0, 2**34), min_size=1, max_size=120),
    st.sampled_from([1.0, 10.0, 60.0]),
)
def test_whatever_comes_the_verdict_is_whole(sizes, interval):
    found = assess_leak([interval * at for at in range(len(sizes))], sizes)
    assert 0.0 <= found.confidence <= 1.0
    assert math.isfinite(found.bytes_per_hour)
    assert found.leaking == found.why.startswith("leak: ")
    if found.leaking:
        assert found.bytes_per_hour > 0
