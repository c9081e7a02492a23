"""What was set or handed out may be changed without changing what is cached."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest

from ohlcache.cache.memory import MemoryTier
from ohlcache.cache.memory.guard import protect


@pytest.fixture
def tier():
    return MemoryTier()


def frame():
    return pd.DataFrame({"close": [1.0, 2.0], "name": ["a", "b"]}, index=[10, 20])


def spoil_frame(df):
    df.loc[10, "close"] = -1.0
    df["new"] = 0
    df.index.name = "spoilt"
    df.columns = [f"x{name}" for name in df.columns]


def spoil_polars(df):
    df[0, "close"] = -1.0
    df.insert_column(0, pl.Series("new", [0, 0]))


def test_a_frame(tier):
    given = frame()
    tier.set("key", given)
    spoil_frame(given)
    spoil_frame(tier.get("key"))
    pd.testing.assert_frame_equal(tier.get("key"), frame())


def test_a_frame_where_pandas_does_not_copy_on_write(tier, monkeypatch):
    monkeypatch.setattr("ohlcache.cache.memory.guard._copies_on_write", lambda pandas: False)
    tier.set("key", frame())
    found = tier.get("key")
    assert not np.shares_memory(found["close"].to_numpy(), tier.get("key")["close"].to_numpy())


def test_a_series(tier):
    given = frame()["close"]
    tier.set("key", given)
    given.iloc[0] = -1.0
    found = tier.get("key")
    found.iloc[0] = -1.0
    found.name = "spoilt"
    pd.testing.assert_series_equal(tier.get("key"), frame()["close"])


def test_the_arrays_of_a_frame_cannot_be_written(tier):
    tier.set("key", frame())
    for array in (tier.get("key")["close"].to_numpy(), tier.get("key").index.to_numpy()):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 99


def test_a_polars_frame(tier):
    given = pl.DataFrame({"close": [1.0, 2.0]})
    tier.set("key", given)
    spoil_polars(given)
    spoil_polars(tier.get("key"))
    assert tier.get("key").equals(pl.DataFrame({"close": [1.0, 2.0]}))


def test_an_array_is_shared_and_cannot_be_made_writeable(tier):
    given = np.arange(5.0)
    tier.set("key", given)
    given[0] = -1.0
    found = tier.get("key")
    assert found.tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="read-only"):
        found[0] = -1.0
    with pytest.raises(ValueError, match="WRITEABLE"):
        found.flags.writeable = True
    assert np.shares_memory(found, tier.get("key"))


def test_a_read_only_view_of_memory_that_others_write_is_copied(tier):
    owner = np.arange(5.0)
    view = owner[1:]
    view.flags.writeable = False
    tier.set("key", view)
    owner[1] = -1.0
    assert tier.get("key")[0] == 1.0


def test_an_array_that_nobody_can_write_is_not_copied(tier):
    locked = np.frombuffer(bytes(80), dtype=np.float64)
    tier.set("key", locked)
    assert np.shares_memory(tier.get("key"), locked)


@pytest.mark.parametrize("kind", [list, tuple])
def test_frames_and_arrays_inside_a_sequence(tier, kind):
    frames, arrays = frame(), np.arange(3)
    tier.set("key", kind([frames, arrays, "text"]))
    spoil_frame(frames)
    arrays[0] = -1
    spoil_frame(tier.get("key")[0])
    with pytest.raises(ValueError, match="read-only"):
        tier.get("key")[1][0] = -1
    found = tier.get("key")
    assert type(found) is kind
    pd.testing.assert_frame_equal(found[0], frame())
    assert found[1].tolist() == [0, 1, 2]
    assert found[2] == "text"


def test_frames_inside_a_mapping(tier):
    given = {"df": frame(), "n": 1}
    tier.set("key", given)
    given["df"].loc[10, "close"] = -1.0
    given["n"] = 2
    found = tier.get("key")
    found["df"].loc[10, "close"] = -1.0
    found["n"] = 3
    assert list(tier.get("key")) == ["df", "n"]
    assert tier.get("key")["n"] == 1
    pd.testing.assert_frame_equal(tier.get("key")["df"], frame())


def test_anything_else_is_shared_as_it_is():
    for value in ("text", 1, None, [1, "a"], {"a": [1]}, {1, 2}, object()):
        kept, reveal = protect(value)
        assert kept is value
        assert reveal is None
