"""Whether two values are the same in value and in type, as a user sees it."""

from __future__ import annotations

import struct

import numpy as np
import pandas as pd
import polars as pl


def assert_same(found, given):  # noqa: C901, PLR0912  # a list of types
    assert type(found) is type(given)
    if isinstance(given, float | complex):
        assert _bits(found) == _bits(given)
    elif isinstance(given, list | tuple):
        assert len(found) == len(given)
        for one, other in zip(found, given, strict=True):
            assert_same(one, other)
    elif isinstance(given, dict):
        assert_same(list(found.keys()), list(given.keys()))
        assert_same(list(found.values()), list(given.values()))
    elif isinstance(given, np.ndarray | np.generic):
        assert found.dtype == given.dtype
        assert found.shape == given.shape
        assert found.tobytes() == given.tobytes()
    elif isinstance(given, pd.DataFrame):
        pd.testing.assert_frame_equal(found, given, check_exact=True, check_freq=True)
        assert list(found.dtypes) == list(given.dtypes)
        assert_same(found.index, given.index)
        assert_same(found.columns, given.columns)
        assert_same(found.attrs, given.attrs)
    elif isinstance(given, pd.Series):
        pd.testing.assert_series_equal(found, given, check_exact=True, check_freq=True)
        assert_same(found.index, given.index)
        assert_same(found.name, given.name)
        assert_same(found.attrs, given.attrs)
    elif isinstance(given, pd.Index):
        pd.testing.assert_index_equal(found, given, exact=True)
        assert_same(list(found.names), list(given.names))
        assert getattr(found, "freq", None) == getattr(given, "freq", None)
        assert getattr(found, "dtype", None) == getattr(given, "dtype", None)
        if given.dtype == object and not isinstance(given, pd.MultiIndex):
            assert_same(list(found), list(given))
    elif isinstance(given, pl.DataFrame | pl.Series):
        assert found.equals(given, null_equal=True)
        assert str(found) == str(given)
    elif given is pd.NaT or given is pd.NA:
        assert found is given
    else:
        assert found == given or repr(found) == repr(given) == "Decimal('NaN')"
        for part in ("tzinfo", "fold", "unit"):
            assert getattr(found, part, None) == getattr(given, part, None)


def _bits(number):
    number = complex(number)
    return struct.pack("<dd", number.real, number.imag)
