"""A Redis that restarts, hangs, is full or refuses writes."""

from __future__ import annotations

import asyncio

import pytest
import redis

from cache.shared_tier import LEASE_MS, BothDoors, Recorder
from ohlcache.cache.tiers import Change, Stored


@pytest.fixture
def told(other):
    """What another process hears."""
    recorder = Recorder()
    other.listen(recorder)
    recorder.wait_for("live")
    recorder.forget()
    return recorder


class TestOutage(BothDoors):
    def test_a_restart_costs_nobody_an_error(self, perform, server, tier):
        perform(tier.write([Change("a", b"x", None)]))
        perform(tier.read(["a"]))
        for turn in range(3):
            server.restart()
            assert perform(tier.read(["a"])) == {}
            server.restart()
            assert perform(tier.write([Change("a", b"%d" % turn, None)]))["a"] > 0
            assert perform(tier.read(["a"]))["a"].data == b"%d" % turn

    def test_scripts_that_the_server_forgot_are_sent_again(self, perform, server, tier):
        perform(tier.write([Change("a", b"x", None)]))
        with server.client() as client:
            client.script_flush()
        keys = [f"{number}" for number in range(300)]
        made = perform(tier.write([Change(key, b"y", None) for key in keys]))
        assert all(made.values())
        assert len(perform(tier.read(keys))) == 300
        assert perform(tier.claim(["b"], "mine", LEASE_MS))["b"].is_held

    def test_while_it_is_down_every_call_raises(self, perform, server, tier):
        perform(tier.probe())
        server.kill()
        for step in (
            tier.read(["a"]),
            tier.write([Change("a", b"x", None)]),
            tier.claim(["a"], "mine", LEASE_MS),
            tier.renew({"a": "mine"}, LEASE_MS),
            tier.versions(["tag"]),
            tier.bump({"tag": "v1"}),
            tier.probe(),
        ):
            with pytest.raises(redis.ConnectionError):
                perform(step)
        assert sum(tier.stats()["errors"].values()) == 7
        server.start()
        perform(tier.probe())
        perform(tier.write([Change("a", b"x", None)]))

    def test_no_reply_is_ever_taken_for_that_of_another_request(self, perform, server, tier):
        made = perform(tier.write([Change("a", b"one", None), Change("b", b"two", None)]))
        for _ in range(2):
            server.pause()
            with pytest.raises(redis.TimeoutError):
                perform(tier.read(["a"]))
            with pytest.raises(redis.TimeoutError):
                perform(tier.versions(["a"]))
            server.resume()
            assert perform(tier.read(["b"])) == {"b": Stored(made["b"], b"two")}
            assert perform(tier.claim(["a"], "x", 1))["a"].stored.data == b"one"

    def test_a_full_server_drops_what_is_old_and_says_so(self, perform, server, tier, other, told):
        perform(tier.write([Change("a", b"old", None), Change("b", b"old", None)]))
        perform(tier.versions(["tag"]))
        told.wait_for("changed", ("a", perform(other.read(["a"]))["a"].stamp))
        told.forget()
        server.config_set(maxmemory=1)
        with pytest.raises(redis.OutOfMemoryError):
            perform(tier.write([Change("a", b"new", None), Change("b", None, None)]))
        assert [held.data for held in perform(other.read(["a", "b"])).values()] == [None, None]
        for step in (tier.probe(), tier.claim(["a"], "mine", LEASE_MS), tier.bump({"tag": "v"})):
            with pytest.raises(redis.RedisError, match="OOM|maxmemory"):
                perform(step)
        assert perform(tier.versions(["tag"]))["tag"]
        server.config_set(maxmemory=0)
        perform(tier.probe())
        stamp = perform(tier.write([Change("c", b"x", None)]))["c"]
        told.wait_for("changed", ("c", stamp))
        assert {key for key, _ in told.all("changed")} == {"a", "b", "c"}
        assert not told.all("lost")
        assert tier.stats()["errors"] == {"OOM": 4}

    def test_a_server_that_refuses_writes(self, perform, server, tier):
        stamp = perform(tier.write([Change("a", b"x", None)]))["a"]
        perform(tier.versions(["tag"]))
        server.make_readonly()
        assert perform(tier.read(["a"])) == {"a": Stored(stamp, b"x")}
        assert perform(tier.versions(["tag"]))
        for step in (
            tier.probe(),
            tier.write([Change("a", b"y", None)]),
            tier.claim(["b"], "mine", LEASE_MS),
            tier.bump({"tag": "v"}),
        ):
            with pytest.raises(redis.RedisError, match="(?i)read ?only"):
                perform(step)
        server.make_writable()
        perform(tier.probe())
        assert perform(tier.read(["a"])) == {"a": Stored(stamp, b"x")}

    def test_after_closing_nothing_is_reconnected(self, perform, server, tier):
        perform(tier.read(["a"]))
        tier.close()
        with pytest.raises(redis.ConnectionError, match="closed"):
            perform(tier.read(["a"]))
        with server.client() as client:
            assert len(client.client_list()) == 1


def test_closing_wakes_those_who_wait(server, tier):
    async def run():
        await tier.read(["a"]).arun()
        server.pause()
        sent = asyncio.create_task(tier.read(["a"]).arun())
        await asyncio.sleep(0.01)
        unsent = asyncio.create_task(tier.read(["b"]).arun())
        await asyncio.sleep(0)
        tier.close()
        found = await asyncio.gather(sent, unsent, return_exceptions=True)
        server.resume()
        return found

    assert [type(each) for each in asyncio.run(run())] == [redis.ConnectionError] * 2


@pytest.mark.parametrize("kind", ["string", "hash"])
def test_foreign_bytes_under_a_key_are_no_value(server, tier, data_key, kind):
    with server.client() as client:
        if kind == "string":
            client.set(data_key("a"), "not written by ohlcache")
        else:
            client.hset(data_key("a"), "field", "value")
        # Bytes are told as the oldest state there can be, so that the walk removes them.
        told = {"a": Stored(0, b"not written by ohlcache")} if kind == "string" else {}
        assert tier.read(["a"]).run() == told
        assert tier.stats().get("foreign_values", 0) == (kind == "string")
        assert tier.claim(["a"], "mine", LEASE_MS).run()["a"].is_held
        assert not client.exists(data_key("a")), "a claim takes it away"
        client.set(data_key("a"), "123")
    assert tier.write([Change("a", b"ours", None)]).run()["a"] > 0
    assert tier.read(["a"]).run()["a"].data == b"ours"
