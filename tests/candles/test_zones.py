"""Wall clocks: against zoneinfo everywhere, and at the changes by hand."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohlcache.candles.zones import from_local, to_local
from ohlcache.errors import InvalidArgument

ZONES = [
    "UTC",
    "America/New_York",
    "Europe/London",
    "Australia/Sydney",
    "Australia/Lord_Howe",  # changes by half an hour
    "America/Sao_Paulo",  # changed at midnight
    "Asia/Kolkata",
    "Africa/Casablanca",
    "Asia/Kathmandu",
]
# the clock changes in New York, London, Sydney, Lord Howe and São Paulo
CHANGES = [1_710_054_000_000, 1_730_613_600_000, 1_711_846_800_000, 1_729_990_800_000,
           1_712_419_200_000, 1_728_144_000_000, 1_712_415_600_000, 1_728_142_200_000,
           1_541_300_400_000, 1_550_368_800_000]  # fmt: skip
MOMENTS = st.one_of(
    st.integers(-(10**12), 4 * 10**12),
    st.builds(int.__add__, st.sampled_from(CHANGES), st.integers(-7_200_000, 7_200_000)),
    st.builds(int.__add__, st.sampled_from(CHANGES), st.integers(-1, 1)),
)


def ms(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def utc_offset(moment, zone):
    moment_utc = datetime.fromtimestamp(moment // 1000, UTC)
    return round(moment_utc.astimezone(ZoneInfo(zone)).utcoffset().total_seconds() * 1000)


@given(st.lists(MOMENTS, min_size=1, max_size=20), st.sampled_from(ZONES))
def test_to_local_is_what_zoneinfo_says(moments, zone):
    expected = [moment + utc_offset(moment, zone) for moment in moments]
    assert to_local(np.array(moments, np.int64), zone).tolist() == expected


@given(st.lists(MOMENTS, min_size=1, max_size=20), st.sampled_from(ZONES))
def test_there_and_back(moments, zone):
    times = np.array(moments, np.int64)
    local = to_local(times, zone)
    back = from_local(local, zone)
    assert (to_local(back, zone) == local).all()
    assert (back <= times).all()  # the same moment, or the first of the two that look alike
    assert (times - back <= 2 * 3_600_000).all()


@given(MOMENTS, st.integers(0, 3 * 86_400_000), st.sampled_from(ZONES))
def test_order_is_kept(moment, step, zone):
    early, late = from_local(np.array([moment, moment + step], np.int64), zone)
    assert early <= late


@pytest.mark.parametrize(
    ("local", "zone", "moment"),
    [
        # New York goes from 02:00 to 03:00, which is 07:00 UTC
        ("2024-03-10T01:59:59", "America/New_York", "2024-03-10T06:59:59"),
        ("2024-03-10T02:00", "America/New_York", "2024-03-10T07:00"),
        ("2024-03-10T02:30", "America/New_York", "2024-03-10T07:00"),
        ("2024-03-10T03:00", "America/New_York", "2024-03-10T07:00"),
        ("2024-03-10T03:30", "America/New_York", "2024-03-10T07:30"),
        # and from 02:00 back to 01:00 at 06:00 UTC: 01:30 is first seen at 05:30
        ("2024-11-03T01:30", "America/New_York", "2024-11-03T05:30"),
        ("2024-11-03T02:00", "America/New_York", "2024-11-03T07:00"),
        # São Paulo had no midnight on that day
        ("2018-11-04T00:00", "America/Sao_Paulo", "2018-11-04T03:00"),
        ("2018-11-04T00:59", "America/Sao_Paulo", "2018-11-04T03:00"),
        # Samoa had no 30 December 2011 at all
        ("2011-12-30T12:00", "Pacific/Apia", "2011-12-30T10:00"),
    ],
)
def test_at_the_changes(local, zone, moment):
    assert from_local(np.array([ms(local)]), zone).tolist() == [ms(moment)]


def test_far_away_moments_have_the_nearest_offset():
    far = np.array([-(2**61), 2**61])
    assert np.abs(to_local(far, "America/New_York") - far).max() < 86_400_000


def test_empty():
    assert len(to_local(np.empty(0, np.int64), "Europe/Berlin")) == 0
    assert len(from_local(np.empty(0, np.int64), "Europe/Berlin")) == 0


@pytest.mark.parametrize("zone", ["New York", "EST+5", "../../etc/passwd", "", "Mars/Olympus"])
def test_unknown_zone(zone):
    with pytest.raises(InvalidArgument, match="IANA name"):
        to_local(np.array([0]), zone)
