"""Merging blocks, against a dictionary of rows."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ohlcache.candles import OHLCV, Block
from ohlcache.candles.merge import merge

values = st.sampled_from([0.0, -0.0, 1.0, 2.0, np.nan])
tables = st.dictionaries(st.integers(0, 30), st.tuples(*[values] * 5), max_size=20)


def block_of(table):
    rows = sorted(table.items())
    columns = np.array([row for _, row in rows], np.float64).reshape(len(rows), 5).T
    return Block(np.array([time for time, _ in rows], np.int64), np.ascontiguousarray(columns))


def bits(row):
    return tuple(np.array(row).view(np.int64).tolist())


@given(tables, tables)
def test_merging_is_updating_a_dictionary(old, new):
    merged = merge(block_of(old), block_of(new))
    assert merged.block.identical(block_of(old | new))
    assert merged.added == len(new.keys() - old.keys())
    common = new.keys() & old.keys()
    assert merged.updated == sum(bits(new[time]) != bits(old[time]) for time in common)
    assert merged.unchanged == len(common) - merged.updated
    changes = {time: row for time, row in new.items() if bits(old.get(time, ())) != bits(row)}
    assert merged.changes.identical(block_of(changes))


def test_columns_that_the_new_rows_lack_keep_their_values():
    old = Block(np.array([0, 1]), np.arange(12.0).reshape(6, 2), (*OHLCV, "trades"))
    new = Block(np.array([1, 2]), np.full((5, 2), 9.0))
    merged = merge(old, new).block
    assert np.array_equal(merged.column("trades"), [10.0, 11.0, np.nan], equal_nan=True)
    assert merged.column("close").tolist() == [6.0, 9.0, 9.0]


def test_columns_that_only_the_new_rows_have_are_nan_before():
    old = Block(np.array([0]), np.zeros((5, 1)))
    new = Block(np.array([1]), np.ones((6, 1)), (*OHLCV, "trades"))
    merged = merge(old, new).block
    assert np.array_equal(merged.column("trades"), [np.nan, 1.0], equal_nan=True)
