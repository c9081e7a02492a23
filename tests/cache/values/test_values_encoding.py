"""Values as bytes and back: what comes back equals what went in, in value and in type."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import math
import pickle
from collections import OrderedDict, namedtuple
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from equality import assert_same
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, scalar_dtypes

from ohlcache.cache.values import decode, encode
from ohlcache.errors import ValueDamaged, ValueRefused

KEY = b"0123456789abcdef0123456789abcdef"
BERLIN = ZoneInfo("Europe/Berlin")
HOURS = pd.date_range("2024-03-30", periods=4, freq="h", tz="Europe/Berlin", name="when")

BUILTIN = [
    *(None, True, False, 0, -1, 2**63, 2**64 - 1, 2**64, -(2**63) - 1, 10**100),
    *(0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, 1 + 2j, complex(-0.0, math.nan)),
    *("", "BTC/USDT", "é\0", "\ud800", b"", b"\x00\xff", bytearray(b"ab")),
    *([], (), [1, [2, (3,)]], (1, "a", (None,)), {1, 2}, set(), frozenset({"a"}), frozenset()),
    *({}, {"b": 1, "a": 2}, {1: "a", 1.5: "b", None: "c", ("t", 1): "d", b"x": {}}, {"\ud800": 1}),
    *(datetime(2024, 1, 2, 3, 4, 5, 6), datetime(2024, 1, 2, tzinfo=UTC), datetime.max),
    *(datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN), datetime(1, 1, 1)),
    datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN, fold=1),
    datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=-3, minutes=-30), "NST")),
    datetime(2024, 1, 1, tzinfo=timezone(timedelta(seconds=1, microseconds=7))),
    *(date(2024, 2, 29), time(1, 2, 3), time(1, 2, tzinfo=UTC), time(2, 30, fold=1)),
    *(timedelta(days=-1, microseconds=1), timedelta.max, UTC, BERLIN),
    *(Decimal("1.10"), Decimal("-0"), Decimal("NaN"), Decimal("Infinity"), Decimal("1E+400")),
    UUID(int=5),
]

NUMPY = [
    *(np.float32(1.5), np.int8(-1), np.bool_(True), np.str_("é"), np.str_(""), np.bytes_(b"a")),
    *(np.datetime64("2024-01-01", "s"), np.datetime64("NaT", "ns"), np.timedelta64(3, "D")),
    np.array([(1, 2.0)], [("a", "<i4"), ("b", "<f8")])[0],
    *(np.array(5), np.array([]), np.zeros((2, 0, 3), "i2"), np.zeros(3, "S0")),
    np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2),
    np.arange(10)[::-2],
    np.array([1, 2], ">i8"),
    np.array(["2024", "NaT"], "M8[ms]"),
    np.array([(1, (2.0, 3.0), "x")], [("a", "i1"), ("b", "f4", (2,)), ("c", "U3")]),
    np.zeros(2, np.dtype([("a", "i1"), ("b", "f8")], align=True)),
]

INDEXES = [
    HOURS,
    pd.RangeIndex(3, 30, 2, name="r"),
    pd.Index([1, "a", None, ("q", 2), 1.5], dtype=object, tupleize_cols=False),
    pd.Index([("a", 1), ("b", 2)], tupleize_cols=False, name=("n", 1)),
    pd.MultiIndex.from_product([[1, 2], ["a", None]], names=["x", None]),
    pd.MultiIndex.from_arrays([HOURS, pd.Categorical(list("abba"))]),
    pd.CategoricalIndex(list("aab"), categories=list("cab"), ordered=True),
    pd.interval_range(0, 3, closed="both"),
    pd.period_range("2024", periods=3, freq="Q"),
    pd.timedelta_range("1h", periods=3),
    *(pd.Index([], dtype="int8"), pd.Index([], dtype=object), pd.Index([])),
    *(pd.Index(["a", "a", None]), pd.Index([1.5, np.nan]), pd.Index([True, False])),
    pd.date_range("2024", periods=3, freq="MS"),
    pd.date_range("2024", periods=3, freq="W-WED", unit="s"),
    pd.date_range("2024", periods=3, freq="-1D"),
    pd.DatetimeIndex(["2024-01-01", pd.NaT], tz="Asia/Tokyo"),
    pd.DatetimeIndex(["1500-01-01"], dtype="M8[s]"),
    pd.Index(pd.array([1, None], dtype="Int64")),
]

COLUMNS = {
    "integers": [1, 2, 3, 4],
    "floats": [1.0, -0.0, np.nan, np.inf],
    "text": ["x", None, "", "é"],
    "objects": [1, "a", ("t", [1]), None],
    "decimals": [Decimal("1.0"), None, Decimal(2), date(2024, 1, 1)],
    "categories": pd.Categorical(list("abca"), categories=list("cba"), ordered=True),
    "moments as categories": pd.Categorical(HOURS),
    "Int16": pd.array([1, None, 3, 4], dtype="Int16"),
    "Float32": pd.array([1, None, 3, 4], dtype="Float32"),
    "boolean": pd.array([True, None, False, True], dtype="boolean"),
    "float16": np.arange(4, dtype="f2"),
    "ms": pd.date_range("2024", periods=4, unit="ms"),
    "zoned": pd.DatetimeIndex(["2024-01-01", None, "2024-07-01", "1900"], tz="America/New_York"),
    "lengths": pd.to_timedelta([1, None, 2, 3], unit="s"),
    "months": pd.period_range("2024-01", periods=4, freq="M"),
    "intervals": pd.interval_range(0.5, 4.5),
    "string[python]": pd.array(["a", None, "b", ""], dtype="string[python]"),
    "string[pyarrow]": pd.array(["a", None, "b", ""], dtype="string[pyarrow]"),
    "arrow integers": pd.array([1, None, 2, 3], dtype="int64[pyarrow]"),
    "arrow lists": pd.array([[1], None, [], [2, 3]], dtype=pd.ArrowDtype(pa.list_(pa.int8()))),
}


def mixed_frame():
    frame = pd.DataFrame(COLUMNS | {"objects": pd.Series(COLUMNS["objects"], dtype=object)})
    frame["decimals"] = pd.Series(COLUMNS["decimals"], dtype=object)
    frame.index = HOURS
    frame.attrs = {"source": ("exchange", {"at": date(2024, 1, 1)})}
    return frame


def labelled(labels):
    return pd.DataFrame(np.arange(2.0 * len(labels)).reshape(2, -1), columns=labels)


FRAMES = [
    mixed_frame(),
    mixed_frame().iloc[1:3],
    mixed_frame().iloc[:0],
    pd.DataFrame(),
    pd.DataFrame(index=HOURS),
    pd.DataFrame(columns=["a", 1]),
    pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]}),
    pd.DataFrame(np.asfortranarray(np.arange(6.0).reshape(2, 3))),
    *(labelled(pd.Index([1, "1", None], dtype=object)), labelled(["a", "a", "a"])),
    *(labelled(pd.MultiIndex.from_tuples([("a", 1), ("a", 2)], names=["x", "y"])), labelled([7])),
    *(labelled(HOURS), labelled(pd.Index([("a", 1), "b"], tupleize_cols=False))),
    pd.concat([mixed_frame(), mixed_frame()], axis=1),
]


@pytest.mark.parametrize("value", [*BUILTIN, *NUMPY, *INDEXES], ids=repr)
def test_a_value_comes_back_alone_and_nested(value):
    assert_same(decode(encode(value)), value)
    for nested in ([value], (1, [value]), {"x": value}, {("k", 1): {"y": [value]}}):
        assert_same(decode(encode(nested)), nested)


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: f"{frame.shape} {list(frame)[:3]}")
def test_a_frame_comes_back(frame):
    assert_same(decode(encode(frame)), frame)
    assert_same(decode(encode({"df": [frame]}))["df"][0], frame)


@pytest.mark.parametrize("name", COLUMNS)
def test_a_series_comes_back(name):
    series = mixed_frame()[name]
    series.attrs["unit"] = "USD"
    assert_same(decode(encode(series)), series)
    assert_same(decode(encode(series.rename(("a", 1)))), series.rename(("a", 1)))


@pytest.mark.parametrize("index", INDEXES, ids=lambda value: type(value).__name__)
def test_a_frame_keeps_its_index_and_labels(index):
    frame = pd.DataFrame(np.arange(2.0 * len(index)).reshape(-1, 2), index=index)
    assert_same(decode(encode(frame)), frame)
    assert_same(decode(encode(frame.T)), frame.T)


@pytest.mark.parametrize(
    "value",
    [
        pd.Timestamp("2024-01-01"),
        pd.Timestamp("2024-10-27 01:30", tz="UTC").tz_convert("Europe/Berlin"),
        pd.Timestamp("2024-01-01T00:00:00.000000001", tz="UTC"),
        pd.Timestamp("1500-01-01").as_unit("s"),
        *(pd.Timedelta(5, "ns"), pd.Timedelta(5, "s").as_unit("ms"), pd.NaT, pd.NA),
    ],
    ids=lambda value: type(value).__name__,
)
def test_moments_of_pandas_come_back(value):
    assert_same(decode(encode([value])), [value])


def test_a_frequency_that_text_cannot_say_is_left_out():
    index = pd.date_range("2024", periods=3, freq=pd.offsets.CustomBusinessDay(weekmask="Mon Tue"))
    found = decode(encode(index))
    assert found.freq is None
    pd.testing.assert_index_equal(found, pd.DatetimeIndex(list(index)))


POLARS = pl.DataFrame(
    {
        "i": [1, None, 3],
        "f": [1.5, math.nan, None],
        "s": ["a", "é", None],
        "c": pl.Series(["x", "y", None], dtype=pl.Categorical),
        "e": pl.Series(["x", "y", None], dtype=pl.Enum(["y", "x"])),
        "l": [[1], [], None],
        "st": [{"q": 1}, {"q": 2}, None],
        "d": [Decimal("1.20"), None, None],
        "t": pl.Series([datetime(2024, 1, 1)] * 3, dtype=pl.Datetime("ms", "Europe/Berlin")),
        "ar": pl.Series([[1, 2]] * 3, dtype=pl.Array(pl.Int8, 2)),
        "b": [b"x", None, b""],
        "n": [None] * 3,
    }
)


@pytest.mark.parametrize("value", [POLARS, POLARS[1:], POLARS.clear(), pl.DataFrame()])
def test_polars_comes_back(value):
    found = decode(encode([value]))[0]
    assert found.schema == value.schema
    assert_same(found, value)
    for column in value.get_columns():
        assert_same(decode(encode(column)), column)


def test_a_dtype_of_polars_that_arrow_lacks_is_refused():
    with pytest.raises(TypeError, match="polars.*Int128"):
        encode(pl.DataFrame({"a": pl.Series([1], dtype=pl.Int128)}))


def test_arrow_tables_come_back():
    table = pa.table(
        {
            "a": pa.chunked_array([[1], [2, None]]),
            "d": pa.array(["x", "x", "y"]).dictionary_encode(),
        }
    ).replace_schema_metadata({"k": "v"})
    for part in (table, table.slice(1), table.schema.empty_table()):
        found = decode(encode(part))
        assert type(found) is pa.Table
        assert found.equals(part, check_metadata=True)
    for batch in (table.to_batches()[0], pa.RecordBatch.from_pylist([], table.schema)):
        found = decode(encode({"b": batch}))["b"]
        assert type(found) is pa.RecordBatch
        assert found.equals(batch, check_metadata=True)


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers()
    | st.text(st.characters())
    | st.binary()
    | st.datetimes(timezones=st.none() | st.timezones(), allow_imaginary=True)
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.decimals(allow_nan=False)
    | st.uuids()
)
keys = st.integers() | st.text(max_size=5) | st.booleans() | st.tuples(st.integers(), st.text())
values = st.recursive(
    scalars | arrays(scalar_dtypes(), array_shapes(min_dims=0, min_side=0, max_side=3)),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=5), inner, max_size=4)
        | st.dictionaries(keys, inner, max_size=4)
    ),
    max_leaves=12,
)


@given(values)
def test_any_value_comes_back(value):
    assert_same(decode(encode(value)), value)


@given(values)
def test_equal_bytes_of_a_view_are_read_as_well(value):
    assert_same(decode(memoryview(bytearray(encode(value)))), value)


def test_arrays_share_the_memory_they_were_read_from_and_are_read_only():
    data = encode({"a": np.arange(1000.0), "f": pd.DataFrame(np.ones((100, 3)))})
    found = decode(data)
    memory = np.frombuffer(data, np.uint8)
    for array in (found["a"], found["f"].to_numpy()):
        assert np.shares_memory(array, memory)
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 5


def test_of_memory_that_may_change_arrays_are_read_only_too():
    assert not decode(bytearray(encode(np.arange(3)))).flags.writeable


# -- what has no form ---------------------------------------------------------------------------


class Colour(enum.Enum):
    RED = 1


class Weekday(enum.IntEnum):
    MONDAY = 1


class Text(str):
    __slots__ = ()


class Frame(pd.DataFrame):
    pass


@dataclasses.dataclass
class Trade:
    price: float


Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    "value",
    [
        *(Colour.RED, Weekday.MONDAY, Text("a"), Trade(1.0), Point(1, 2), Frame({"a": [1]})),
        *(OrderedDict(a=1), np.ma.masked_array([1]), object(), iter([]), range(3), str, len),
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_types_are_refused_with_their_name_and_place(value):
    kind = type(value)
    name = f"{kind.__module__}.{kind.__qualname__}"
    for nested, place in (
        (value, "value"),
        ({"x": [1, 2, 3, value]}, "value['x'][3]"),
        ({("k", 1): (value,)}, "value[('k', 1)][0]"),
    ):
        with pytest.raises(TypeError) as caught:
            encode(nested)
        assert str(caught.value).startswith(f"{place} is a {name}")
        assert "cache.pickle_key" in str(caught.value)


def test_what_hides_in_arrays_and_frames_is_found_too():
    objects = np.array([1, "a"], dtype=object)
    with pytest.raises(TypeError, match=r"value\['a'\] is a numpy.ndarray that has the dtype obj"):
        encode({"a": objects})
    frame = pd.DataFrame({"n": [1, 2], "o": [None, Colour.RED]})
    with pytest.raises(TypeError, match=r"value\['df'\]\['o'\]\[1\] is a .*Colour"):
        encode({"df": frame})
    frame = pd.DataFrame({"n": [1, 2]})
    frame.attrs["c"] = Colour.RED
    with pytest.raises(TypeError, match=r"value.attrs\['c'\] is a .*Colour"):
        encode(frame)


def test_a_value_that_holds_itself_is_refused():
    value = []
    value.append(value)
    with pytest.raises(TypeError, match="holds itself"):
        encode(value)


# -- signed pickles -----------------------------------------------------------------------------


def test_with_a_key_any_object_comes_back():
    value = {"t": Trade(1.5), "c": Colour.RED}
    assert decode(encode(value, signing_key=KEY), signing_key=KEY) == value


def test_with_a_key_other_values_are_not_pickled():
    for value in (1, {"a": (1, 2)}, np.arange(3)):
        assert encode(value, signing_key=KEY) == encode(value)


class Bomb:
    went_off = False

    def __reduce__(self):
        return setattr, (Bomb, "went_off", True)


@pytest.mark.parametrize("key", [None, b"another key"])
def test_a_pickle_of_others_is_never_run(key):
    data = encode(Bomb(), signing_key=KEY)
    with pytest.raises(ValueRefused):
        decode(data, signing_key=key)
    for place in range(1, len(data)):
        altered = bytearray(data)
        altered[place] ^= 1
        with pytest.raises(ValueRefused):
            decode(bytes(altered), signing_key=KEY)
    assert not Bomb.went_off


def test_what_cannot_even_be_pickled_is_a_type_error():
    with pytest.raises(TypeError, match="cannot be pickled"):
        encode({"f": lambda: 1}, signing_key=KEY)


def test_a_signed_pickle_of_a_class_that_is_gone_is_damaged(monkeypatch):
    data = encode(Trade(1.0), signing_key=KEY)
    monkeypatch.delitem(globals(), "Trade")
    with pytest.raises(ValueDamaged):
        decode(data, signing_key=KEY)


# -- damage -------------------------------------------------------------------------------------

SOUND = [
    encode(value)
    for value in (
        {"a": 1, "b": [1.5, "x"]},
        (datetime(2024, 1, 1, tzinfo=BERLIN), Decimal(1), {1: {2}}, 2**70),
        np.arange(5.0),
        {"s": np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")])},
        mixed_frame(),
        pd.Series(["a", "bb", None], index=INDEXES[4][:3]),
        POLARS,
        pa.table({"a": [1, 2], "d": pa.array(["x", "y"]).dictionary_encode()}),
    )
]


def read_or_damaged(data):
    """Decoding gives ValueDamaged, or a value all of whose memory can be read."""
    with contextlib.suppress(ValueDamaged, ValueRefused):
        pickle.dumps(decode(data))


@given(st.binary(max_size=200))
def test_foreign_bytes(data):
    read_or_damaged(data)
    for tag in range(4):
        read_or_damaged(bytes([tag]) + data)


@given(st.data())
def test_truncated_and_altered_bytes(data):
    altered = bytearray(data.draw(st.sampled_from(SOUND)))
    # Most of a value is payload; what structure there is stands in its first part.
    near = st.integers(0, min(len(altered), 600) - 1) | st.integers(0, len(altered) - 1)
    for _ in range(data.draw(st.integers(0, 3))):
        altered[data.draw(near)] = data.draw(st.integers(0, 255))
    read_or_damaged(bytes(altered[: data.draw(st.integers(0, len(altered)))]))
    read_or_damaged(bytes(altered))


@pytest.mark.parametrize("sound", SOUND, ids=range(len(SOUND)))
def test_every_truncation_is_noticed(sound):
    for length in {*range(0, len(sound), max(1, len(sound) // 300)), len(sound) - 1}:
        with pytest.raises(ValueDamaged):
            decode(sound[:length])
    with pytest.raises(ValueDamaged):
        decode(sound + b"\0")
