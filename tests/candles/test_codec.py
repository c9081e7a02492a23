"""The chunk codec: every bit comes back, and damage never goes unnoticed."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from ohlcache.candles import OHLCV, Block
from ohlcache.candles.codec import (
    FORMAT_VERSION,
    decode,
    decode_into,
    encode,
    encode_plain,
    read_header,
)
from ohlcache.errors import ChunkDamaged, ChunkError, ChunkVersionUnsupported

VECTORS = sorted((Path(__file__).parents[1] / "vectors").glob("*.json"))

any_float = st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=True, width=64)
special = st.sampled_from([0.0, -0.0, np.nan, -np.nan, np.inf, -np.inf, 5e-324, -5e-324, 1e308])
decimal = st.integers(-(10**9), 10**9).map(lambda ticks: ticks / 100)


@st.composite
def blocks(draw, cells=any_float | special | decimal):
    rows = draw(st.integers(0, 40))
    extras = draw(st.lists(st.text(min_size=1, max_size=8), unique=True, max_size=3))
    names = (*OHLCV, *(f"x{name}" for name in extras))
    times = draw(
        st.one_of(
            st.tuples(st.integers(-(10**12), 10**12), st.integers(1, 10**9)).map(
                lambda first_step: first_step[0] + np.arange(rows) * first_step[1]
            ),
            npst.arrays(np.int64, rows, elements=st.integers(-(2**63), 2**63 - 1)),
        )
    )
    values = draw(npst.arrays(np.float64, (len(names), rows), elements=cells))
    return Block(np.asarray(times, np.int64), values, names)


@given(blocks())
@settings(max_examples=200)
def test_any_block_comes_back_bit_for_bit(block):
    assert decode(encode(block)).identical(block)
    assert decode(encode_plain(block)).identical(block)


@given(blocks(cells=decimal))
@settings(max_examples=100)
def test_decimal_prices_come_back_bit_for_bit(block):
    assert decode(encode(block)).identical(block)


@given(st.integers(0, 12), st.integers(0, 2**32))
@settings(max_examples=60)
def test_long_walks_on_any_tick_come_back_bit_for_bit(digits, seed):
    random = np.random.default_rng(seed)
    closes = 30_000 + random.integers(-5, 6, 3_000).cumsum() / 10**digits
    opens = np.roll(closes, 1)
    ends = np.maximum(opens, closes), np.minimum(opens, closes)
    volumes = random.lognormal(0, 3, 3_000)
    block = Block(np.arange(3_000) * 60_000, np.stack([opens, *ends, closes, volumes]))
    assert decode(encode(block)).identical(block)


def test_one_inexact_price_column_leaves_the_others_exact():
    closes = np.round(np.linspace(1, 2, 1_000), 2)
    opens = closes + np.pi * 1e-13
    block = Block(np.arange(1_000) * 60_000, np.stack([opens, closes, closes, closes, closes]))
    assert decode(encode(block)).identical(block)


def test_decimals_take_a_fraction_of_raw_floats():
    random = np.random.default_rng(0)
    closes = 100 + random.integers(-3, 4, 20_000).cumsum() / 100
    opens = np.roll(closes, 1)
    prices = [opens, np.maximum(opens, closes) + 0.01, np.minimum(opens, closes) - 0.01, closes]
    block = Block(np.arange(20_000) * 60_000, np.stack([*prices, random.integers(1, 99, 20_000)]))
    assert len(encode(block)) < 0.06 * block.nbytes


@given(blocks(), st.data())
@settings(max_examples=150)
def test_a_flipped_bit_is_an_error_and_never_other_values(block, data):
    chunk = bytearray(encode(block))
    bit = data.draw(st.integers(0, len(chunk) * 8 - 1))
    chunk[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ChunkError):
        decode(bytes(chunk))


@given(blocks(), st.data())
@settings(max_examples=100)
def test_a_truncated_chunk_is_an_error(block, data):
    chunk = encode(block)
    cut = data.draw(st.integers(0, len(chunk) - 1))
    with pytest.raises(ChunkError):
        decode(chunk[:cut])


@pytest.mark.parametrize("data", [b"", b"OHLC", b"PK\3\4" + b"x" * 100, b"\0" * 64])
def test_foreign_bytes_are_refused(data):
    with pytest.raises(ChunkDamaged):
        decode(data)


def test_a_newer_version_is_refused_by_name():
    chunk = bytearray(encode(Block.empty()))
    chunk[4] = FORMAT_VERSION + 1
    with pytest.raises(ChunkVersionUnsupported, match=f"format {FORMAT_VERSION + 1} is newer"):
        decode(bytes(chunk))


def test_the_header_tells_rows_and_columns_without_decoding():
    block = Block(np.arange(7) * 60_000, np.ones((6, 7)), (*OHLCV, "trades"))
    header = read_header(encode(block))
    assert (header.rows, header.names) == (7, block.names)


def test_columns_that_a_chunk_lacks_become_nan():
    block = Block(np.arange(3) * 60_000, np.arange(15.0).reshape(5, 3))
    names = (*OHLCV, "trades")
    times, values = np.empty(3, np.int64), np.zeros((6, 3))
    decode_into(encode(block), times, values, names)
    assert np.array_equal(values[:5], block.values)
    assert np.isnan(values[5]).all()


def test_decoding_into_arrays_of_another_length_is_refused():
    chunk = encode(Block(np.arange(3) * 60_000, np.ones((5, 3))))
    with pytest.raises(ChunkDamaged, match="3 rows, not 4"):
        decode_into(chunk, np.empty(4, np.int64), np.empty((5, 4)), OHLCV)


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_every_chunk_ever_written_can_be_read(path):
    vector = json.loads(path.read_text())
    block = decode(bytes.fromhex(vector["chunk"]))
    bits = [[struct.unpack("<Q", struct.pack("<d", x))[0] for x in row] for row in block.values]
    assert list(block.names) == vector["names"]
    assert block.times.tolist() == vector["times"]
    assert [[f"{x:016x}" for x in row] for row in bits] == vector["values"]


def test_the_vectors_are_there():
    assert len(VECTORS) >= 8
