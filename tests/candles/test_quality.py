"""What is refused, what is flagged, and that nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_candles import MINUTE, T0, make_block
from ohlcache.candles import Block, Grid, Timeframe
from ohlcache.candles.quality import inspect

GRID = Grid(Timeframe.parse("1m"))
FAR = T0 + 10**9


def changed(column: str, row: int, value: float, rows: int = 100) -> Block:
    block = make_block(rows)
    block.column(column)[row] = value
    return block


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("open", np.nan, "price_not_finite"),
        ("close", np.inf, "price_not_finite"),
        ("high", -np.inf, "price_not_finite"),
        ("high", 1.0, "high_below_low"),
        ("volume", -1.0, "negative_volume"),
    ],
)
def test_what_cannot_be_a_candle_is_refused_by_row(column, value, reason):
    block = changed(column, 7, value)
    found = inspect(block, GRID, FAR)
    assert found.refused.counts == {reason: 1}
    assert found.refused.offenders[0].timestamp == T0 + 7 * MINUTE
    assert found.block.identical(block.take(np.arange(100) != 7))


def test_rows_off_the_grid_are_refused():
    block = make_block(10)
    block.times[3] += 1
    assert inspect(block, GRID, FAR).refused.counts == {"off_grid": 1}


def test_the_unclosed_candle_is_refused():
    block = make_block(10)
    last = int(block.times[-1])
    assert inspect(block, GRID, last + MINUTE).refused.counts == {}
    found = inspect(block, GRID, last + MINUTE - 1)
    assert found.refused.counts == {"not_closed": 1}
    assert len(found.block) == 9


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("open", 1e6, "open_or_close_outside_range"),
        ("volume", np.inf, "infinite_volume"),
    ],
)
def test_what_is_only_suspicious_is_kept_and_flagged(column, value, reason):
    block = changed(column, 7, value)
    found = inspect(block, GRID, FAR)
    assert found.flagged.counts[reason] == 1
    assert found.block.identical(block)


def test_a_jump_of_many_sigmas_is_flagged_and_an_ordinary_move_is_not():
    block = make_block(1_000)
    assert inspect(block, GRID, FAR).flagged.counts == {}
    block.values[:4, 500:] *= 1.2
    found = inspect(block, GRID, FAR)
    assert found.flagged.counts == {"jump": 1}
    assert found.flagged.offenders[0].timestamp == T0 + 500 * MINUTE


def test_a_zero_range_with_volume_is_flagged():
    block = make_block(5)
    block.values[:4, 2] = 100.0
    assert inspect(block, GRID, FAR).flagged.counts == {"zero_range_with_volume": 1}


def test_prices_may_be_zero_or_negative_and_a_volume_unknown():
    block = make_block(5)
    block.values[:4] -= block.values[0, 2]
    block.column("volume")[:] = np.nan
    found = inspect(block, GRID, FAR)
    assert found.refused.counts == {}
    assert found.block.identical(block)


def test_the_last_of_equal_times_wins_but_a_refused_row_never_does():
    block = Block.concatenate([make_block(3), make_block(3, seed=1), make_block(3, seed=2)])
    block.column("high")[7] = 0.0
    found = inspect(block, GRID, FAR)
    assert found.duplicates == 5
    expected = block.take(np.array([6, 4, 8]))
    assert found.block.identical(expected)


@given(st.permutations(range(20)))
def test_the_order_of_rows_does_not_matter(order):
    block = make_block(20)
    assert inspect(block.take(np.array(order)), GRID, FAR).block.identical(block)


@given(st.lists(st.integers(0, 99), unique=True), st.lists(st.integers(0, 99), unique=True))
def test_every_row_is_kept_or_counted(negative, crossed):
    block = make_block(100)
    block.column("volume")[negative] = -1.0
    block.column("high")[crossed] = 0.0
    found = inspect(block, GRID, FAR)
    assert found.refused.total == len({*negative, *crossed})
    assert len(found.block) + found.refused.total == 100
