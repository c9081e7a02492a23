"""The store, in every database: merging, layers, processes, damage."""

from __future__ import annotations

import asyncio
import os
import signal
from concurrent.futures import ProcessPoolExecutor
from itertools import count
from multiprocessing import get_context

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ohlcache
from made_candles import MINUTE, T0, make_block
from ohlcache.candles import Block, Timeframe, to_block
from ohlcache.errors import StoreDamaged
from ohlcache.history.chunks import BODY, RECENT
from ohlcache.history.reports import SeriesKey

BTC = ("BTC/USDT", "1m")
_numbers = count()


@pytest.fixture
def layers(sql):
    """The number of rows in each layer."""
    return lambda: {
        layer: int(rows) for layer, rows in sql("SELECT layer, sum(rows) FROM chunk GROUP BY layer")
    }


@given(st.lists(st.tuples(st.integers(0, 3_000), st.integers(1, 700)), min_size=1, max_size=12))
@settings(
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # each example has its own series
)
def test_any_order_of_writes_gives_the_history_of_a_dictionary(md, writes):
    series = (f"symbol {next(_numbers)}", "1m")
    model: dict[int, tuple[float, ...]] = {}
    for seed, (start, rows) in enumerate(writes):
        block = make_block(rows, start=T0 + start * MINUTE, seed=seed)
        new = dict(zip(block.times.tolist(), block.values.T.tolist(), strict=True))
        report = md.write(*series, block)
        assert report.added == len(new.keys() - model.keys())
        assert report.unchanged == sum(model.get(time) == row for time, row in new.items())
        model.update(new)
        read = to_block(md.candles(*series))
        assert read.times.tolist() == sorted(model)
        assert read.values.T.tolist() == [model[time] for time in sorted(model)]
    assert md.verify().ok
    assert md.info(*series).rows == len(model)


def test_single_appends_keep_the_recent_layer_short(location, layers):
    block = make_block(1_000)
    with ohlcache.open(location) as md:
        for row in range(1_000):
            assert md.write(*BTC, block.slice(row, row + 1)).added == 1
            if row % 200 == 0:
                assert to_block(md.candles(*BTC)).identical(block.slice(0, row + 1))
        assert to_block(md.candles(*BTC)).identical(block)
        assert md.coverage(*BTC) == [(T0, T0 + 1_000 * MINUTE)]
    stored = layers()
    assert stored[RECENT] <= 512
    assert stored[BODY] + stored[RECENT] == 1_000


def test_corrections_of_single_candles_do_not_rewrite_the_body(location, layers):
    block = make_block(20_000)
    with ohlcache.open(location) as md:
        md.write(*BTC, block)
        values = block.values.copy()
        for row in (5, 10_000, 19_999):
            values[4, row] += 1
            md.write(*BTC, Block(block.times[row : row + 1], values[:, row : row + 1]))
        assert to_block(md.candles(*BTC)).identical(Block(block.times, values))
        assert md.info(*BTC).rows == 20_000
    assert layers() == {BODY: 20_000, RECENT: 3}


def test_a_reader_sees_what_another_opening_writes(location):
    block = make_block(100)
    with ohlcache.open(location) as one, ohlcache.open(location) as other:
        for row in range(100):
            one.write(*BTC, block.slice(row, row + 1))
            assert len(other.candles(*BTC, T0, T0 + 100 * MINUTE)) == row + 1
        one.delete(*BTC, T0, T0 + 50 * MINUTE)
        assert len(other.candles(*BTC, T0, T0 + 100 * MINUTE)) == 50


def _write_share(folder, share, of, rows):
    block = make_block(rows)
    with ohlcache.open(folder) as md:
        for row in range(share, rows, of):
            md.write(*BTC, block.slice(row, row + 1))
    return share


def test_processes_writing_the_same_chunk_lose_nothing(location):
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(_write_share, location, share, 4, 400) for share in range(4)]
        assert [job.result() for job in jobs] == [0, 1, 2, 3]
    with ohlcache.open(location) as md:
        assert to_block(md.candles(*BTC)).identical(make_block(400))
        assert md.verify().ok


def test_a_forked_child_reads_and_writes_with_connections_of_its_own(location):
    with ohlcache.open(location) as md:
        md.write(*BTC, make_block(100_000))
        md.candles(*BTC, T0, T0 + MINUTE)
        child = os.fork()
        if child == 0:
            md.write(*BTC, make_block(10, start=T0 + 200_000 * MINUTE))
            is_right = len(md.candles(*BTC, T0, T0 + 300_000 * MINUTE)) == 100_010
            os._exit(0 if is_right else 1)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert len(md.candles(*BTC, T0, T0 + 300_000 * MINUTE)) == 100_010


def _in_child(use):
    """Run in a forked child, which is ended if it hangs; whether it returned something true."""
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        os._exit(0 if use() else 1)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0


def test_a_forked_child_sees_what_was_written_after_the_fork(location):
    block = make_block(1_000)
    with ohlcache.open(location) as md, ohlcache.open(location) as other:
        md.write(*BTC, block)
        md.candles(*BTC, T0, T0 + MINUTE)
        ready, go = os.pipe()

        def use():
            os.read(ready, 1)
            return md.candles(*BTC, T0, T0 + MINUTE)["volume"].iloc[0] == 555.0

        child = os.fork()
        if child == 0:
            signal.alarm(20)
            os._exit(0 if use() else 1)
        other.write(*BTC, Block(block.times[:1], np.vstack([block.values[:4, :1], [[555.0]]])))
        os.write(go, b"x")
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_forked_child_can_fetch_and_read_asynchronously(location):
    history = make_block(1_000)
    with ohlcache.open(location, source=lambda *asked: history.between(*asked[2:])) as md:

        def read(start):
            frame = asyncio.run(md.acandles(*BTC, T0 + start * MINUTE, T0 + 100 * MINUTE))
            return len(frame) == 100 - start

        assert read(50)
        assert _in_child(lambda: read(0))


# -- damage -------------------------------------------------------------------------------------


@pytest.fixture
def damage(sql):
    """Alters a byte of the first body."""

    def run():
        ((start, data),) = sql(
            "SELECT start, data FROM chunk WHERE layer = 0 ORDER BY start LIMIT 1"
        )
        damaged = bytearray(data)
        damaged[len(data) // 2] ^= 0xFF
        sql("UPDATE chunk SET data = ? WHERE layer = 0 AND start = ?", bytes(damaged), start)

    return run


def test_a_damaged_chunk_is_an_error_never_other_values(location, damage):
    with ohlcache.open(location) as md:
        md.write(*BTC, make_block(100_000))
    damage()
    with ohlcache.open(location) as md:
        with pytest.raises(StoreDamaged, match="local BTC/USDT 1m.*checksum"):
            md.candles(*BTC)
        report = md.verify()
        assert not report.ok
        assert "BTC/USDT 1m: chunk of 2020-01-01T00:00Z" in str(report.problems[0])
        assert not md.repair().ok
        assert not md.verify().ok


def test_repair_fetches_what_is_damaged_again(location, damage):
    history = make_block(100_000)
    asked = []

    def source(symbol, timeframe, start, end):
        asked.append((start, end))
        return history.between(start, end)

    with ohlcache.open(location) as md:
        md.write(*BTC, history)
    damage()
    with ohlcache.open(location, source=source) as md:
        report = md.repair()
        assert report.ok
        assert [series for series, _ in report.refetched] == ["local BTC/USDT 1m"]
        assert to_block(md.candles(*BTC, T0, T0 + 100_000 * MINUTE)).identical(history)
        assert md.coverage(*BTC) == [(T0, T0 + 100_000 * MINUTE)]
        assert len(asked) == 1


def test_repair_of_both_layers_of_a_window_loses_none(location, sql):
    history = make_block(2_010)
    with ohlcache.open(location) as md:
        md.write(*BTC, history.slice(0, 2_000))
        md.write(*BTC, history.slice(2_000, 2_010))
    for start, layer, data in sql("SELECT start, layer, data FROM chunk"):
        broken = bytes(data[:-1]) + bytes([data[-1] ^ 0xFF])
        sql("UPDATE chunk SET data = ? WHERE start = ? AND layer = ?", broken, start, layer)
    with ohlcache.open(location, source=lambda *range_: history.between(*range_[2:])) as md:
        report = md.repair()
        assert report.ok
        assert len(report.refetched) == 1
        assert to_block(md.candles(*BTC, T0, T0 + 2_010 * MINUTE)).identical(history)
        assert md.coverage(*BTC) == [(T0, T0 + 2_010 * MINUTE)]


def test_repair_fetches_what_a_series_lacks_between_its_ends(location):
    history = make_block(5_000)
    asked = []

    def source(symbol, timeframe, start, end):
        asked.append(((start - T0) // MINUTE, (end - T0) // MINUTE))
        return history.between(start, end)

    bad = history.slice(1_000, 2_000)
    bad = Block(bad.times, bad.values.copy())
    bad.values[2, 500] = bad.values[1, 500] + 1  # a low above the high
    with ohlcache.open(location) as md:
        for block in (history.slice(0, 10), bad, history.slice(4_990, 5_000)):
            md.write(*BTC, block)
        md.write("ETH/USDT", "1m", history.slice(0, 10), venue="elsewhere")
        assert md.repair().ok  # nothing is damaged, and nobody is there to be asked
    with ohlcache.open(location, source=source) as md:
        steps = []
        report = md.repair(lambda *step: steps.append(step))
        assert report.ok
        assert report.refetched == ()
        assert {name for name, _ in report.filled} == {"local BTC/USDT 1m"}
        assert sorted(asked) == [(10, 1_000), (1_500, 1_501), (2_000, 4_990)]
        assert [done for done, _ in steps] == [1, 2, 3, 4, 5, 6]
        # Two series, three ranges and the check of the result; the end is told once.
        assert [total for _, total in steps] == [3, 3, 6, 6, 6, 6]
        assert to_block(md.candles(*BTC, fetch=False)).identical(history)
        assert md.gaps(*BTC) == []
        assert md.repair().filled == ()
        assert len(asked) == 3


class Answering:
    """A source by its answers."""

    venue = "test"
    capabilities = ohlcache.Capabilities()

    def __init__(self, now, answer):
        self.time = now
        self.fetch = answer

    def now(self):
        return self.time


def test_repair_takes_no_forming_candle_for_the_closed_one(location):
    history = make_block(200)
    forming = Block(history.times, history.values + 7)

    def answer(symbol, timeframe, start, end):
        source.time = T0 + 101 * MINUTE + 500  # it closes while the answer is on its way
        return forming.between(start, end)

    source = Answering(T0 + 100 * MINUTE + 59_000, answer)
    with ohlcache.open(location, source=source) as md:
        md._clock = source.now
        assert md.write(*BTC, history.slice(0, 101)).reasons == {"not_closed": 1}
        md.repair()
        source.time, source.fetch = T0 + 150 * MINUTE, lambda *asked: history.between(*asked[2:])
        assert to_block(md.candles(*BTC, T0, T0 + 110 * MINUTE)).identical(history.slice(0, 110))


def test_repair_asks_for_nothing_from_before_the_listing(location):
    history = make_block(200)
    asked = []

    def answer(symbol, timeframe, start, end):
        asked.append(((start - T0) // MINUTE, (end - T0) // MINUTE))
        return history.between(start, end)

    with ohlcache.open(location, source=Answering(T0 + 10_000 * MINUTE, answer)) as md:
        md.set_metadata(BTC[0], {"listed": T0 + 50 * MINUTE})
        md.write(*BTC, history.slice(0, 10))
        md.write(*BTC, history.slice(90, 100))
        assert md.repair().ok
        assert asked == [(50, 90)]


def test_repair_lists_what_could_not_be_fetched(location):
    def failing(*_):
        raise AttributeError("bug")

    with ohlcache.open(location) as md:
        md.write(*BTC, make_block(10))
        md.write(*BTC, make_block(10, start=T0 + 100 * MINUTE))
    with ohlcache.open(location, source=failing) as md:
        report = md.repair()
        assert not report.ok
        assert "AttributeError: bug" in str(report.remaining[0])


def test_verify_compares_memory_with_the_store(md):
    block = make_block(1_000)
    md.write(*BTC, block)
    assert to_block(md.candles(*BTC)).identical(block)
    (run,) = md._holder.held(SeriesKey("local", BTC[0], Timeframe.parse(BTC[1]))).runs
    run._values[3, 500] += 0.01
    (problem,) = md.verify().problems
    assert "local BTC/USDT 1m: memory held other candles than the store" in str(problem)
    assert to_block(md.candles(*BTC)).identical(block)
    assert md.verify().ok


def test_repair_leaves_alone_what_others_mended_meanwhile(location, damage):
    history, corrected = make_block(3_000), make_block(3_000, seed=1)
    with ohlcache.open(location) as md:
        md.write(*BTC, history)
    damage()

    def source(symbol, timeframe, start, end):
        with ohlcache.open(location) as other:
            other.delete(*BTC, start, end)
            other.write(*BTC, corrected)
        return history.between(start, end)

    with ohlcache.open(location, source=source) as md:
        report = md.repair()
        assert report.ok
        assert report.refetched == ()
        assert to_block(md.candles(*BTC, T0, T0 + 3_000 * MINUTE)).identical(corrected)


def test_a_repair_that_would_lose_candles_changes_nothing(location, damage):
    with ohlcache.open(location) as md:
        md.write(*BTC, make_block(100_000))
    damage()

    def failing(*_):
        raise AttributeError("bug")

    for source in (lambda *_: [], failing):
        with ohlcache.open(location, source=source) as md:
            report = md.repair()
            assert not report.ok
            assert report.refetched == ()
            assert not md.verify().ok


def test_a_damaged_range_can_be_deleted_and_imported_again(location, damage):
    block = make_block(100_000)
    with ohlcache.open(location) as md:
        md.write(*BTC, block)
        damage()
        damaged = md.verify().problems[0].range
        md.delete(*BTC, *damaged)
        assert md.verify().ok
        md.write(*BTC, block)
        assert to_block(md.candles(*BTC)).identical(block)


@pytest.mark.parametrize("data", [b"", b"OHLC\1\0\0\0\xff\xff\xff\xff"])
def test_verify_survives_whatever_stands_in_a_chunk(md, sql, data):
    md.write(*BTC, make_block(1_000))
    sql("UPDATE chunk SET data = ?", data)
    assert not md.verify().ok
