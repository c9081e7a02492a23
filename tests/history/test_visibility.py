"""What one process writes: in every other at once, and never half. What memory is said to hold."""

from __future__ import annotations

import os
import select
import signal
import tracemalloc
from contextlib import contextmanager

import numpy as np
import pytest

import ohlcache
from made_candles import MINUTE, T0, make_block
from ohlcache.candles import Block, to_block
from ohlcache.candles.codec import decode, encode
from ohlcache.history.chunks import WINDOW_CANDLES

ROWS = WINDOW_CANDLES + 1_000  # over three windows: T0 lies within one
END = T0 + ROWS * MINUTE
WRITES = 12


def generation(number, rows=ROWS):
    """Candles that all tell which write they are from."""
    block = make_block(rows)
    block.values[-1] = number
    return {"timestamp": block.times, **dict(zip(block.names, block.values, strict=True))}


@contextmanager
def forked(work):
    """A process that does ``work(send)``; gives a function that takes what it sent next."""
    receiving, sending = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receiving)
        work(lambda number: os.write(sending, int(number).to_bytes(8)))
        os._exit(0)
    os.close(sending)

    def received(wait=30):
        if not select.select([receiving], [], [], wait)[0]:
            return None
        return int.from_bytes(os.read(receiving, 8))

    try:
        yield received
    finally:
        os.close(receiving)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def volume_of(md, rows):
    """The number of the write that the candles are from, all of the same."""
    volumes = md.candles("X", "1m", T0, END, as_="numpy")["volume"]
    assert len(volumes) == rows
    assert volumes.min() == volumes.max()
    return volumes[0]


def test_what_was_written_comes_to_every_process(location):
    """Each acknowledged write; a server's announcement of it may be on its way for a moment."""
    start, stop = os.pipe()

    def write(send):
        with ohlcache.open(location) as md:
            for number in range(WRITES):
                md.write("X", "1m", generation(number, 100))
                send(number)
                os.read(start, 1)

    with ohlcache.open(location) as one, ohlcache.open(location) as other, forked(write) as told:
        for number in range(WRITES):
            assert told() == number
            for md in (one, other):
                while (seen := volume_of(md, 100)) != number:
                    assert seen == number - 1
            os.write(stop, b".")
    os.close(start)
    os.close(stop)


def test_no_read_mixes_two_writes_or_goes_back(location):
    def write(send):
        with ohlcache.open(location) as md:
            for number in range(WRITES):
                md.write("X", "1m", generation(number))
                send(number)

    with forked(write) as told:
        assert told() == 0
        with ohlcache.open(location) as held, ohlcache.open(location) as cold:
            seen = dict.fromkeys((held, cold), 0)
            while min(seen.values()) < WRITES - 1:
                for md, before in seen.items():
                    seen[md] = volume_of(md, ROWS)
                    assert seen[md] >= before
                cold.drop_decoded(2**40)


def test_candles_made_from_finer_ones_are_not_made_from_what_a_delete_left(location):
    """Coverage and rows of the finer series are of one moment, also when it changes between."""
    with ohlcache.open(location) as md, ohlcache.open(location) as other:
        block = make_block(120)
        md.write("X", "1m", generation(1, 120))
        load = md._holder.load

        def delete_first(key, start, end):
            other.delete("X", "1m", T0 + 30 * MINUTE, T0 + 90 * MINUTE)
            return load(key, start, end)

        md._holder.load = delete_first
        hours = to_block(md.candles("X", "1h", T0, T0 + 120 * MINUTE))
        assert len(block) == 120
        assert len(hours) == 0


@pytest.mark.parametrize(
    "changes",
    [
        [],
        [make_block(10, start=END)],
        [make_block(10, start=END), make_block(2_000, start=END + 10 * MINUTE)],
        [make_block(10, start=END), make_block(50, start=T0, seed=1)],
        [
            make_block(10, start=END),
            Block(
                END + 10 * MINUTE + np.arange(5) * MINUTE,
                np.vstack([make_block(5).values, np.ones(5)]),
                ("open", "high", "low", "close", "volume", "trades"),
            ),
        ],
    ],
    ids=["read", "one append", "two appends", "a revision after an append", "a new column"],
)
def test_memory_is_accounted_to_the_byte_whatever_was_written(tmp_path, changes):
    with ohlcache.open(tmp_path) as md:
        md.write("X", "1m", generation(0))
        decode(encode(make_block(WINDOW_CANDLES)))  # a thread keeps room for one chunk
        tracemalloc.start()
        try:
            _read_all(md)
            for block in changes:
                columns = dict(zip(block.names, block.values, strict=True))
                md.write("X", "1m", {"timestamp": block.times, **columns})
                _read_all(md)
            arrays = tracemalloc.take_snapshot().filter_traces(
                [tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)]
            )
        finally:
            tracemalloc.stop()
        allocated = sum(trace.size for trace in arrays.traces)
        accounted = md.stats()["memory"]["bytes"]
        assert accounted <= allocated <= accounted + 20_000
        assert md.drop_decoded(2**40) == accounted
        assert md.stats()["memory"]["bytes"] == 0


def _read_all(md):
    md.candles("X", "1m", T0, END + 10_000 * MINUTE)
