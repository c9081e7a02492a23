"""Trends: what is one, what is none, and that the figures of one are right."""

import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohlcache.errors import InvalidArgument
from ohlcache.telemetry.trends import trend

MINUTES = 60.0 * np.arange(240)
DAY = 86_400.0


def noise(seed, length=240):
    return np.random.default_rng(seed).normal(size=length)


def first_order(seed, correlation, length=240):
    shocks = noise(seed, length + 100)
    values = np.zeros(length + 100)
    for at in range(1, length + 100):
        values[at] = correlation * values[at - 1] + shocks[at]
    return values[100:]


def share_claimed(series, seeds=60):
    return sum(trend(MINUTES, series(seed)).significant for seed in range(seeds)) / seeds


# -- a line ---------------------------------------------------------------------------------------


def test_a_line_is_found_exactly():
    found = trend([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [5 + 2 * at for at in range(10)])
    assert found.slope == pytest.approx(2)
    assert found.low == pytest.approx(2)
    assert found.high == pytest.approx(2)
    assert found.significant
    assert (found.first, found.last) == pytest.approx((5, 23))


def test_time_to_counts_from_the_last_time():
    rising = trend(range(100), [10 + 0.5 * at for at in range(100)])
    assert rising.time_to(rising.last + 30) == pytest.approx(60)
    assert rising.time_to(12) == 0.0  # passed on the way
    assert rising.time_to(rising.last) == 0.0
    assert rising.time_to(9) is None  # leads away from it
    falling = trend(range(100), [10 - 0.5 * at for at in range(100)])
    assert falling.time_to(falling.last - 5) == pytest.approx(10)
    assert falling.time_to(20) is None


def test_nothing_is_foretold_of_noise():
    assert trend(MINUTES, noise(1)).time_to(1000) is None


def test_bounds_hold_the_slope_nineteen_times_in_twenty():
    slope = 1e-4
    held = 0
    for seed in range(200):
        found = trend(MINUTES, slope * MINUTES + noise(seed))
        held += found.low <= slope <= found.high
    assert held >= 180


@pytest.mark.parametrize("correlation", [0.5, 0.8])
def test_bounds_hold_the_slope_in_correlated_noise(correlation):
    slope = 1e-3
    series = ((seed, first_order(seed, correlation)) for seed in range(100))
    found = [trend(MINUTES, slope * MINUTES + values) for _, values in series]
    assert sum(one.low <= slope <= one.high for one in found) >= 90


# -- what is no trend -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "series",
    [
        noise,
        lambda seed: np.rint(noise(seed)),
        lambda seed: np.random.default_rng(seed).standard_t(2, size=240),
        lambda seed: first_order(seed, 0.5),
        lambda seed: first_order(seed, 0.8),
        lambda seed: first_order(seed, 0.95),
    ],
    ids=["white", "whole numbers", "heavy tails", "AR 0.5", "AR 0.8", "AR 0.95"],
)
def test_noise_is_no_trend(series):
    assert share_claimed(series) <= 0.07


def test_a_random_walk_is_seldom_a_trend():
    assert share_claimed(lambda seed: np.cumsum(noise(seed))) <= 0.15


@pytest.mark.parametrize("days", [1, 1.3, 1.5, 1.8, 2, 2.4, 2.6, 3, 5, 9.5])
@pytest.mark.parametrize("shaken", [0.0, 0.3])
def test_a_daily_wave_is_no_trend(days, shaken):
    times = np.linspace(0, days * DAY, 480)

    def claimed(start):
        wave = np.sin(2 * np.pi * (times / DAY + start))
        return trend(times, wave + shaken * noise(int(100 * start), 480)).significant

    assert sum(claimed(start) for start in np.linspace(0, 1, 30)) <= 3


def test_a_rise_under_a_daily_wave_is_a_trend():
    times = np.linspace(0, 4 * DAY, 500)
    values = 5 * np.sin(2 * np.pi * times / DAY) + 1e-5 * times + 0.5 * noise(3, 500)
    found = trend(times, values)
    assert found.significant
    assert found.slope == pytest.approx(1e-5, rel=0.15)


@pytest.mark.parametrize("at", [60, 120, 180])
def test_one_step_is_no_trend(at):
    stepped = 5.0 * (np.arange(240) >= at)
    assert not trend(MINUTES, stepped).significant
    assert share_claimed(lambda seed: stepped + noise(seed)) <= 0.05


def test_outliers_neither_make_nor_hide_a_trend():
    values = noise(5)
    values[-10:] = 1e6
    assert not trend(MINUTES, values).significant
    values = 1e-3 * MINUTES + noise(5)
    values[[20, 50, 51, 200]] = (1e6, -1e6, 1e6, -1e6)
    found = trend(MINUTES, values)
    assert found.significant
    assert found.slope == pytest.approx(1e-3, rel=0.1)


# -- what is one ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "series",
    [
        lambda seed: 3e-4 * MINUTES + noise(seed),
        lambda seed: 1e-3 * MINUTES + first_order(seed, 0.8),
        lambda seed: 15 * (MINUTES / MINUTES[-1]) ** 2 + noise(seed),
        lambda seed: 2 * np.floor(8 * MINUTES / 14400) + noise(seed),
    ],
    ids=["line", "line in AR 0.8", "accelerating", "stairs"],
)
def test_a_rise_is_a_trend(series):
    assert share_claimed(series) >= 0.9


# -- the shape of the input -----------------------------------------------------------------------


def test_holes_are_left_out():
    values = 0.1 * MINUTES
    values[::7] = math.nan
    values[3] = math.inf
    assert trend(MINUTES, values) == trend(
        MINUTES[np.isfinite(values)], values[np.isfinite(values)]
    )


def test_uneven_and_equal_times():
    times = np.sort(np.random.default_rng(2).integers(0, 500, size=400)).astype(float)
    found = trend(times, 3 * times)
    assert found.slope == pytest.approx(3)
    assert found.significant


@pytest.mark.parametrize("length", range(1, 8))
def test_of_few_points_nothing_is_claimed(length):
    found = trend(range(length), range(length))
    assert not found.significant
    assert (found.low, found.high) == (-math.inf, math.inf)
    assert found.slope == (1.0 if length > 1 else 0.0)
    assert found.time_to(1000) is None


@pytest.mark.parametrize("times", [range(50), [7.0] * 50], ids=["constant", "one moment"])
def test_what_does_not_move_is_no_trend(times):
    found = trend(times, [4.0] * 50)
    assert not found.significant
    assert (found.slope, found.first, found.last) == (0.0, 4.0, 4.0)


def test_nothing_but_holes_is_no_trend():
    assert not trend(range(10), [math.nan] * 10).significant


DATES = pd.date_range("2026-01-01", periods=100, freq="10s", tz="UTC")


@pytest.mark.parametrize(
    "times",
    [
        DATES,
        DATES.as_unit("us"),
        DATES.tz_localize(None),
        DATES.tz_convert("America/New_York"),
        pd.Series(DATES),
        DATES.tz_localize(None).to_numpy().astype("M8[ms]"),
        list(DATES),
        list(DATES.to_pydatetime()),
        [moment.replace(tzinfo=None) for moment in DATES.to_pydatetime()],
        [moment.isoformat() for moment in DATES],
        [moment.strftime("%Y-%m-%dT%H:%M:%SZ") for moment in DATES],
        [moment.timestamp() for moment in DATES],
        range(0, 1000, 10),
    ],
    ids=lambda times: type(times).__name__,
)
def test_times_are_seconds_or_moments(times):
    found = trend(times, range(100))
    assert found.slope == pytest.approx(0.1)
    assert found.significant
    assert found.time_to(109) == pytest.approx(100)


def test_moments_that_are_unknown_are_left_out():
    times = [pd.NaT, None, *DATES[2:]]
    assert trend(times, range(100)) == trend(DATES[2:], range(2, 100))


@pytest.mark.parametrize(
    ("times", "values", "words"),
    [
        ([], [], "times is empty"),
        ([1, 2, 3], [1, 2], "values has 2 entries and times 3"),
        ([1, 3, 2], [1, 2, 3], "times falls from 3 to 2"),
        ([1, 2], ["a", "b"], "holds what is no number"),
        ([[1, 2]], [[1, 2]], "2 dimensions"),
        (["noon"], [1], "times .*'noon'.* give datetimes, ISO texts or seconds"),
        ([True], [1], "holds what is no time"),
        (pd.to_timedelta([1], unit="s"), [1], "holds what is no time"),
        ([1_767_225_600_000], [1], "no time in seconds: divide milliseconds by 1000"),
        ([1, 2], DATES[:2], "values .* holds what is no number"),
    ],
)
def test_bad_input_is_refused(times, values, words):
    with pytest.raises(InvalidArgument, match=words):
        trend(times, values)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 50), st.floats(-1e9, 1e9) | st.just(math.nan)),
        min_size=1,
        max_size=300,
    )
)
def test_whatever_comes_the_figures_agree(points):
    points.sort(key=lambda point: point[0])
    times, values = zip(*points, strict=True)
    found = trend(times, values)
    assert found.low <= found.slope <= found.high
    assert found.significant == (found.low > 0 or found.high < 0)
    assert math.isfinite(found.slope)


@settings(max_examples=25)
@given(st.integers(0, 1000), st.floats(0.001, 1000), st.floats(-1e6, 1e6))
def test_units_do_not_matter(seed, scale, shift):
    values = 3e-4 * MINUTES + noise(seed)
    one, other = trend(MINUTES, values), trend(MINUTES + 1e6, scale * values + shift)
    assert other.slope == pytest.approx(scale * one.slope, rel=1e-3)
    assert other.significant == one.significant
    mirrored = trend(MINUTES, -values)
    assert mirrored.slope == pytest.approx(-one.slope)
    assert mirrored.significant == one.significant


def test_telemetry_is_imported_without_numpy():
    program = "import sys, ohlcache.telemetry; print('numpy' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
