"""What a process hears of the changes of others, and what it notices to have missed."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import msgspec
import pytest

from cache.shared_tier import BothDoors, Recorder
from ohlcache.cache.redis.backplane import Backplane
from ohlcache.cache.redis.keys import Layout
from ohlcache.cache.tiers import Change


class TestMessages:
    """The backplane alone, fed by hand."""

    @pytest.fixture
    def told(self):
        return Recorder()

    @pytest.fixture
    def counted(self):
        return []

    @pytest.fixture
    def backplane(self, told, counted):
        layout = Layout("test", 2)
        backplane = Backplane("me", layout, told, lambda **news: counted.extend(news))
        backplane.connected()
        told.forget()
        return backplane

    def message(self, sequence, *news, origin="them", shard=0):
        return msgspec.msgpack.encode([origin, shard, sequence, *news])

    def test_changes_and_bumps_of_others(self, backplane, told):
        backplane.message(self.message(7, "c", "a", "0000000000000012", "x", "b", ""))
        backplane.message(self.message(8, "b", "tag", "v2"))
        assert told.log == [("changed", ("a", 12)), ("bumped", ("tag", "v2"))]

    def test_a_gap_in_a_shard(self, backplane, told, counted):
        backplane.message(self.message(1, "b", "t", "1"))
        backplane.message(self.message(41, "b", "t", "2", shard=1))
        backplane.message(self.message(2, "b", "t", "3", origin="me"))
        backplane.message(self.message(3, "b", "t", "4"))
        assert not told.all("lost")
        backplane.message(self.message(5, "b", "t", "5"))
        assert [kind for kind, _ in told.log[-3:]] == ["lost", "live", "bumped"]
        backplane.message(self.message(6, "b", "t", "6"))
        assert len(told.all("lost")) == 1 == counted.count("gaps")

    def test_a_sequence_that_begins_anew_is_a_gap(self, backplane, told):
        backplane.message(self.message(9, "b", "t", "1"))
        backplane.message(self.message(1, "b", "t", "2"))
        assert len(told.all("lost")) == 1

    @pytest.mark.parametrize(
        "payload",
        [
            b"",
            b"\xc1",
            b"hello",
            msgspec.msgpack.encode({"a": 1}),
            msgspec.msgpack.encode([]),
            msgspec.msgpack.encode(["them", 0]),
            msgspec.msgpack.encode(["them", 0, 1, "c", "a"]),
            msgspec.msgpack.encode(["them", 0, 1, "c", "a", "soon"]),
            msgspec.msgpack.encode(["them", 0, 1, "z", "a", ""]),
            msgspec.msgpack.encode(["them", 2, 1, "x", "a", ""]),
            msgspec.msgpack.encode(["them", "0", 1, "x", "a", ""]),
            msgspec.msgpack.encode(["them", 0, 1, "x", 5, ""]),
        ],
    )
    def test_a_damaged_message_may_have_been_any(self, backplane, told, counted, payload):
        backplane.message(payload)
        assert [kind for kind, _ in told.log] == ["lost", "live"]
        assert counted == ["damaged_messages"]

    def test_only_what_no_message_explains_is_foreign(self, backplane, told):
        prefix = b"{ohlcache:1:test:0}:d:"
        stamp = "0000000000000012"
        backplane.message(self.message(1, "c", "a", stamp, "x", "b", "", origin="me"))
        backplane.message(self.message(2, "c", "c", stamp))
        told.forget()
        backplane.invalidated([prefix + b"a", prefix + b"b", prefix + b"c", prefix + b"d"])
        assert told.log == [("changed", ("d", 0))]
        backplane.invalidated([prefix + b"a"])
        assert told.log[1:] == [("changed", ("a", 0))], "an explanation holds once"
        backplane.invalidated(None)
        assert told.log[2:] == [("lost", None), ("live", None)]

    def test_what_is_lost_is_told_once(self, backplane, told):
        backplane.disconnected()
        backplane.disconnected()
        backplane.connected()
        assert [kind for kind, _ in told.log] == ["lost", "live"]


@pytest.fixture
def told(tier):
    recorder = Recorder()
    tier.listen(recorder)
    recorder.wait_for("live")
    recorder.forget()
    return recorder


class TestForeignClients(BothDoors):
    def test_what_redis_cli_does_is_noticed(self, perform, server, tier, other, told, data_key):
        stamp = perform(other.write([Change("a", b"x", None), Change("b", b"x", None)]))
        told.wait_for("changed", ("b", stamp["b"]))
        told.forget()
        with server.client() as client:
            client.delete(data_key("a"))
            told.wait_for("changed", ("a", 0))
            client.set(data_key("b"), "raw")
            told.wait_for("changed", ("b", 0))
            client.set("unrelated", "raw")
            told.forget()
            client.flushall()
        told.wait_for("lost")
        told.wait_for("live")
        assert not told.all("changed")
        assert tier.stats()["foreign_changes"] == 2
        assert tier.stats()["flushes"] == 1

    def test_nothing_that_we_do_looks_foreign(self, perform, tier, other, told):
        for turn in range(20):
            for each in (tier, other):
                perform(each.write([Change(f"{turn % 3}", b"x", None)], publish=turn % 2 == 0))
                perform(each.write([Change("gone", None, None), Change("a", b"y", 60_000)]))
                perform(each.claim([f"claimed {turn}"], "lease", 1000))
                perform(each.versions([f"tag {turn}"]))
        last = perform(other.write([Change("last", b"x", None)]))["last"]
        told.wait_for("changed", ("last", last))
        assert all(stamp for _, stamp in told.all("changed"))
        assert not told.all("lost")


def test_a_message_that_nobody_of_us_sent(server, tier, told, namespace):
    with server.client() as client:
        client.publish(f"ohlcache:1:{namespace}:changes", "hello")
    told.wait_for("lost")
    told.wait_for("live")
    assert tier.stats()["damaged_messages"] == 1


def test_a_lost_counter_is_a_gap(server, other, told, namespace):
    for _ in range(3):
        other.write([Change("a", b"x", None)]).run()
    with server.client() as client:
        client.delete(f"{{ohlcache:1:{namespace}:0}}:m")
    stamp = other.write([Change("a", b"y", None)]).run()["a"]
    told.wait_for("changed", ("a", stamp))
    assert [kind for kind, _ in told.log].count("lost") == 1


def test_a_cut_connection_is_noticed_and_renewed(server, tier, other, told):
    with server.client() as client:
        client.client_kill_filter(_type="pubsub")
    told.wait_for("lost")
    told.wait_for("live")
    stamp = other.write([Change("a", b"x", None)]).run()["a"]
    told.wait_for("changed", ("a", stamp))
    assert tier.stats()["reconnects"] == 1


def test_nothing_is_live_until_a_killed_server_is_back(server, tier, told):
    server.kill()
    told.wait_for("lost")
    assert not told.all("live")
    server.start()
    told.wait_for("live")
    assert [kind for kind, _ in told.log] == ["lost", "live"]
    assert tier.stats()["reconnects"] >= 1


def test_a_silent_server_is_noticed(server, told):
    server.pause()
    told.wait_for("lost", seconds=5)
    assert not told.all("live")
    server.resume()
    told.wait_for("live")


def test_it_may_begin_to_listen_before_there_is_a_server(open_tier, server):
    server.kill()
    tier, recorder = open_tier(server.url), Recorder()
    tier.listen(recorder)
    server.start()
    recorder.wait_for("live")
    assert recorder.log == [("live", None)]


def test_a_server_without_resp3_has_messages_still(redis_server, open_tier):
    server = redis_server('rename-command HELLO ""')
    tier, other, told = open_tier(server.url), open_tier(server.url), Recorder()
    tier.listen(told)
    told.wait_for("live")
    for number in range(2):
        stamp = other.write([Change("a", b"x", None)]).run()["a"]
        told.wait_for("changed", ("a", stamp))
        if not number:
            time.sleep(1.2)  # it was silent, and was asked whether it is there
    assert not told.all("lost")


_PEER = """
import sys
from cache.shared_tier import Recorder
from ohlcache.cache.redis import RedisTier
from ohlcache.cache.tiers import Change

tier, told = RedisTier(sys.argv[1], namespace=sys.argv[2]), Recorder()
tier.listen(told)
told.wait_for("live")
print("listening", flush=True)
stamp = int(input())
told.wait_for("changed", ("from parent", stamp))
print(tier.write([Change("from child", b"x", None)]).run()["from child"], flush=True)
tier.close()
"""


def test_two_real_processes(server, tier, told, namespace):
    path = os.pathsep.join([os.environ.get("PYTHONPATH", ""), *sys.path])
    with subprocess.Popen(
        [sys.executable, "-c", _PEER, server.url, namespace],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    ) as peer:
        assert peer.stdout.readline() == "listening\n"
        stamp = tier.write([Change("from parent", b"x", None)]).run()["from parent"]
        peer.stdin.write(f"{stamp}\n")
        peer.stdin.flush()
        told.wait_for("changed", ("from child", int(peer.stdout.readline())))
    assert peer.returncode == 0
