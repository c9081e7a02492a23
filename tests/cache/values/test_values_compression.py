"""Compression: smaller where that pays, and never a way to harm the reader."""

from __future__ import annotations

import contextlib
import random
import struct
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohlcache.cache.values import Compression, compress, decode, decompress, encode
from ohlcache.errors import InvalidArgument, ValueDamaged

CODECS = ("zstd", "lz4", "gzip")
LINES = b"BTC/USDT 1m 42000.5 42001.0\n" * 500
NOISE = random.Random(1).randbytes(20_000)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("level", [None, 1, 9])
def test_what_repeats_becomes_small_and_comes_back(codec, level):
    small = compress(LINES, Compression(codec, level=level))
    assert len(small) < len(LINES) / 10
    assert decompress(small) == LINES
    assert decompress(memoryview(small)) == LINES


@pytest.mark.parametrize("codec", CODECS)
@given(data=st.binary(max_size=300) | st.binary(max_size=20).map(lambda part: part * 500))
def test_any_value_comes_back(codec, data):
    value = encode(data)
    how = Compression(codec, min_bytes=0, min_saving=0)
    assert decode(decompress(compress(value, how))) == data


def test_what_would_not_pay_is_left_as_it_is():
    value = encode(NOISE)
    assert compress(value, Compression()) is value
    assert compress(LINES, None) is LINES
    assert compress(LINES, Compression(min_bytes=len(LINES) + 1)) is LINES
    assert compress(LINES, Compression(min_bytes=len(LINES))) is not LINES


def test_min_saving_decides():
    half = LINES[:10_000] + NOISE[:10_000]
    assert compress(half, Compression(min_saving=0.6)) is half
    assert len(compress(half, Compression(min_saving=0.4))) < 0.6 * len(half)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"codec": "brotli"}, "codec is 'brotli': use one of zstd, lz4, gzip"),
        ({"codec": "lz4", "level": 13}, "level is 13: lz4 has 0 to 12"),
        ({"min_bytes": -1}, "min_bytes is -1"),
        ({"min_saving": 1.0}, "min_saving is 1.0"),
    ],
)
def test_settings_that_cannot_be(arguments, field):
    with pytest.raises(InvalidArgument, match=field):
        Compression(**arguments)


@pytest.mark.parametrize("codec", CODECS)
def test_a_size_that_cannot_be_is_refused(codec):
    small = compress(LINES, Compression(codec))
    for size in (2**63, 2**32, len(LINES) + 1, len(LINES) - 1, 0):
        forged = small[:1] + struct.pack("<Q", size) + small[9:]
        with pytest.raises(ValueDamaged):
            decompress(forged)


@pytest.mark.parametrize("codec", CODECS)
def test_the_most_compressible_memory_is_no_bomb(codec):
    zeros = bytes(8 * 2**20)
    assert decompress(compress(zeros, Compression(codec))) == zeros


@pytest.mark.parametrize("codec", CODECS)
@given(st.data())
def test_damage_is_noticed_or_harmless(codec, data):
    altered = bytearray(compress(LINES, Compression(codec)))
    for _ in range(data.draw(st.integers(0, 3))):
        altered[data.draw(st.integers(0, len(altered) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(altered[: data.draw(st.integers(0, len(altered)))])
    with contextlib.suppress(ValueDamaged):
        assert len(decompress(cut)) <= max(len(LINES), len(cut))


@pytest.mark.parametrize("codec", CODECS)
def test_threads_share_no_state(codec):
    values = [encode([text, NOISE[:50]] * 300) for text in "abcdefgh"]
    how = Compression(codec)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda value: decompress(compress(value, how)), values * 20))
    assert found == values * 20
