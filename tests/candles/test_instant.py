"""Moments as users write them."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from ohlcache.candles import to_iso, to_ms
from ohlcache.errors import InvalidArgument

NEW_YEAR = 1_704_067_200_000


@pytest.mark.parametrize(
    "moment",
    [
        NEW_YEAR,
        np.int64(NEW_YEAR),
        str(NEW_YEAR),
        "2024",
        "2024-01",
        "2024-01-01",
        "2024-01-01T00:00Z",
        "2024-01-01 01:00+01:00",
        dt.datetime(2024, 1, 1),
        dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
        dt.date(2024, 1, 1),
        pd.Timestamp("2023-12-31 19:00", tz="America/New_York"),
        np.datetime64("2024-01-01"),
        np.datetime64("2024-01-01T00:00:00.000000000"),
    ],
)
def test_every_notation_of_a_moment(moment):
    assert to_ms(moment, "start") == NEW_YEAR


def test_fractions_of_a_millisecond_round_up():
    assert to_ms("2024-01-01T00:00:00.000001", "start") == NEW_YEAR + 1
    assert to_ms(pd.Timestamp(NEW_YEAR * 10**6 + 1_000), "start") == NEW_YEAR + 1
    assert to_ms(np.datetime64(NEW_YEAR * 10**6 + 1, "ns"), "start") == NEW_YEAR + 1


def test_far_away_moments_are_the_last_that_can_be_told():
    assert to_ms(dt.datetime.max, "end") == to_ms("9999-12-31", "end") > NEW_YEAR
    assert to_ms("0001-01-01", "start") < 0


@pytest.mark.parametrize("moment", [1.5, True, None, [], "soon", "", pd.NaT, np.datetime64("NaT")])
def test_what_is_no_moment_is_refused_by_name(moment):
    with pytest.raises(InvalidArgument, match="start is"):
        to_ms(moment, "start")


@pytest.mark.parametrize("moment", [NEW_YEAR * 1_000, -NEW_YEAR * 10**6, str(NEW_YEAR * 1_000)])
def test_integers_of_another_unit_are_refused(moment):
    with pytest.raises(InvalidArgument, match="no time in milliseconds"):
        to_ms(moment, "start")


def test_iso_text_leaves_out_what_is_zero():
    assert to_iso(NEW_YEAR) == "2024-01-01T00:00Z"
    assert to_iso(NEW_YEAR + 1_000) == "2024-01-01T00:00:01Z"
    assert to_iso(NEW_YEAR + 1) == "2024-01-01T00:00:00.001Z"
    assert to_iso(-1) == "1969-12-31T23:59:59.999Z"
