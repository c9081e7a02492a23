"""Timeframes: what is read, what is refused, how long and how fresh."""

import pytest

from ohlcache.candles.timeframe import DAY, HOUR, MINUTE, SECOND, WEEK, Timeframe
from ohlcache.errors import InvalidArgument, OhlcacheError, UnknownTimeframe


@pytest.mark.parametrize(
    ("text", "count", "unit", "milliseconds"),
    [
        ("1s", 1, "s", SECOND),
        ("15s", 15, "s", 15 * SECOND),
        ("1m", 1, "m", MINUTE),
        ("7m", 7, "m", 7 * MINUTE),
        ("4h", 4, "h", 4 * HOUR),
        ("1d", 1, "d", DAY),
        ("7d", 7, "d", 7 * DAY),
        ("2w", 2, "w", 2 * WEEK),
        ("1M", 1, "M", 30 * DAY),
        ("3M", 3, "M", 90 * DAY),
    ],
)
def test_parse(text, count, unit, milliseconds):
    timeframe = Timeframe.parse(text)
    assert (timeframe.count, timeframe.unit) == (count, unit)
    assert timeframe.milliseconds == milliseconds
    assert timeframe.seconds * SECOND == milliseconds
    assert str(timeframe) == text


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("60s", "1m"),
        ("3600s", "1h"),
        ("86400s", "1d"),
        ("60m", "1h"),
        ("90m", "90m"),
        ("1440m", "1d"),
        ("24h", "1d"),
        ("36h", "36h"),
        ("7d", "7d"),  # a week starts on Monday, seven days do not
        ("30d", "30d"),
        ("12M", "12M"),
    ],
)
def test_one_length_has_one_name(text, canonical):
    assert str(Timeframe.parse(text)) == canonical
    assert Timeframe.parse(text) == Timeframe.parse(canonical)


def test_minute_and_month_differ():
    assert Timeframe.parse("1m") != Timeframe.parse("1M")
    assert Timeframe.parse("1M").is_calendar
    assert not Timeframe.parse("1m").is_calendar


def test_a_timeframe_parses_to_itself():
    timeframe = Timeframe.parse("5m")
    assert Timeframe.parse(timeframe) is timeframe


@pytest.mark.parametrize(
    "text",
    ["", "m", "1", "0m", "-1m", "01m", "1.5h", "1 m", "1m ", "1m\n", "1y", "1H", "1min", "m1",
     "1Mo", "99999999s", "١m", None, 60, 1.5, ["1m"], {"a": 1}, b"1m"],
)  # fmt: skip
def test_anything_else_is_refused_with_the_units(text):
    with pytest.raises(UnknownTimeframe) as caught:
        Timeframe.parse(text)
    message = str(caught.value)
    assert "s (second), m (minute), h (hour), d (day), w (week, from Monday), M" in message
    assert "\n" not in message
    assert isinstance(caught.value, InvalidArgument)
    assert isinstance(caught.value, OhlcacheError)


@pytest.mark.parametrize("text", ["3661d", "523w", "123M", "9999999h"])
def test_longer_than_ten_years_is_refused(text):
    with pytest.raises(UnknownTimeframe, match="longer than ten years"):
        Timeframe.parse(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1m", 60),
        ("5m", 300),
        ("1h", 1_800),
        ("1d", 14_400),
        ("1w", 100_800),
        ("1M", 100_800),
        ("30s", 30),
        ("3m", 180),
        ("4h", 1_800 + 3 / 23 * 12_600),
    ],
)
def test_freshness(text, seconds):
    assert Timeframe.parse(text).freshness == pytest.approx(seconds)


def test_freshness_grows_with_the_candle():
    texts = ["1s", "30s", "1m", "3m", "5m", "15m", "1h", "4h", "12h", "1d", "3d", "1w"]
    freshness = [Timeframe.parse(text).freshness for text in texts]
    assert freshness == sorted(set(freshness))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1s", False), ("59m", False), ("12h", False), ("1d", True), ("1w", True), ("1M", True)],
)
def test_daily_or_longer(text, expected):
    assert Timeframe.parse(text).is_daily_or_longer is expected
