"""Encoded chunks in Redis: read from there, never stale, never in anybody's way."""

from __future__ import annotations

import os
import shutil
import threading

import numpy as np
import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

import ohlcache
from made_candles import MINUTE, T0, make_block
from ohlcache.candles import Block, Timeframe, to_block
from ohlcache.candles.merge import merge
from ohlcache.errors import InvalidArgument, StoreDamaged
from ohlcache.history.chunks import WINDOW_CANDLES, window
from ohlcache.telemetry import Readings
from ohlcache.telemetry import vocabulary as metrics

START = window(Timeframe.parse("1m"), T0)
HISTORY = make_block(2 * WINDOW_CANDLES, start=START)  # two chunks
_PATIENCE = 10


def data(block):
    columns = dict(zip(block.names, block.values, strict=True))
    return {"timestamp": block.times, **columns}


def read(md):
    return to_block(md.candles("X", "1m", START, START + 10 * WINDOW_CANDLES * MINUTE))


def until(condition):
    pause = threading.Event()
    for _ in range(_PATIENCE * 200):
        if condition():
            return
        pause.wait(0.005)
    pytest.fail("it never happened")


class Sharing:
    """Opens stores in front of which a Redis keeps chunks."""

    def __init__(self, url, namespace, **l2):
        self.tree = {
            "history": {"share_chunks": True},
            "cache": {"namespace": namespace, "l2": {"redis_url": url, **l2}},
        }
        self.opened = []

    def open(self, location):
        self.opened.append(ohlcache.open(location, settings=self.tree))
        return self.opened[-1]

    def fill(self, location):
        """Have Redis hold all chunks of a store."""
        md = self.open(location)
        read(md)
        missed = md.stats()["shared"].get("misses", 0)
        until(lambda: md.stats()["shared"].get("written", 0) >= missed)
        md.close()

    def close(self):
        for md in self.opened:
            md.close()


@pytest.fixture
def sharing(redis_url, namespace):
    made = Sharing(redis_url, namespace)
    yield made
    made.close()


@pytest.fixture
def shared(redis_url, namespace):
    """The keys of chunks in Redis, and a client to look at them."""
    client = redis.Redis.from_url(redis_url, protocol=2)

    def keys():
        return sorted(client.scan_iter(f"*{namespace}*:d:candles:*", count=1000))

    client.chunk_keys = keys
    yield client
    client.close()


@pytest.fixture
def filled(location, sharing):
    """A store of two windows whose chunks Redis has."""
    with ohlcache.open(location) as md:
        md.write("X", "1m", data(HISTORY))
    sharing.fill(location)
    return location


def test_what_redis_has_is_not_read_from_the_store(filled, sharing, sql):
    for start, chunk in sql("SELECT start, data FROM chunk"):
        damaged = bytearray(chunk)
        damaged[len(damaged) // 2] ^= 1
        sql("UPDATE chunk SET data = ? WHERE start = ?", bytes(damaged), start)
    md = sharing.open(filled)
    assert read(md).identical(HISTORY)
    assert md.stats()["shared"]["hits"] == 2
    with ohlcache.open(filled) as alone, pytest.raises(StoreDamaged):
        read(alone)


def test_a_damaged_value_is_counted_and_replaced_from_the_store(filled, sharing, shared):
    altered, truncated = shared.chunk_keys()
    value = bytearray(shared.get(altered))
    value[len(value) // 2] ^= 1
    shared.set(altered, bytes(value))
    shared.set(truncated, shared.get(truncated)[:-10])
    md = sharing.open(filled)
    assert read(md).identical(HISTORY)
    assert md.stats()["shared"]["damaged"] == 2
    until(lambda: md.stats()["shared"].get("written") == 2)
    again = sharing.open(filled)
    assert read(again).identical(HISTORY)
    assert "damaged" not in again.stats()["shared"]
    assert again.stats()["shared"]["hits"] == 2


def test_verify_compares_redis_with_the_store(filled, sharing, shared):
    altered, _ = shared.chunk_keys()
    value = bytearray(shared.get(altered))
    value[len(value) // 2] ^= 1
    shared.set(altered, bytes(value))
    md = sharing.open(filled)
    (problem,) = md.verify().problems
    assert "X 1m: Redis held another chunk than the store: it was written over" in str(problem)
    assert md.verify().ok
    assert md.stats()["shared"]["damaged"] == 1
    assert read(md).identical(HISTORY)


def test_what_other_programs_left_under_our_keys_is_not_taken(filled, sharing, shared):
    text, other_type = shared.chunk_keys()
    shared.set(text, b"hello")
    shared.delete(other_type)
    shared.lpush(other_type, "a", "list")
    assert read(sharing.open(filled)).identical(HISTORY)


def test_damage_of_the_store_is_reported_and_not_shared(location, sharing, shared, sql):
    with ohlcache.open(location) as md:
        md.write("X", "1m", data(HISTORY))
    ((chunk,),) = sql("SELECT data FROM chunk WHERE start = (SELECT min(start) FROM chunk)")
    damaged = bytearray(chunk)
    damaged[len(damaged) // 2] ^= 1
    sql("UPDATE chunk SET data = ? WHERE start = (SELECT min(start) FROM chunk)", bytes(damaged))
    md = sharing.open(location)
    with pytest.raises(StoreDamaged, match=r"series .*X"):
        read(md)
    md.close()
    assert shared.chunk_keys() == []


def test_figures_of_redis_are_those_of_a_category_of_the_cache(filled, sharing):
    md = sharing.open(filled)
    read(md)
    readings = Readings()
    md.report(readings)
    assert dict(readings.of(metrics.CACHE_HITS)) == {("l2", "candles"): 2}
    assert dict(readings.of(metrics.CACHE_MISSES)) == {("l2", "candles"): 0}


def test_a_forked_child_reads_through_redis_too(filled, sharing):
    md = sharing.open(filled)
    read(md)
    child = os.fork()
    if child == 0:
        md.drop_decoded(2**40)
        is_right = read(md).identical(HISTORY) and md.stats()["shared"]["hits"] == 2
        os._exit(0 if is_right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    md.drop_decoded(2**40)
    assert read(md).identical(HISTORY)


# -- nothing stale -------------------------------------------------------------------------------

WINDOW = WINDOW_CANDLES
places = st.integers(0, 3).map(lambda quarter: quarter * WINDOW // 2)
changes = st.lists(
    st.one_of(
        st.tuples(st.just("write"), places, st.sampled_from((1, 40, 3_000)), st.integers(0, 99)),
        st.tuples(st.just("delete"), places, st.sampled_from((1, WINDOW)), st.just(0)),
        st.tuples(st.just("keep a copy"), st.just(0), st.just(0), st.just(0)),
        st.tuples(st.just("restore the copy"), st.just(0), st.just(0), st.just(0)),
    ),
    max_size=8,
)


@settings(max_examples=15)
@given(changes)
def test_reads_equal_what_was_written_whatever_happens_to_the_store(
    tmp_path_factory, redis_url, changes
):
    """Also when a copy of the file is put back, whose revisions are then given anew."""
    folder = tmp_path_factory.mktemp("stores")
    sharing = Sharing(redis_url, f"test-{folder.name}")
    expected = copied = HISTORY
    with ohlcache.open(folder / "store") as md:
        md.write("X", "1m", data(HISTORY))
    shutil.copytree(folder / "store", folder / "copy")
    for what, first, rows, seed in changes:
        if what == "write":
            block = make_block(rows, start=START + first * MINUTE, seed=seed)
            with ohlcache.open(folder / "store") as md:
                md.write("X", "1m", data(block))
            expected = merge(expected, block).block
        elif what == "delete":
            low, high = START + first * MINUTE, START + (first + rows) * MINUTE
            with ohlcache.open(folder / "store") as md:
                md.delete("X", "1m", low, high)
            expected = expected.take((expected.times < low) | (expected.times >= high))
        else:
            source, target = ("store", "copy") if what == "keep a copy" else ("copy", "store")
            shutil.rmtree(folder / target)
            shutil.copytree(folder / source, folder / target)
            if what == "keep a copy":
                copied = expected
            else:
                expected = copied
        sharing.fill(folder / "store")
        assert read(sharing.open(folder / "store")).identical(expected)
    sharing.close()


def test_two_stores_share_one_redis(tmp_path, sharing):
    blocks = [make_block(1_000, seed=seed) for seed in (1, 2)]
    for number, block in enumerate(blocks):
        with ohlcache.open(tmp_path / str(number)) as md:
            md.write("X", "1m", data(block))
        sharing.fill(tmp_path / str(number))
    for number, block in enumerate(blocks):
        assert read(sharing.open(tmp_path / str(number))).identical(block)


# -- Redis out of order --------------------------------------------------------------------------


def test_reads_go_on_without_redis_and_with_it_when_it_is_back(filled, redis_server, namespace):
    server = redis_server()
    sharing = Sharing(server.url, namespace)
    md = sharing.open(filled)
    for _ in range(3):
        server.kill()
        md.drop_decoded(2**40)
        assert read(md).identical(HISTORY)
        assert md.stats()["shared"]["works"] is False
        server.start()

        def works_again():
            md.drop_decoded(2**40)
            assert read(md).identical(HISTORY)
            return md.stats()["shared"]["works"]

        until(works_again)
        sharing.fill(filled)
        hits = md.stats()["shared"].get("hits", 0)
        md.drop_decoded(2**40)
        assert read(md).identical(HISTORY)
        assert md.stats()["shared"]["hits"] == hits + 2
    sharing.close()


def test_a_redis_that_hangs_is_waited_for_once(filled, redis_server, namespace):
    server = redis_server()
    sharing = Sharing(server.url, namespace, timeout_seconds=0.05)
    md = sharing.open(filled)
    read(md)
    server.pause()
    for _ in range(5):
        md.drop_decoded(2**40)
        assert read(md).identical(HISTORY)
    server.resume()
    stats = md.stats()["shared"]
    assert stats["skipped"] == 4
    assert stats["error:TimeoutError"] >= 1
    sharing.close()


def test_a_full_redis_takes_nothing_and_disturbs_nobody(filled, redis_server, namespace):
    server = redis_server("maxmemory 1mb", "maxmemory-policy noeviction")
    sharing = Sharing(server.url, namespace)
    md = sharing.open(filled)
    for _ in range(2):
        md.drop_decoded(2**40)
        assert read(md).identical(HISTORY)
    until(lambda: any(name.startswith("error:") for name in md.stats()["shared"]))
    assert md.stats()["shared"]["works"]
    sharing.close()


def test_a_redis_that_may_only_be_read_is_seen_in_the_figures(filled, redis_server, namespace):
    server = redis_server()
    server.make_readonly()
    sharing = Sharing(server.url, namespace)
    md = sharing.open(filled)
    assert read(md).identical(HISTORY)
    until(lambda: md.stats()["shared"].get("not written") == 2)
    assert sum(n for name, n in md.stats()["shared"].items() if name.startswith("error:")) == 1
    assert "written" not in md.stats()["shared"]
    sharing.close()


def test_the_size_set_for_redis_holds_for_chunks_too(tmp_path, redis_server, namespace):
    server = redis_server()
    sharing = Sharing(server.url, namespace, max_size_mb=1)
    noise = Block(
        START + np.arange(8 * WINDOW, dtype=np.int64) * MINUTE,
        100 + np.sort(np.random.default_rng(0).random((5, 8 * WINDOW)), axis=0)[[1, 4, 0, 2, 3]],
    )
    with ohlcache.open(tmp_path) as md:
        md.write("X", "1m", data(noise))
        assert md.stats()["store"]["bytes"] > 2 * 2**20
    md = sharing.open(tmp_path)
    assert read(md).identical(noise)
    until(lambda: md.stats()["shared"].get("written", 0) == 8)
    with server.client() as client:
        used = sum(client.memory_usage(key) for key in client.scan_iter("*:d:candles:*"))
    assert 0 < used <= 2**20
    md.drop_decoded(2**40)
    assert read(md).identical(noise)
    sharing.close()


# -- settings ------------------------------------------------------------------------------------


def test_a_local_file_is_not_shared_unless_settings_ask_for_it(tmp_path):
    tree = {"cache": {"l2": {"redis_url": "redis://127.0.0.1:1"}}}
    with ohlcache.open(tmp_path, settings=tree) as md:
        assert md.stats()["shared"] == {}


def test_sharing_needs_a_redis(tmp_path):
    with pytest.raises(InvalidArgument, match=r"share_chunks is true.*redis_url"):
        ohlcache.open(tmp_path, settings={"history": {"share_chunks": True}})
