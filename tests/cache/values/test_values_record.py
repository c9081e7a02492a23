"""Records: what a tier holds comes back whole, or is known to be damaged."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohlcache.cache.values import Record, decode, encode, pack, unpack
from ohlcache.errors import ValueDamaged

RECORD = Record(1e9, 1e9 + 60, math.inf, 0.25, {"": "v1", "tag:é": "v2"}, False, encode({"a": 1}))

times = st.floats(0, 1e12) | st.just(math.inf)
records = st.builds(
    Record,
    created=times,
    fresh_until=times,
    expires=times,
    cost=st.floats(0, 1e6),
    versions=st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=5),
    is_absent=st.booleans(),
    payload=st.binary(max_size=300),
)


@given(records)
def test_a_record_comes_back(record):
    assert unpack(pack(record)) == record
    assert unpack(memoryview(pack(record)))._replace(payload=b"") == record._replace(payload=b"")


def test_the_payload_is_a_view_that_arrays_are_read_from_in_place():
    data = pack(RECORD._replace(payload=encode(np.arange(1000.0))))
    array = decode(unpack(data).payload)
    assert np.shares_memory(array, np.frombuffer(data, np.uint8))
    assert array.flags.aligned


def test_every_altered_bit_and_every_truncation_is_noticed():
    data = pack(RECORD)
    for place in range(len(data)):
        for bit in range(8):
            altered = bytearray(data)
            altered[place] ^= 1 << bit
            with pytest.raises(ValueDamaged):
                unpack(bytes(altered))
        with pytest.raises(ValueDamaged):
            unpack(data[:place])
    with pytest.raises(ValueDamaged):
        unpack(data + b"\0")


@given(st.binary(max_size=100))
def test_foreign_bytes_are_no_record(data):
    with pytest.raises(ValueDamaged):
        unpack(data)
    with pytest.raises(ValueDamaged):
        unpack(b"\x01" + data)


def test_a_header_of_another_make_is_no_record():
    forged = pack(RECORD._replace(created="yesterday"))
    with pytest.raises(ValueDamaged, match="foreign header"):
        unpack(forged)
