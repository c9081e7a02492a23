"""Appending candles one by one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from live_exchange import MINUTE, T0

from ohlcache.errors import InvalidArgument
from ohlcache.history import MarketData, SQLiteEngine, Store

BTC = ("BTC/USDT", "1m")
ROW = [T0, 10.0, 12.0, 9.0, 11.0, 5.0]
CANDLE = {"timestamp": T0, "open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0, "volume": 5.0}


@pytest.fixture
def now():
    return [T0 + 10 * MINUTE]


@pytest.fixture
def md(tmp_path, now):
    store = Store(SQLiteEngine(tmp_path / "store.sqlite", 5.0))
    with MarketData(store, clock=lambda: now[0]) as market_data:
        yield market_data


def test_appended_candles_are_the_history_that_a_write_gives_in_any_order(md):
    rows = [[T0 + at * MINUTE, 10.0 + at, 12.0 + at, 9.0, 11.0, 5.0] for at in range(8)]
    for at in (3, 0, 7, 1, 2, 6, 5, 4):
        assert md.append(*BTC, rows[at]).added == 1
    assert md.candles(*BTC, as_="ccxt") == rows
    assert md.coverage(*BTC) == [(T0, T0 + 8 * MINUTE)]


@pytest.mark.parametrize(
    "candle",
    [
        ROW,
        tuple(ROW),
        ["2020-01-01T01:00+01:00", *ROW[1:]],
        CANDLE,
        {**CANDLE, "timestamp": "2020-01-01"},
        [CANDLE],
        pd.DataFrame([CANDLE]),
        np.array([ROW]),
    ],
    ids=["row", "tuple", "row with text", "dict", "dict with text", "dicts", "frame", "array"],
)
def test_a_candle_may_be_given_in_any_form(md, candle):
    assert md.append(*BTC, candle).added == 1
    assert md.candles(*BTC, as_="ccxt") == [ROW]


def test_a_duplicate_is_unchanged_and_a_correction_is_an_update(md):
    md.append(*BTC, ROW)
    assert md.append(*BTC, ROW).unchanged == 1
    assert md.append(*BTC, {**CANDLE, "close": 11.5}).updated == 1
    assert md.candles(*BTC)["close"].tolist() == [11.5]


def test_an_unclosed_candle_is_the_forming_one_until_it_closes(md, now):
    now[0] = T0 + MINUTE - 1
    report = md.append(*BTC, ROW)
    assert (report.added, report.rejected, report.reasons) == (0, 1, {"not_closed": 1})
    assert md.forming(*BTC) == CANDLE
    assert md.series() == []
    md.append(*BTC, {**CANDLE, "close": 9.5})
    assert md.forming(*BTC)["close"] == 9.5
    now[0] = T0 + MINUTE
    assert md.forming(*BTC) is None
    assert md.append(*BTC, ROW).added == 1
    assert md.forming(*BTC) is None


def test_an_older_candle_does_not_replace_the_forming_one(md, now):
    md.append(*BTC, [T0 + 10 * MINUTE, *ROW[1:]])
    md.append(*BTC, ROW)
    assert md.forming(*BTC)["timestamp"] == T0 + 10 * MINUTE


def test_what_cannot_be_a_candle_neither_forms_nor_is_stored(md, now):
    bad = {**CANDLE, "high": 1.0}
    assert md.append(*BTC, bad).reasons == {"high_below_low": 1}
    now[0] = T0
    assert md.append(*BTC, bad).reasons == {"high_below_low": 1}
    assert md.append(*BTC, {**CANDLE, "timestamp": T0 + 1}).reasons == {"off_grid": 1}
    assert md.forming(*BTC) is None


@pytest.mark.parametrize("candle", [[], [ROW, ROW], {}, "text", None, ROW[:4]])
def test_what_is_not_one_candle_is_refused(md, candle):
    with pytest.raises(InvalidArgument):
        md.append(*BTC, candle)
