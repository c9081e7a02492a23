"""Tiers that fail: no request fails or waits for long, and nobody goes on with an older value."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid

import pytest
import redis
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from cache.chaos_tier import ChaosCache, Injected
from cache_doors import FakeClock, until_live, wait_until
from ohlcache.cache import CacheManager
from ohlcache.errors import InvalidArgument

TIMEOUT = 0.1  # seconds that a request waits for Redis at most, once


@pytest.fixture
def server(redis_server):
    return redis_server()


@pytest.fixture
def make(make_cache, server):
    def make(tiers="redis", **settings):
        made = make_cache(tiers, redis_url=server.url, l2={"timeout_seconds": TIMEOUT}, **settings)
        until_live(made)
        return made

    return make


def works(*caches, tier="l2"):
    return all(
        cache.stats()[tier]["breaker"] == "closed"
        and cache.stats()[tier]["is_live"]
        and not cache.stats()[tier]["journal"]
        for cache in caches
    )


class TestRedis:
    def test_memory_and_loaders_go_on_without_it(self, make, server, door):
        cache = make()
        door(cache, "set", "held", 1)
        server.kill()
        assert door(cache, "get", "held") == 1
        door(cache, "set", "new", 2)
        assert door(cache, "get", "new") == 2
        assert door(cache, "get_or_load", "loaded", door.loader(lambda: 3)) == 3
        assert door(cache, "get_many", ["held", "new", "loaded", "x"]) == {
            "held": 1,
            "new": 2,
            "loaded": 3,
        }
        door(cache, "delete", "held")
        assert door(cache, "get", "held") is None
        door(cache, "invalidate_tag", "t")
        stats = cache.stats()["l2"]
        assert stats["breaker"] != "closed"
        assert sum(stats["errors"].values()) >= 1

    def test_it_may_be_absent_from_the_start(self, make_cache, door, redis_server):
        server = redis_server()
        server.kill()
        cache = make_cache("redis", redis_url=server.url, l2={"timeout_seconds": TIMEOUT})
        door(cache, "set", "k", 1)
        assert door(cache, "get", "k") == 1
        server.start()
        wait_until(lambda: works(cache))
        other = make_cache("redis", redis_url=server.url)
        until_live(other)
        door(other, "set", "k", 2)
        wait_until(lambda: door(cache, "get", "k") == 2)

    def test_the_database_goes_on_without_it(self, make, server, door):
        first, second = make("redis+sqlite"), make("redis+sqlite")
        door(first, "set", "k", 1)
        assert door(second, "get", "k") == 1
        server.kill()
        door(first, "set", "k", 2)
        wait_until(lambda: door(second, "get", "k") == 2)
        door(second, "delete", "k")
        wait_until(lambda: door(first, "get", "k") is None)

    def test_what_was_written_meanwhile_counts_afterwards(self, make, server, door):
        def none_is_old(cache):
            return "old" not in door(cache, "get_many", ["set", "deleted", "tagged"]).values()

        first, second = make(), make()
        door(first, "set_many", {"set": "old", "deleted": "old", "tagged": "old"}, tags=["t"])
        assert len(door(second, "get_many", ["set", "deleted", "tagged"])) == 3
        server.pause()  # what it holds stays, unlike in a crash
        door(first, "set", "set", "new")
        door(first, "delete", "deleted")
        door(first, "invalidate_tag", "t")
        door(first, "set", "tagged", "newer", tags=["t"])
        server.resume()
        wait_until(lambda: works(first, second))
        for cache in (first, second):
            wait_until(lambda cache=cache: none_is_old(cache))
            # What the server may have got or not was removed there; nothing old is left.
            assert door(cache, "get", "deleted") is None
        door(second, "set_many", {"set": 1, "tagged": 2})
        wait_until(lambda: door(first, "get_many", ["set", "tagged"]) == {"set": 1, "tagged": 2})

    @pytest.mark.parametrize("tiers", ["redis", "redis+sqlite"])
    def test_the_newest_of_two_writes_in_an_outage_wins(self, make, server, door, tiers):
        first, second = make(tiers), make(tiers)
        for cache in (first, second):
            door(cache, "set", "k", "oldest")
        server.pause()
        for cache in (first, second):
            door(cache, "get", "absent")  # finds out
        door(first, "set", "k", "older")
        door(second, "set", "k", "newer")
        server.resume()
        wait_until(lambda: works(first, second))
        # Without a database there is nowhere to take the newest from, and both have to go.
        expected = ["newer"] if tiers == "redis+sqlite" else ["newer", None]
        wait_until(lambda: door(first, "get", "k") in expected)
        wait_until(lambda: door(second, "get", "k") in expected)

    def test_a_write_that_the_server_gets_late_does_not_win(self, make, server, door):
        first, second = make(), make()
        server.pause()
        door(first, "set", "k", "older")  # sent, but not answered in time
        door(second, "set", "k", "newer")
        server.resume()
        wait_until(lambda: works(first, second))
        wait_until(lambda: door(first, "get", "k") in ("newer", None))
        wait_until(lambda: door(second, "get", "k") in ("newer", None))

    def test_a_restarted_server_that_forgot_everything(self, make, server, door):
        first, second = make(), make()
        door(first, "set", "k", 1)
        assert door(second, "get", "k") == 1
        server.restart()
        wait_until(lambda: works(first, second))
        door(first, "set", "k", 2)
        wait_until(lambda: door(second, "get", "k") == 2)

    def test_a_server_that_hangs_costs_one_bounded_delay(self, make, server, door):
        cache = make()
        door(cache, "set", "k", 1)
        server.pause()
        try:
            began = time.monotonic()
            door(cache, "set", "other", 2)
            took = time.monotonic() - began
            before = sum(cache.stats()["l2"]["errors"].values())
            for number in range(50):
                door(cache, "set", f"k{number}", number)
                door(cache, "get", f"absent {number}")
            stats = cache.stats()["l2"]
            assert stats["skipped"] >= 100
            # Only probes go on asking it, and they are few.
            assert sum(stats["errors"].values()) - before <= 10
            assert took < 20 * TIMEOUT
        finally:
            server.resume()

    def test_a_full_server(self, make, server, door):
        first, second = make(), make()
        door(first, "set", "k", "old")
        assert door(second, "get", "k") == "old"
        with server.client() as client:
            client.config_set("maxmemory", 1)
        for number in range(3):
            door(first, "set", "k", f"new {number}")
        assert door(first, "get", "k") == "new 2"
        assert cache_errors(first) >= 1
        server.config_set(maxmemory=0)
        wait_until(lambda: works(first, second))
        wait_until(lambda: door(second, "get", "k") != "old")

    def test_a_read_only_server(self, make, server, door):
        first, second = make(), make()
        door(first, "set", "k", "old")
        assert door(second, "get", "k") == "old"
        server.make_readonly()
        door(first, "set", "k", "new")
        assert door(first, "get", "k") == "new"
        server.make_writable()
        wait_until(lambda: works(first, second))
        wait_until(lambda: door(second, "get", "k") != "old")

    def test_missed_messages_leave_nothing_trusted(self, make, server, door):
        first, second = make(), make()
        for number in range(5):
            door(first, "set", "k", number)
            wait_until(lambda number=number: door(second, "get", "k") == number)
            wait_until(lambda: works(first, second))
            with server.client() as client:
                client.client_kill_filter(_type="pubsub")
                door(first, "set", "k", -number - 1)
            wait_until(lambda number=number: door(second, "get", "k") == -number - 1, 2)
        wait_until(lambda: works(first, second))
        assert second.stats()["l2"]["losses"] >= 5

    def test_unchanged_values_are_kept_over_a_lost_connection(self, make, server, door):
        cache = make()
        held = {"big": list(range(1000))}
        door(cache, "set", "k", held)
        with server.client() as client:
            client.client_kill_filter(_type="pubsub")
        wait_until(lambda: cache.stats()["l2"]["losses"] >= 1 and works(cache))
        assert door(cache, "get", "k") is held  # compared by its stamp, not decoded again

    def test_foreign_changes_are_noticed(self, make, server, door):
        cache = make()
        door(cache, "set", "k", 1)
        with server.client() as client:
            (key,) = client.keys("*:d:default:k")
            client.delete(key)
            wait_until(lambda: door(cache, "get", "k") is None)
            door(cache, "set", "k", 2)
            client.flushall()
            wait_until(lambda: door(cache, "get", "k") is None)

    def test_damaged_and_foreign_values_are_misses_and_removed(self, make, server, door):
        cache = make()
        for number, data in enumerate([b"garbage", b"", b"0" * 16, b"0" * 16 + b"=xx"]):
            door(cache, "set", "k", [number] * 50)
            with server.client() as client:
                (key,) = client.keys("*:d:default:k")
                client.set(key, data)
                wait_until(lambda: door(cache, "get", "k") is None)
                door(cache, "set", "k", [number] * 50)
                sound = client.get(key)
                client.set(key, sound[:-20] + bytes([sound[-20] ^ 1]) + sound[-19:])
                wait_until(lambda: door(cache, "get", "k") is None)
                assert client.get(key) != sound
            assert cache.stats()["l2"]["damaged"] >= number + 1
            assert door(cache, "get_or_load", "k", door.loader(lambda: 7)) == 7

    def test_errors_reach_the_caller_when_that_is_asked_for(self, make, server, door):
        cache = make(raise_errors=True)
        server.kill()
        with pytest.raises(redis.ConnectionError):
            door(cache, "set", "k", 1)


def cache_errors(cache, tier="l2"):
    return sum(cache.stats()[tier]["errors"].values())


class TestDatabase:
    def test_damaged_values_give_way_to_sound_ones_below(self, make, server, door):
        cache = make("redis+sqlite")
        door(cache, "set", "k", [1, 2, 3])
        with server.client() as client:
            (key,) = client.keys("*:d:default:k")
            sound = client.get(key)
            client.set(key, sound[:-1] + bytes([sound[-1] ^ 1]))
            cache.forget(["k"])
            assert door(cache, "get", "k") == [1, 2, 3]
            cache.forget(["k"])
            hits = cache.stats()["l2"]["hits"]
            assert door(cache, "get", "k") == [1, 2, 3]
            assert cache.stats()["l2"]["hits"] == hits + 1

    def test_a_full_server_does_not_hide_them(self, make, make_cache, server, door):
        cache = make("redis+sqlite")
        server.config_set(maxmemory=4_000_000)
        values = {f"k{number}": os.urandom(300_000) for number in range(20)}
        door(cache, "set_many", values)
        wait_until(lambda: cache.stats()["l2"]["replayed"] >= 20)
        other = make_cache("redis+sqlite", redis_url=server.url)
        assert door(other, "get_many", values) == values
        assert door(cache, "get_many", values) == values


class TestLeases:
    def test_who_died_while_loading_keeps_nobody_from_it(self, make, server):
        cache = make(lease_seconds=0.3)
        tree = {
            "cache": {
                "namespace": cache._settings.namespace,
                "lease_seconds": 0.3,
                "l2": {"redis_url": server.url},
            }
        }
        program = (
            "import sys, json, time; from ohlcache.cache import CacheManager\n"
            "cache = CacheManager(json.loads(sys.argv[1]))\n"
            "def load(): print('loading', flush=True); time.sleep(60)\n"
            "cache.get_or_load('k', load)\n"
        )
        holder = subprocess.Popen(
            [sys.executable, "-c", program, json.dumps(tree)], stdout=subprocess.PIPE, text=True
        )
        try:
            assert holder.stdout.readline().strip() == "loading"
            time.sleep(0.5)  # longer than the lease: it is kept while its holder lives
            with server.client() as client:
                assert client.keys("*:l:default:k")
            holder.send_signal(signal.SIGKILL)
            holder.wait()
            began = time.monotonic()
            assert cache.get_or_load("k", lambda: "mine") == "mine"
            assert time.monotonic() - began < 5
        finally:
            holder.kill()
            holder.wait()
            holder.stdout.close()

    def test_who_slept_past_its_lease_overwrites_nothing(self, make, server):
        slow, quick = make(lease_seconds=30), make(lease_seconds=30)

        def load():
            with server.client() as client:  # the lease ends, as if this process had slept
                for key in client.keys("*:l:default:k"):
                    client.delete(key)
            assert quick.get_or_load("k", lambda: "newer") == "newer"
            return "older"

        assert slow.get_or_load("k", load) == "older"
        assert slow.get("k") == quick.get("k") == "newer"


class TestFork:
    @pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
    @pytest.mark.parametrize("tiers", ["memory", "sqlite", "redis", "redis+sqlite"])
    def test_a_child_goes_on_by_itself(self, make_cache, tiers):
        cache = make_cache(tiers)
        cache.set("k", "parent's", tags=["t"])
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            found = [cache.get("k")]
            cache.set("child", "child's")
            found += [cache.get("child"), cache.get_or_load("loaded", lambda: "loaded")]
            os.write(writer, json.dumps(found).encode())
            cache.close()
            os._exit(0)
        os.close(writer)
        assert os.waitpid(child, 0)[1] == 0
        assert json.loads(os.read(reader, 1000)) == ["parent's", "child's", "loaded"]
        os.close(reader)
        assert cache.get("k") == "parent's"
        if tiers != "memory":
            assert cache.get("child") == "child's"


class Chaos(RuleBasedStateMachine):
    """Two caches on one database that fails at random, against a dict: once all is well again
    both have the last value, and no call ever raises."""

    folder: str

    @initialize(seed=st.integers(0, 2**16))
    def open(self, seed):
        self.random = random.Random(seed)
        tree = {
            "cache": {
                "namespace": uuid.uuid4().hex,
                "l3": {"url": f"sqlite:///{self.folder}/chaos.db"},
                "categories": {"default": {"early_refresh": 0}},
            }
        }
        self.caches = [ChaosCache(tree), ChaosCache(tree)]
        self.model: dict[str, object] = {}
        self.tags: dict[str, str] = {}

    keys = st.sampled_from(["a", "b", "c"])
    tag = st.sampled_from(["t", "u"])
    who = st.integers(0, 1)

    @rule(who=who, probability=st.sampled_from([0.0, 0.3, 1.0]))
    def switch(self, who, probability):
        self.caches[who].chaos["l3"].errors = probability

    @rule(who=who, key=keys, value=st.integers(), tag=tag)
    def set(self, who, key, value, tag):
        self.caches[who].set(key, value, tags=[tag])
        self.model[key], self.tags[key] = value, tag

    @rule(who=who, key=keys)
    def delete(self, who, key):
        self.caches[who].delete(key)
        self.model.pop(key, None)

    @rule(who=who, tag=tag)
    def invalidate(self, who, tag):
        self.caches[who].invalidate_tag(tag)
        for key in [key for key in self.model if self.tags[key] == tag]:
            del self.model[key]

    @rule(who=who, key=keys)
    def read(self, who, key):
        self.caches[who].get(key)

    @rule()
    def recover(self):
        for cache in self.caches:
            cache.chaos["l3"].errors = 0.0
        wait_until(lambda: works(*self.caches, tier="l3"))
        wait_until(self._agree, 2)

    def _agree(self):
        found = [cache.get_many(["a", "b", "c"]) for cache in self.caches]
        # What was written in an outage may have been dropped in favour of loading it again, but
        # nobody may have anything older than the last state.
        return all(one.items() <= self.model.items() for one in found)

    @invariant()
    def counted(self):
        if hasattr(self, "caches"):
            for cache in self.caches:
                assert set(cache.stats()["l3"]["errors"]) <= {Injected.__name__}

    def teardown(self):
        if hasattr(self, "caches"):
            self.recover()
            for cache in self.caches:
                cache.close()


def test_chaos(tmp_path):
    machine = type("ChaosHere", (Chaos,), {"folder": str(tmp_path)})
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(machine, settings=settings(max_examples=25, stateful_step_count=25))


class TestHangs:
    def test_a_tier_that_hangs_for_one_does_not_hang_others(self, make_cache, tmp_path):
        cache = ChaosCache({"cache": {"l3": {"url": f"sqlite:///{tmp_path}/h.db"}}})
        try:
            cache.set("held", 1)
            until_live(cache)
            cache.get("held")
            release = cache.chaos["l3"].hang = threading.Event()
            stuck = threading.Thread(target=cache.get, args=("absent",))
            stuck.start()
            assert cache.get("held") == 1
            release.set()
            stuck.join(10)
            assert not stuck.is_alive()
        finally:
            cache.chaos["l3"].hang = None
            cache.close()


def test_no_thread_stays_behind(make_cache, door):
    before = set(threading.enumerate())
    cache = make_cache("redis+sqlite")
    door(cache, "get_or_load", "k", lambda: 1)
    door(cache, "close")
    wait_until(
        lambda: (
            not [
                thread
                for thread in set(threading.enumerate()) - before
                if thread.name.startswith("ohlcache") and thread.name != "ohlcache-load"
            ]
        )
    )
    assert isinstance(cache, CacheManager)


class TestNothingOldComesBack:
    """Each of these once did."""

    def test_an_invalidation_during_an_outage_counts_at_once(self, make, server, door):
        cache = make()
        door(cache, "set", "k", "old", tags=["t"])
        server.kill()
        wait_until(lambda: not cache.stats()["l2"]["is_live"])
        door(cache, "invalidate_tag", "t")
        assert door(cache, "get", "k") is None
        assert door(cache, "get_or_load", "k", door.loader(lambda: "new")) == "new"

    def test_a_replayed_version_does_not_undo_a_later_one(self, make_cache, tmp_path):
        tree = {"namespace": uuid.uuid4().hex, "l3": {"url": f"sqlite:///{tmp_path}/v.db"}}
        first, second = ChaosCache({"cache": tree}), ChaosCache({"cache": tree})
        third = ChaosCache({"cache": tree})
        try:
            until_live(first, second)
            first.set("other", 1, tags=["t"])
            first.chaos["l3"].errors = 1.0
            first.invalidate_tag("t")
            first.set("k", "old", tags=["t"])
            second.invalidate_tag("t")
            first.chaos["l3"].errors = 0.0
            wait_until(lambda: works(first, tier="l3"))
            assert third.get("k") is second.get("k") is None
        finally:
            for cache in (first, second, third):
                cache.close()

    def test_a_clear_missed_by_a_category_in_memory_only(self, make, server, door):
        private = {"private": {"tiers": ["l1"]}}
        first, second = make(categories=private), make(categories=private)
        door(first, "set", "k", 1, "private")
        assert door(first, "get", "k", "private") == 1
        with server.client() as client:
            client.client_kill_filter(_type="pubsub")
        door(second, "clear", "private")
        wait_until(lambda: door(first, "get", "k", "private") is None)

    def test_a_journal_that_overflows_keeps_processes_together(self, make, server, monkeypatch):
        monkeypatch.setattr("ohlcache.cache.links.journal._MOST_KEYS", 20)
        first, second = make(), make()
        first.set("k", "old")
        server.make_readonly()
        first.set_many({f"k{number}": 1 for number in range(50)})
        first.set_many({f"k{number}": 2 for number in range(50)})
        server.make_writable()
        wait_until(lambda: works(first, second))
        first.set("a", 1)
        second.set("b", 2)
        wait_until(lambda: second.get("a") == 1 and first.get("b") == 2)
        assert first.get("k") is second.get("k") is None

    @pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
    def test_a_child_does_not_trust_what_its_parent_held(self, make_cache):
        cache = make_cache("sqlite")
        until_live(cache)
        cache.set("k", "old")
        assert cache.get("k") == "old"
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.read(reader, 1)
            found = cache.get("k")
            os._exit(0 if found == "new" else 1)
        cache.set("k", "new")
        os.write(writer, b"x")
        assert os.waitpid(child, 0)[1] == 0
        os.close(reader)
        os.close(writer)


class TestNothingHangs:
    def test_refreshes_do_not_starve_their_own_loaders(self, make_cache):
        categories = {"default": {"ttl_seconds": 10, "stale_seconds": 1000}}
        clock = FakeClock()
        cache = make_cache("memory", clock=clock, categories=categories)
        cache.set_many({f"k{number}": "old" for number in range(200)})
        clock.advance(11)
        begun = threading.Semaphore(0)

        def load():
            begun.release()
            threading.Event().wait(0.01)
            return "new"

        for number in range(200):
            assert cache.get_or_load(f"k{number}", load) == "old"
        for _ in range(200):
            assert begun.acquire(timeout=30)
        assert cache.get_or_load("other", lambda: 1) == 1

    def test_a_load_that_cannot_begin_is_not_waited_for(self, make_cache, monkeypatch):
        cache = make_cache("memory")

        def refuse(thread):
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            with pytest.raises(RuntimeError, match="new thread"):
                cache.get_or_load("k", lambda: 1)
        assert cache.get_or_load("k", lambda: 2) == 2

    def test_a_text_that_no_tier_takes_is_refused_at_the_call(self, make, door):
        cache = make()
        for call in (("invalidate_tag", "\ud800"), ("set", "k", 1, "default", None)):
            tags = {"tags": ["\ud800"]} if call[0] == "set" else {}
            with pytest.raises(InvalidArgument, match="tag is"):
                door(cache, *call, **tags)
        assert cache.stats()["l2"]["errors"] == {}
