"""Sessions: weekly hours through changes of the clock, their text, and real calendars."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohlcache.candles.grid import Anchor, Grid
from ohlcache.candles.session import BUILT_IN, CalendarSession, WeeklySession, session
from ohlcache.candles.timeframe import DAY, HOUR, MINUTE, WEEK, Timeframe
from ohlcache.errors import InvalidArgument, MissingExtra

NEW_YORK = "America/New_York"


def ms(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def is_open(name, text):
    return session(name).is_open(np.array([ms(text)])).tolist()[0]


def has_trading(name, start, end):
    return session(name).has_trading(np.array([ms(start)]), np.array([ms(end)])).tolist()[0]


def local(moment, zone):
    return datetime.fromtimestamp(moment / 1000, UTC).astimezone(ZoneInfo(zone))


def fx_is_open(moment):
    clock = local(moment, NEW_YORK)
    day, hour = clock.weekday(), clock.hour
    return day < 4 or (day == 4 and hour < 17) or (day == 6 and hour >= 17)


def us_is_open(moment):
    clock = local(moment, NEW_YORK)
    return clock.weekday() < 5 and (9, 30) <= (clock.hour, clock.minute) < (16, 0)


def extended_is_open(moment):
    clock = local(moment, NEW_YORK)
    return clock.weekday() < 5 and 4 <= clock.hour < 20


def frankfurt_is_open(moment):
    clock = local(moment, "Europe/Berlin")
    return clock.weekday() < 5 and (9, 0) <= (clock.hour, clock.minute) < (17, 30)


def night_is_open(moment):
    clock = local(moment, "Asia/Tokyo")
    day, hour = clock.weekday(), clock.hour
    return (day < 4 and hour >= 18) or (1 <= day < 5 and hour < 2)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("24/7", lambda _moment: True),
        ("fx", fx_is_open),
        ("us_equities", us_is_open),
        ("us_equities_extended", extended_is_open),
        ("Mon-Fri 09:00-17:30 Europe/Berlin", frankfurt_is_open),
        ("Mon-Thu 18:00-02:00 Asia/Tokyo", night_is_open),
    ],
)
@given(moments=st.lists(st.integers(0, 2 * 10**12), min_size=1, max_size=30))
def test_the_wall_clock_decides(name, expected, moments):
    mask = session(name).is_open(np.array(moments, np.int64))
    assert mask.dtype == np.bool_
    assert mask.tolist() == [expected(moment) for moment in moments]


@pytest.mark.parametrize(
    ("name", "moment", "expected"),
    [
        # New York is five hours behind UTC in winter, four in summer
        ("fx", "2024-03-08T21:59", True),
        ("fx", "2024-03-08T22:00", False),
        ("fx", "2024-03-10T20:59", False),
        ("fx", "2024-03-10T21:00", True),
        ("fx", "2024-11-03T21:59", False),
        ("fx", "2024-11-03T22:00", True),
        ("us_equities", "2024-03-08T14:30", True),
        ("us_equities", "2024-03-08T14:29:59.999", False),
        ("us_equities", "2024-03-11T13:30", True),
        ("us_equities", "2024-03-11T20:00", False),
        ("us_equities_extended", "2024-07-01T08:00", True),
        ("us_equities_extended", "2024-07-01T07:59", False),
    ],
)
def test_around_changes_of_the_clock(name, moment, expected):
    assert is_open(name, moment) is expected


@pytest.mark.parametrize(
    ("name", "start", "end", "expected"),
    [
        ("fx", "2024-03-09", "2024-03-10", False),  # a Saturday
        ("fx", "2024-03-10", "2024-03-11", True),  # a Sunday, open from 21:00
        ("fx", "2024-03-08T22:00", "2024-03-10T21:00", False),  # just the weekend
        ("fx", "2024-03-08T22:00", "2024-03-10T21:00:00.001", True),
        ("fx", "2024-03-08T21:59:59.999", "2024-03-10T21:00", True),
        ("us_equities", "2024-03-11T13:00", "2024-03-11T14:00", True),  # opens within
        ("us_equities", "2024-03-11T00:00", "2024-03-11T13:30", False),
        ("us_equities", "2024-03-09", "2024-03-11", False),
        ("24/7", "2024-03-09", "2024-03-09T00:01", True),
    ],
)
def test_candles_with_any_trading(name, start, end, expected):
    assert has_trading(name, start, end) is expected


@given(
    st.sampled_from(["fx", "us_equities", "Mon-Thu 18:00-02:00 Asia/Tokyo"]),
    st.integers(0, 2 * 10**12),
    st.integers(1, 400),
)
def test_a_range_has_trading_if_one_of_its_moments_is_open(name, start, quarters):
    start -= start % (15 * MINUTE)  # all hours above lie on quarters of an hour
    moments = start + np.arange(quarters) * 15 * MINUTE
    named = session(name)
    any_open = bool(named.is_open(moments).any())
    end = np.array([moments[-1] + 15 * MINUTE])
    assert named.has_trading(np.array([start]), end).tolist() == [any_open]


def test_fx_days_that_trade():
    days = Grid(Timeframe.parse("1d"), Anchor(NEW_YORK, -7 * HOUR))
    opens = days.points(ms("2024-01-01"), ms("2025-01-01"))
    trading = session("fx").has_trading(opens, days.nexts(opens))
    weekdays = np.array([local(moment, NEW_YORK).weekday() for moment in opens])
    assert np.array_equal(trading, ~np.isin(weekdays, (4, 5)))  # named by the eve of the day


def test_spans_are_utc_and_ascend():
    opens, closes = session("us_equities").spans(ms("2024-03-08"), ms("2024-03-12"))
    inside = (closes > ms("2024-03-08")) & (opens < ms("2024-03-12"))
    pairs = list(zip(opens[inside].tolist(), closes[inside].tolist(), strict=True))
    assert pairs == [
        (ms("2024-03-08T14:30"), ms("2024-03-08T21:00")),
        (ms("2024-03-11T13:30"), ms("2024-03-11T20:00")),
    ]
    assert (opens[1:] >= closes[:-1]).all()


@pytest.mark.parametrize(
    ("text", "zone", "hours"),
    [
        ("Mon 09:00-17:00 UTC", "UTC", [(9, 17)]),
        ("Monday-Tuesday 09:00-17:00 UTC", "UTC", [(9, 17), (33, 41)]),
        ("mon-tue 09:00-17:00 Asia/Tokyo", "Asia/Tokyo", [(9, 17), (33, 41)]),
        ("Mon 09:00-11:30, Mon 12:30-15:00 UTC", "UTC", [(9, 11.5), (12.5, 15)]),
        ("Sun-Mon 22:00-06:00 UTC", "UTC", [(0, 6), (22, 30), (166, 168)]),
        ("Sun 17:00-Fri 17:00 UTC", "UTC", [(0, 113), (161, 168)]),
        ("Sun 17:00 - Fri 17:00 UTC", "UTC", [(0, 113), (161, 168)]),
        ("Mon-Sun 00:00-24:00 UTC", "UTC", [(0, 168)]),
        ("Fri-Mon 08:00-09:00 UTC", "UTC", [(8, 9), (104, 105), (128, 129), (152, 153)]),
        ("Mon 10:00-Mon 10:00 UTC", "UTC", [(0, 168)]),
        ("  Mon   09:00-17:00   UTC ", "UTC", [(9, 17)]),
    ],
)
def test_text(text, zone, hours):
    named = session(text.strip())
    assert isinstance(named, WeeklySession)
    assert named.zone == zone
    assert named.hours == tuple((int(start * HOUR), int(end * HOUR)) for start, end in hours)


@pytest.mark.parametrize(
    "text",
    ["Mon 9:00-17:00 UTC", "Mon 09:00 UTC", "Mon-Fri UTC", "Mon 09:00-25:00 UTC",
     "Mon 09:60-17:00 UTC", "Mon 09:00-17:00, UTC", "Mon-Foo 09:00-17:00 UTC"],
)  # fmt: skip
def test_text_that_cannot_be_read(text):
    with pytest.raises(InvalidArgument, match="write days, hours and a zone, such as 'Mon-Fri"):
        session(text)


def test_text_with_an_unknown_zone():
    with pytest.raises(InvalidArgument, match="zone 'Europe/Atlantis' is not known"):
        session("Mon 09:00-17:00 Europe/Atlantis")


@pytest.mark.parametrize("hours", [(-1, 5), (5, 5), (WEEK, WEEK + 1), (0, WEEK + 1), (9, 3)])
def test_hours_that_are_none(hours):
    with pytest.raises(InvalidArgument, match="hours has"):
        WeeklySession("UTC", (hours,))


def test_never_open():
    closed = WeeklySession("UTC", ())
    times = np.arange(0, WEEK, HOUR)
    assert not closed.is_open(times).any()
    assert not closed.has_trading(times, times + DAY).any()


@pytest.mark.parametrize("name", BUILT_IN)
def test_nothing_asked(name):
    nothing = np.empty(0, np.int64)
    assert len(session(name).is_open(nothing)) == 0
    assert len(session(name).has_trading(nothing, nothing)) == 0


class TestCalendars:
    @pytest.fixture(autouse=True)
    def package(self):
        pytest.importorskip("exchange_calendars")

    @pytest.mark.parametrize(
        ("name", "moment", "expected"),
        [
            ("XNYS", "2024-07-03T16:59", True),  # a short day
            ("XNYS", "2024-07-03T17:00", False),
            ("XNYS", "2024-07-04T15:00", False),  # a holiday
            ("XNYS", "2024-07-05T13:30", True),
            ("XNYS", "2001-09-12T15:00", False),  # long before the package's default years
            ("XNYS", "2001-09-10T15:00", True),
            ("XHKG", "2024-06-12T03:59", True),
            ("XHKG", "2024-06-12T04:00", False),  # lunch
            ("XHKG", "2024-06-12T05:00", True),
            ("NYSE", "2024-07-04T15:00", False),  # an alias
        ],
    )
    def test_holidays_short_days_and_lunch(self, name, moment, expected):
        assert is_open(name, moment) is expected

    def test_days(self):
        days = Grid(Timeframe.parse("1d")).points(ms("2024-12-23"), ms("2024-12-30"))
        trading = session("XNYS").has_trading(days, days + DAY)
        assert trading.tolist() == [True, True, False, True, True, False, False]

    @pytest.mark.parametrize("moment", ["1975-07-04T15:00", "2099-07-04T15:00"])
    def test_years_that_the_calendar_does_not_know_count_as_open(self, moment):
        assert is_open("XNYS", moment)

    def test_unknown(self):
        with pytest.raises(InvalidArgument, match=r"session 'XFOO' is not known.*XLON.*us_futures"):
            session("XFOO")


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "exchange_calendars", None)
    with pytest.raises(MissingExtra, match=r"pip install 'ohlcache\[calendars\]'"):
        CalendarSession("XWBO")
