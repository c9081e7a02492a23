"""What has expired leaves, and what is held stays within its limit."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ohlcache.cache.database.changing import ENTRY_BYTES
from ohlcache.cache.tiers import TOMBSTONE_SECONDS, Change

PATIENCE = 10.0
MAX_BYTES = 5_000


def held(tier):
    """(entries, bytes) as the tables hold them, and as the tier accounts for them."""
    tier.probe()()
    entries, size = tier._engine.read(
        lambda session: session.rows(
            "SELECT count(*), coalesce(sum(size), 0) FROM ohlcache1_entries WHERE namespace = ?",
            "ohlcache",
        )
    )[0]
    return (entries, int(size)), (tier.stats()["entries"], tier.stats()["bytes"])


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.005)


def test_expired_entries_and_tombstones_are_swept(open_tier, url, clock):
    tier = open_tier(url, clock=clock, sweep_seconds=0.005)
    changes = [Change(f"short {number}", b"x" * 100, 50_000) for number in range(700)]
    tier.write([*changes, Change("removed", None, None), Change("for ever", b"y", None)])()
    tier.claim(["claimed"], "mine", 1000)()
    tier.probe()()
    assert held(tier)[0][0] == 702
    clock.now += TOMBSTONE_SECONDS + 1
    wait_until(lambda: held(tier)[0][0] == 701)
    clock.now += 60
    wait_until(lambda: held(tier)[0][0] == 1)
    assert list(tier.read(["for ever", "short 1"])()) == ["for ever"]
    in_table, accounted = held(tier)
    assert in_table == accounted
    wait_until(lambda: tier.stats()["expired"] == 701)  # counted after the commit
    wait_until(
        lambda: (
            not tier._engine.read(lambda session: session.rows("SELECT 1 FROM ohlcache1_leases"))
        )
    )


def test_versions_that_nobody_uses_are_swept(open_tier, url, clock):
    tier = open_tier(url, clock=clock, sweep_seconds=0.005)
    old = tier.versions(["used", "unused"])()
    for _ in range(40):
        clock.now += 86_400
        assert tier.versions(["used"])()["used"] == old["used"]

    def kept():
        return tier._engine.read(
            lambda session: session.rows("SELECT version FROM ohlcache1_versions")
        )

    wait_until(lambda: kept() == [(old["used"],)])
    assert tier.versions(["unused"])() != {"unused": old["unused"]}


def test_a_failing_sweep_is_counted_and_tried_again(open_tier, url, clock, monkeypatch):
    tier = open_tier(url, clock=clock, sweep_seconds=0.005)
    tier.write([Change("short", b"x", 1000)])()
    clock.now += 2

    with monkeypatch.context() as patch:
        patch.setattr(tier._engine, "give_space_back", None)
        wait_until(lambda: tier.stats().get("sweep_errors.TypeError"))
    wait_until(lambda: held(tier)[0][0] == 0)


def test_what_was_not_used_for_longest_leaves_first(open_tier, url, clock):
    tier = open_tier(url, clock=clock, max_bytes=4 * (ENTRY_BYTES + 1000), sweep_seconds=0.005)
    for key in "abcd":
        clock.now += 100
        tier.write([Change(key, b"x" * 990, None)])()
    clock.now += 100
    tier.read(["a"])()

    def use_of_a():
        return tier._engine.read(
            lambda session: session.rows(
                "SELECT used FROM ohlcache1_entries WHERE used >= ?", int(clock.now * 1e6)
            )
        )

    wait_until(use_of_a)
    tier.write([Change("e", b"x" * 990, None)])()
    assert list(tier.read(["a", "b", "c", "d", "e"])()) == ["a", "c", "d", "e"]
    assert tier.stats()["evicted"] == 1


def test_a_value_larger_than_the_limit_replaces_the_old_one_by_nothing(open_tier, url):
    tier = open_tier(url, max_bytes=MAX_BYTES)
    tier.write([Change("a", b"old", None), Change("b", b"kept", None)])()
    stamp = tier.write([Change("a", b"x" * MAX_BYTES, None)])()["a"]
    found = tier.read(["a", "b"])()
    assert found["a"] == (stamp, None)
    assert found["b"].data == b"kept"
    assert tier.stats()["oversized"] == 1


def test_a_limit_that_was_lowered_by_much_is_reached_step_by_step(open_tier, url):
    open_tier(url).write([Change(f"{number}", b"", None) for number in range(6000)])()
    tier = open_tier(url, max_bytes=MAX_BYTES)
    tier.write([Change("a", b"x", None)])()
    assert 0 < held(tier)[0][0] < 1100
    tier.write([Change("b", b"x", None)])()
    assert held(tier)[0][1] <= MAX_BYTES
    assert list(tier.read(["a", "b"])()) == ["a", "b"]


@given(
    calls=st.lists(
        st.lists(
            st.tuples(
                st.integers(0, 30),
                st.none() | st.integers(0, 2 * MAX_BYTES // 3),
                st.sampled_from([None, 500, 60_000]),
            ),
            max_size=6,
        ),
        max_size=20,
    )
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_limit_holds_after_every_write(open_tier, url, clock, calls):
    tier = open_tier(url, clock=clock, max_bytes=MAX_BYTES)
    for call in calls:
        clock.now += 0.4
        changes = [
            Change(f"{key}", None if size is None else bytes(size), ttl_ms)
            for key, size, ttl_ms in call
        ]
        stamps = tier.write(changes)()
        in_table, accounted = held(tier)
        assert in_table == accounted
        assert in_table[1] <= MAX_BYTES
        found = tier.read(list(stamps))()
        assert all(found[key].stamp == stamps[key] for key in found)
    tier.close()


@pytest.mark.parametrize("value_bytes", [50, 3000, 60_000])
def test_the_file_stays_small_however_much_is_written(open_tier, sqlite_url, tmp_path, value_bytes):
    """At most three times the limit and 20 MB of notices; the log beside it 40 MB."""
    limit = 1_000_000
    tier = open_tier(sqlite_url, max_bytes=limit)
    at_once = max(1, 100_000 // value_bytes)
    for turn in range(60):
        tier.write(
            [Change(f"{turn} {number}", bytes(value_bytes), None) for number in range(at_once)]
        )()
    assert held(tier)[0][1] > limit / 2
    assert (tmp_path / "cache.db-wal").stat().st_size < 40_000_000
    tier.close()
    assert (tmp_path / "cache.db").stat().st_size < 3 * limit + 20_000_000


def test_space_of_expired_entries_is_given_back(open_tier, sqlite_url, tmp_path, clock):
    tier = open_tier(sqlite_url, clock=clock, sweep_seconds=0.005)
    tier.write([Change(f"{number}", bytes(100_000), 1000) for number in range(200)])()
    clock.now += 2

    def is_small():
        with tier._engine.database().reading() as connection:
            return connection.execute("PRAGMA page_count").fetchone()[0] * 4096 < 3_000_000

    wait_until(is_small)
