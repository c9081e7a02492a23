"""Keys: the same in every process, different for different values, readable where short."""

from __future__ import annotations

import enum
import math
import subprocess
import sys
from collections import namedtuple
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from itertools import combinations
from pathlib import PurePosixPath
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohlcache.cache.keys.fingerprint import fingerprint
from ohlcache.cache.keys.functions import function_name
from ohlcache.cache.keys.text import arguments_text, key_text


class Side(enum.Enum):
    BUY = "buy"
    SELL = "sell"


class Flags(enum.Flag):
    A = 1
    B = 2


@dataclass
class Order:
    side: Side
    prices: list[float]


Point = namedtuple("Point", "x y")

HOURS = pd.date_range("2024", periods=3, freq="h", tz="UTC")
FRAME = pd.DataFrame({"a": [1, 2, 3], "s": ["x", None, "y"]}, index=HOURS)

DIFFERENT = [
    *(None, True, 1, 1.0, 1 + 0j, "1", b"1", bytearray(b"1"), Decimal(1), np.int64(1), np.int32(1)),
    *(False, 0, 0.0, -0.0, "", b"", math.nan, math.inf, 2**64, 2**200, "\ud800", "é", "e"),
    *((), [], {}, set(), frozenset(), (1,), [1], {1}, frozenset({1}), {1: 1}, {"1": 1}, ((1,),)),
    *([1, 2], [2, 1], [[1], 2], [[1, 2]], {"a": 1, "b": 2}, {"a": 2, "b": 1}, [("a", 1), ("b", 2)]),
    *(date(2024, 1, 1), datetime(2024, 1, 1), datetime(2024, 1, 1, tzinfo=UTC), "2024-01-01"),
    datetime(2024, 1, 1, tzinfo=ZoneInfo("Europe/London")),
    *(datetime(2024, 1, 1, fold=1), time(1), timedelta(1), pd.Timestamp("2024-01-01"), UTC),
    *(pd.Timestamp("2024-01-01", tz="UTC"), pd.Timedelta(1, "D"), pd.NaT, pd.NA),
    *(np.datetime64("2024-01-01"), np.datetime64("NaT"), UUID(int=1), PurePosixPath("a"), "a"),
    *(Side.BUY, Side.SELL, "buy", Flags.A, Flags.B, Flags.A | Flags.B, range(3), slice(3), ...),
    *(Order(Side.BUY, [1.0]), Order(Side.SELL, [1.0]), Order(Side.BUY, [1]), Point(1, 2), (1, 2)),
    *(len, max, math.sqrt, np.sqrt.__class__, key_text, Order, int, pl.Int8, np.dtype("f4")),
    *(np.arange(4), np.arange(4.0), np.arange(4).reshape(2, 2), np.arange(4, dtype=">i8")),
    *(np.array([1, "a"], object), np.array([1, "b"], object), np.array([]), np.array([], "i4")),
    *(FRAME, FRAME[["s", "a"]], FRAME[["a"]], FRAME["a"], FRAME["s"], FRAME.index, FRAME.columns),
    *(FRAME.iloc[::-1], FRAME.astype({"a": "int32"}), FRAME.reset_index(drop=True), FRAME.iloc[:0]),
    *(FRAME.rename(columns={"a": "A"}), FRAME.tz_convert("Asia/Tokyo"), FRAME["a"].rename("b")),
    FRAME.assign(s=FRAME["s"].astype("category")),
    FRAME.assign(a=FRAME["a"].astype("Int64")),
    *(pd.MultiIndex.from_product([[1, 2], ["a"]]), pd.MultiIndex.from_product([[1], ["a"]])),
    *(pd.Categorical(["a"]), pd.Categorical(["a"], categories=["b", "a"]), pd.array([1, None])),
    *(pl.DataFrame({"a": [1, 2]}), pl.DataFrame({"a": [1, None]}), pl.Series("a", [1, 2])),
    *(
        pl.DataFrame({"b": [1, 2]}),
        pl.DataFrame({"a": ["1", "2"]}),
        pl.DataFrame({"a": [1.0, 2.0]}),
    ),
    *(
        pa.table({"a": [1, 2]}),
        pa.table({"a": [1, None]}),
        pa.array([1, 2]),
        pa.table({"b": [1, 2]}),
    ),
]


def test_different_values_have_different_fingerprints():
    found = [fingerprint(value) for value in DIFFERENT]
    for (one, print_one), (other, print_other) in combinations(
        zip(DIFFERENT, found, strict=True), 2
    ):
        assert print_one != print_other, (one, other)


SAME = [
    ({"a": 1, "b": [2]}, {"b": [2], "a": 1}),
    ({3, 1, 2}, {1, 2, 3}),
    (math.nan, float("nan")),
    ([math.nan], [-math.nan]),
    (np.arange(6).reshape(2, 3), np.asfortranarray(np.arange(6).reshape(2, 3))),
    (np.arange(6)[::2], np.array([0, 2, 4])),
    (FRAME, FRAME.copy()),
    (FRAME[["a", "s"]], pd.concat([FRAME[["a"]], FRAME[["s"]]], axis=1)),
    (FRAME, pd.concat([FRAME.iloc[:1], FRAME.iloc[1:]])),
    (pd.RangeIndex(3), pd.Index([0, 1, 2])),
    (pl.DataFrame({"a": [1, 2]}), pl.concat([pl.DataFrame({"a": [1]}), pl.DataFrame({"a": [2]})])),
    (pl.Series(["a", None, "b"])[1:], pl.Series([None, "b"])),
    (pa.table({"a": [1, 2]}), pa.table({"a": pa.chunked_array([[1], [2]])})),
    (Order(Side.BUY, [1.0]), Order(Side.BUY, [1.0])),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_equal_content_has_one_fingerprint(one, other):
    assert fingerprint(one) == fingerprint(other)


def test_another_process_makes_the_same_texts():
    script = (
        "from datetime import date\n"
        "from ohlcache.cache.keys.text import arguments_text, key_text\n"
        "value = {'a': {'x', 'y', 'z'}, 'b': (1, date(2024, 1, 1)), 'c': list('defg')}\n"
        "print(key_text(frozenset('abc')), arguments_text('f', [('v', value)]))\n"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(texts) == 1
    value = {"c": list("defg"), "b": (1, date(2024, 1, 1)), "a": {"z", "y", "x"}}
    expected = f"{key_text(frozenset('cba'))} {arguments_text('f', [('v', value)])}\n"
    assert texts == {expected}


def local_function():
    def inner():
        pass

    return inner


@pytest.mark.parametrize(
    "value",
    [object(), lambda: 1, local_function(), [].append, partial(len), iter([]), sys],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_content_is_refused_with_its_name(value):
    with pytest.raises(TypeError, match="key="):
        fingerprint({"x": [value]})


def test_a_value_that_holds_itself_is_refused():
    value = []
    value.append(value)
    with pytest.raises(TypeError, match="holds itself"):
        fingerprint(value)


class TestFunctionNames:
    def test_a_function_of_a_module_has_its_name(self):
        assert function_name(key_text) == "ohlcache.cache.keys.text.key_text"

    def test_a_local_function_has_that_of_its_code_and_closure(self):
        def make(value):
            def inner(x, y=0):
                return x + value

            return inner

        def other(value):
            def inner(x, y=0):
                return x - value

            inner.__qualname__ = make(0).__qualname__
            return inner

        assert function_name(make([1])) == function_name(make([1]))
        assert len({function_name(one) for one in (make(1), make(1.0), make(2), other(1))}) == 4
        assert function_name(make(make(1))) != function_name(make(make(2)))
        with pytest.raises(TypeError, match=r"builtins\.object"):
            function_name(make(object()))

    def test_what_nested_code_does_counts(self):
        made = []
        for text in ("[2 * x for x in y]", "[3 * x for x in y]", "[x * 2 for x in y]"):
            space = {}
            exec(f"f = lambda y: {text}", space)
            made.append(function_name(space["f"]))
        assert len(set(made)) == 3

    def test_where_it_stands_does_not_count(self):
        made = []
        for text in ("f = lambda y: y", "\n\n# moved\nf = lambda y:   y"):
            space = {}
            exec(text, space)
            made.append(function_name(space["f"]))
        assert made[0] == made[1]


@pytest.mark.parametrize("key", ["", "BTC/USDT:USDT", "é x", "a" * 200])
def test_a_text_stays_as_it_is(key):
    assert key_text(key) == key


@pytest.mark.parametrize("key", ["a" * 201, "a\n", "a\0b", "\ud800", "~1", "a" * 10**6, "\t" * 300])
def test_a_long_or_unprintable_text_becomes_a_short_printable_one(key):
    text = key_text(key)
    assert len(text) <= 200
    assert text.isprintable()
    assert text != key_text(key + "x")


@pytest.mark.parametrize(
    ("key", "text"),
    [(1, "~1"), (1.0, "~1.0"), (True, "~True"), (("BTC/USDT", 1), "~('BTC/USDT',1,)")],
)
def test_short_keys_of_other_types_stay_readable(key, text):
    assert key_text(key) == text


keys = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.dates()
    | st.sampled_from(["1", "~1", "True", "~True", "('a',)", "~('a',)"]),
    lambda inner: st.lists(inner, max_size=3).map(tuple),
    max_leaves=4,
)


@given(keys, keys)
def test_texts_are_equal_only_for_the_same_key(one, other):
    # repr tells types and -0.0 apart for all of these.
    assert (key_text(one) == key_text(other)) == (repr(one) == repr(other))
    assert key_text(one).isprintable()
    assert key_text(one) == key_text(one)


def test_a_key_that_cannot_be_one():
    with pytest.raises(TypeError, match="builtins.object"):
        key_text(object())


def test_calls_are_readable_where_short():
    text = arguments_text("mod.func", [("symbol", "BTC/USDT"), ("limit", 100)])
    assert text == "mod.func(symbol='BTC/USDT',limit=100)"
    assert arguments_text("f", []) == "f()"


def test_large_arguments_are_digested():
    text = arguments_text("f", [("frame", FRAME), ("n", 1)])
    assert text == f"f(frame=#{fingerprint(FRAME)},n=1)"
    many = arguments_text("f", [(f"argument_{number}", number) for number in range(100)])
    assert len(many) <= 200
    more = [(f"argument_{number}", number + 1) for number in range(100)]
    assert many != arguments_text("f", more)


def test_calls_differ_by_type():
    texts = {arguments_text("f", [("x", value)]) for value in (1, 1.0, True, "1", b"1", "b'1'")}
    assert len(texts) == 6


def test_an_argument_without_content_is_named():
    with pytest.raises(TypeError, match=r"argument client of mod\.f: a builtins\.object"):
        arguments_text("mod.f", [("n", 1), ("client", object())])
