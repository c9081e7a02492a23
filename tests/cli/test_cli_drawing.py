"""How candles are drawn, and numbers and times written."""

from __future__ import annotations

import numpy as np
import pytest

from made_candles import MINUTE, T0, make_block
from ohlcache.candles import Block
from ohlcache.cli.chart import chart
from ohlcache.cli.output import count, duration, moment, size
from ohlcache.cli.prices import price_texts


def block_of(*candles):
    values = np.array([[*candle, 1] for candle in candles], np.float64)
    return Block(T0 + np.arange(len(candles)) * MINUTE, values.T.copy())


def test_a_candle_is_a_body_with_wicks():
    lines = [line.plain for line in chart(block_of((2, 4, 0, 3), (3, 3, 1, 1)), 60, 4)]
    assert [line.partition("┤")[2] for line in lines[:4]] == [
        "╽ ╻ ",
        "┃ ┃ ",
        "│ ┃ ",
        "│   ",
    ]
    assert lines[0].startswith("4 ┤")
    assert lines[3].startswith("0 ┤")
    assert lines[4].split() == ["2020-01-01", "00:00", "2020-01-01", "00:01"]


def test_rising_ones_are_green_and_falling_ones_red():
    first = next(iter(chart(block_of((1, 2, 1, 2), (2, 2, 1, 1)), 40, 3)))
    assert [span.style for span in first.spans] == ["dim", "green", "red"]


@pytest.mark.parametrize("rows", [2, 50, 10_000])
@pytest.mark.parametrize("width", [40, 80])
def test_a_chart_is_never_wider_than_it_may_be(rows, width):
    lines = [line.plain for line in chart(make_block(rows), width, 8)]
    assert len(lines) == 9
    assert max(map(len, lines)) <= width


def test_candles_that_share_a_column_keep_their_extremes():
    block = make_block(5_000)
    drawn = [line.plain.strip() for line in chart(block, 60, 6)]
    assert drawn[0].startswith(f"{block.values[1].max():,.2f}")
    assert drawn[5].startswith(f"{block.values[2].min():,.2f}")
    assert {"╷", "╽", "╻", "│", "┃"} & set(drawn[0])  # the highest one reaches the first line


@pytest.mark.parametrize(("rows", "width", "height"), [(1, 80, 10), (50, 12, 10), (50, 80, 2)])
def test_no_chart_where_there_is_nothing_to_see(rows, width, height):
    assert list(chart(make_block(rows), width, height)) == []


def test_a_market_that_does_not_move_can_be_drawn():
    lines = [line.plain for line in chart(block_of((5, 5, 5, 5), (5, 5, 5, 5)), 40, 3)]
    assert lines[2].endswith("╻ ╻ ")


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([1.0, 2.5, 1000.25], ["1.00", "2.50", "1,000.25"]),
        ([100.0, 200.0], ["100", "200"]),
        ([0.0026278200000000003, 0.0025], ["0.00262782", "0.00250000"]),
        ([1.23e-8, 1e-8], ["0.0000000123", "0.0000000100"]),
        ([12_345_678.123456], ["12,345,678.12"]),
        ([float("nan"), 1.5, float("inf")], ["-", "1.5", "-"]),
        ([-37.63, 0.0], ["-37.63", "0.00"]),
        ([], []),
    ],
)
def test_prices_have_as_many_decimals_as_they_need(values, texts):
    assert price_texts(np.array(values, np.float64)) == texts


def test_numbers_and_times():
    assert [count(1), count(1234), count(1, "candle"), count(0, "candle")] == [
        "1",
        "1,234",
        "1 candle",
        "0 candles",
    ]
    assert [moment(T0), moment(T0 + 5_000), moment(None)] == [
        "2020-01-01 00:00",
        "2020-01-01 00:00:05",
        "-",
    ]
    assert [size(999), size(1_000), size(4_200_000), size(5e12)] == [
        "999 B",
        "1.0 kB",
        "4.2 MB",
        "5,000.0 GB",
    ]
    assert [duration(1.234), duration(0.0123), duration(95e-6)] == ["1.23 s", "12.3 ms", "95 µs"]
