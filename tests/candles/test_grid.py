"""Grids: their own consistency for any timeframe and anchor, and real calendars by hand."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohlcache.candles.grid import UTC_ANCHOR, Anchor, Grid, detect_anchor
from ohlcache.candles.timeframe import DAY, HOUR, MINUTE, WEEK, Timeframe
from ohlcache.errors import InvalidArgument

FX = Anchor("America/New_York", -7 * HOUR)  # 17:00 of the day before
ANCHORS = [
    UTC_ANCHOR,
    Anchor("UTC", 8 * HOUR),
    FX,
    Anchor("Europe/London"),
    Anchor("Europe/London", 2 * HOUR - 15 * MINUTE),
    Anchor("Australia/Sydney", 10 * HOUR),
    Anchor("Australia/Lord_Howe", 2 * HOUR + 15 * MINUTE),
    Anchor("America/Sao_Paulo"),
    Anchor("America/New_York", 90 * MINUTE),  # 01:30, which comes twice in autumn
    Anchor("America/New_York", 150 * MINUTE),  # 02:30, which is skipped in spring
]
TEXTS = ["1s", "1m", "7m", "1h", "5h", "1d", "2d", "7d", "1w", "2w", "1M", "3M", "5M", "12M"]
GRIDS = [Grid(Timeframe.parse(text), anchor) for text in TEXTS for anchor in ANCHORS]
# moments at which the clocks of these zones change; most bugs are within hours of them
CHANGES = [
    1_710_054_000_000,  # New York, 2024-03-10T07:00Z
    1_730_613_600_000,  # New York, 2024-11-03T06:00Z
    1_711_846_800_000,  # London, 2024-03-31T01:00Z
    1_729_990_800_000,  # London, 2024-10-27T01:00Z
    1_712_419_200_000,  # Sydney, 2024-04-06T16:00Z
    1_728_144_000_000,  # Sydney, 2024-10-05T16:00Z
    1_712_415_600_000,  # Lord Howe, 2024-04-06T15:00Z
    1_728_142_200_000,  # Lord Howe, 2024-10-05T15:30Z
    1_541_300_400_000,  # São Paulo, 2018-11-04T03:00Z, a midnight that was skipped
    1_550_368_800_000,  # São Paulo, 2019-02-17T02:00Z, a midnight that came twice
]
MOMENTS = st.one_of(
    st.integers(-(10**12), 4 * 10**12),
    st.builds(int.__add__, st.sampled_from(CHANGES), st.integers(-5 * HOUR, 5 * HOUR)),
    st.builds(
        int.__add__, st.sampled_from(CHANGES), st.integers(-20, 20).map(lambda n: n * 900_000)
    ),
)


def ms(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def grid(text, anchor=UTC_ANCHOR):
    return Grid(Timeframe.parse(text), anchor)


def iso(times):
    return [datetime.fromtimestamp(t / 1000, UTC).isoformat()[:16] for t in times]


@given(st.sampled_from(GRIDS), MOMENTS)
def test_floor_next_and_ceil(grid, time):
    floor, following, ceil = grid.floor(time), grid.next(time), grid.ceil(time)
    assert floor <= time < following
    assert ceil == (time if floor == time else following)
    assert grid.floor(floor) == floor == grid.ceil(floor)
    assert grid.next(floor) == following
    assert grid.floor(following) == following
    assert grid.floor(following - 1) == floor


@pytest.mark.parametrize("text", ["1d", "1w", "1M"])
@pytest.mark.parametrize("anchor", ANCHORS, ids=str)
def test_around_every_change_of_the_clock(text, anchor):
    """The same for every five minutes of the days around them."""
    around = np.arange(-30 * HOUR, 30 * HOUR, 5 * MINUTE)
    times = np.unique(np.concatenate([change + around for change in CHANGES]))
    series = grid(text, anchor)
    floors, nexts = series.floors(times), series.nexts(times)
    assert ((floors <= times) & (times < nexts)).all()
    assert np.array_equal(series.floors(nexts), nexts)
    assert np.array_equal(series.floors(nexts - 1), floors)
    assert np.array_equal(series.nexts(floors), nexts)


@given(st.sampled_from(GRIDS), st.lists(MOMENTS, min_size=1, max_size=10))
def test_arrays_answer_like_single_moments(grid, moments):
    times = np.array(moments, np.int64)
    assert grid.floors(times).tolist() == [grid.floor(time) for time in moments]
    assert grid.nexts(times).tolist() == [grid.next(time) for time in moments]
    assert grid.ceils(times).tolist() == [grid.ceil(time) for time in moments]
    assert grid.contains(times).tolist() == [grid.floor(time) == time for time in moments]


@given(st.sampled_from(GRIDS), MOMENTS, st.integers(0, 40), st.floats(-1.5, 1.5, allow_nan=False))
def test_points(grid, start, candles, ragged):
    length = grid.timeframe.milliseconds
    end = start + int((candles + ragged) * length)
    expected = []
    time = grid.ceil(start)
    while time < end:
        expected.append(time)
        time = grid.next(time)
    assert grid.points(start, end).tolist() == expected
    assert grid.count(start, end) == len(expected)
    if expected:
        assert grid.contains(np.array(expected)).all()
        assert grid.shifted(expected[0], len(expected) - 1) == expected[-1]
        assert grid.shifted(expected[-1] + 1, 1 - len(expected)) == expected[0]


@given(st.sampled_from(GRIDS), MOMENTS)
def test_nothing_lies_in_an_empty_range(grid, time):
    assert len(grid.points(time, time)) == 0
    assert len(grid.points(time, time - 10 * DAY)) == 0
    assert grid.count(time, time - 10 * DAY) == 0


@given(
    st.sampled_from(["America/New_York", "Europe/London", "Australia/Sydney"]),
    st.integers(-12 * 4, 12 * 4),
    MOMENTS,
)
def test_days_open_at_the_same_wall_clock(zone, quarters, time):
    """Independent of our own clock arithmetic: zoneinfo shows the anchor at every open."""
    anchor = Anchor(zone, quarters * 15 * MINUTE)
    info = ZoneInfo(zone)
    for open_time in grid("1d", anchor).points(time, time + 5 * DAY).tolist():
        local = datetime.fromtimestamp(open_time // 1000, UTC).astimezone(info)
        shown = timedelta(hours=local.hour, minutes=local.minute)
        before = (local - timedelta(hours=2)).utcoffset()
        if before == local.utcoffset():  # not in the hours around a change of the clock
            assert shown == timedelta(milliseconds=anchor.offset % DAY)


@pytest.mark.parametrize(
    ("text", "anchor", "start", "end", "expected"),
    [
        ("1w", UTC_ANCHOR, "2024-01-01", "2024-01-16",
         ["2024-01-01T00:00", "2024-01-08T00:00", "2024-01-15T00:00"]),
        ("7d", UTC_ANCHOR, "1970-01-01", "1970-01-10", ["1970-01-01T00:00", "1970-01-08T00:00"]),
        ("1M", UTC_ANCHOR, "2023-12-15", "2024-03-02",
         ["2024-01-01T00:00", "2024-02-01T00:00", "2024-03-01T00:00"]),
        ("3M", UTC_ANCHOR, "2024-01-01", "2024-12-31",
         ["2024-01-01T00:00", "2024-04-01T00:00", "2024-07-01T00:00", "2024-10-01T00:00"]),
        ("12M", UTC_ANCHOR, "1969-06-01", "1972-01-01", ["1970-01-01T00:00", "1971-01-01T00:00"]),
        # New York changes to summer time on Sunday 10 March 2024
        ("1d", FX, "2024-03-08", "2024-03-13",
         ["2024-03-08T22:00", "2024-03-09T22:00", "2024-03-10T21:00", "2024-03-11T21:00",
          "2024-03-12T21:00"]),
        ("1w", FX, "2024-02-28", "2024-03-20",
         ["2024-03-03T22:00", "2024-03-10T21:00", "2024-03-17T21:00"]),
        ("1M", FX, "2024-02-01", "2024-05-01",
         ["2024-02-29T22:00", "2024-03-31T21:00", "2024-04-30T21:00"]),
        # Sydney changes back on Sunday 7 April 2024
        ("1d", Anchor("Australia/Sydney", 10 * HOUR), "2024-04-05", "2024-04-08T12:00",
         ["2024-04-05T23:00", "2024-04-07T00:00", "2024-04-08T00:00"]),
        ("1d", Anchor("Europe/London"), "2024-10-26", "2024-10-29",
         ["2024-10-26T23:00", "2024-10-28T00:00"]),
    ],
)  # fmt: skip
def test_calendars(text, anchor, start, end, expected):
    assert iso(grid(text, anchor).points(ms(start), ms(end))) == expected


def test_below_a_day_there_is_no_anchor():
    assert grid("1h", FX) == grid("1h")
    assert grid("1h", Anchor("Asia/Kolkata")).floor(ms("2024-05-05T10:31")) == ms(
        "2024-05-05T10:00"
    )


def test_counting_a_long_range_lists_nothing():
    assert grid("1s").count(0, 10**18) == 10**15


@pytest.mark.parametrize("text", ["1d", "1w", "1M"])
@pytest.mark.parametrize(
    "anchor",
    [
        UTC_ANCHOR,
        Anchor("UTC", 8 * HOUR),
        FX,
        Anchor("America/New_York", 9 * HOUR + 30 * MINUTE),
        Anchor("Europe/London"),
        Anchor("Australia/Sydney", 10 * HOUR),
    ],
    ids=str,
)
def test_the_anchor_is_found(text, anchor):
    times = grid(text, anchor).points(ms("2022-01-01"), ms("2024-01-01"))
    assert detect_anchor(Timeframe.parse(text), times) == anchor


def test_the_anchor_is_found_with_gaps_and_strays():
    times = grid("1d", FX).points(ms("2020-01-01"), ms("2024-01-01"))
    generator = np.random.default_rng(7)
    times = times[generator.random(len(times)) < 0.7]
    stray = generator.choice(len(times), len(times) // 20, replace=False)
    times[stray] += 3 * HOUR + 1
    assert detect_anchor(Timeframe.parse("1d"), times) == FX


def test_noise_has_the_plain_anchor():
    times = np.sort(np.random.default_rng(1).integers(0, 10**12, 500)) | 1
    assert detect_anchor(Timeframe.parse("1d"), times) == UTC_ANCHOR
    assert detect_anchor(Timeframe.parse("1d"), np.empty(0, np.int64)) == UTC_ANCHOR
    assert detect_anchor(Timeframe.parse("1h"), times) == UTC_ANCHOR


def test_an_anchor_reads_well():
    assert str(UTC_ANCHOR) == "UTC"
    assert str(FX) == "America/New_York-07:00"
    assert str(Anchor("UTC", 8 * HOUR)) == "UTC+08:00"


def test_an_unknown_zone_is_refused():
    with pytest.raises(InvalidArgument, match=r"zone 'Gotham' is not known: write an IANA name"):
        Anchor("Gotham")


def test_weeks_start_on_monday():
    for time in grid("1w").points(0, 3 * WEEK).tolist():
        assert datetime.fromtimestamp(time / 1000, UTC).weekday() == 0
