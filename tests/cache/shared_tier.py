"""What every shared tier must do: inherit :class:`SharedTierContract` and give it two tiers.

class TestRedisTier(SharedTierContract):
    @pytest.fixture
    def tier(self, ...): ...      # empty
    @pytest.fixture
    def other(self, ...): ...     # on the same data, as another process would have it
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ohlcache.cache.tiers import Change, Claim, SharedTier, Stored
from ohlcache.drive import Step, Walk, drive, drive_async

PATIENCE = 10.0  # seconds until a test gives up waiting for what comes in milliseconds
HOUR = 3_600_000_000  # microseconds
LEASE_MS = 30_000
ODD_KEYS = ["", " ", "a b", "{x}", "}{", "a*[?]", "line\nbreak", "ключ", "\x00", ":", "k" * 2000]


def alone(step: Step) -> Walk:
    """A walk of one step."""
    return (yield step)


class Recorder:
    """Events as they came, and waiting for them."""

    def __init__(self) -> None:
        self.log: list[tuple[str, object]] = []
        self._news = threading.Condition()

    def changed(self, changes: Sequence[tuple[str, int]]) -> None:
        for change in changes:
            self._note("changed", tuple(change))

    def bumped(self, versions: Mapping[str, str]) -> None:
        for bump in versions.items():
            self._note("bumped", bump)

    def lost(self) -> None:
        self._note("lost", None)

    def live(self) -> None:
        self._note("live", None)

    def _note(self, kind: str, what: object) -> None:
        with self._news:
            self.log.append((kind, what))
            self._news.notify_all()

    def all(self, kind: str) -> list:
        return [what for seen, what in list(self.log) if seen == kind]

    def wait_for(self, kind: str, what: object = None, *, seconds: float = PATIENCE) -> None:
        """Return when the event has come; fail with what came instead."""
        with self._news:
            came = self._news.wait_for(lambda: (kind, what) in self.log, seconds)
        assert came, f"no {kind} {what!r} in {self.log}"

    def forget(self) -> None:
        with self._news:
            self.log.clear()


class BothDoors:
    """For classes of tests: each runs once through either door."""

    @pytest.fixture(params=["sync", "async"])
    def perform(self, request):
        if request.param == "sync":
            yield lambda step: drive(alone(step))
            return
        with ThreadPoolExecutor(4) as threads, asyncio.Runner() as runner:
            yield lambda step: runner.run(drive_async(alone(step), threads))


class SharedTierContract(BothDoors):
    """The tests; ``perform`` carries a step out through the door under test."""

    @pytest.fixture
    def elapse(self) -> Callable[[float], None]:
        """Let seconds go by on the tier's clock; override it where that clock can be set."""
        return time.sleep

    # -- values -------------------------------------------------------------------------------

    def test_what_was_never_written_is_not_there(self, perform, tier):
        assert perform(tier.read(["a", "b"])) == {}

    def test_every_process_reads_what_one_wrote(self, perform, tier, other):
        stamps = perform(tier.write([Change("a", b"one", None), Change("b", b"two", 60_000)]))
        expected = {"a": Stored(stamps["a"], b"one"), "b": Stored(stamps["b"], b"two")}
        assert perform(other.read(["a", "b", "c"])) == expected == perform(tier.read(["b", "a"]))
        assert all(isinstance(stored.data, bytes) for stored in expected.values())

    def test_an_empty_value_is_a_value_and_bytes_come_back_as_they_were(self, perform, tier):
        everything = bytes(range(256)) * 3
        perform(tier.write([Change("empty", b"", None), Change("bytes", everything, None)]))
        found = perform(tier.read(["empty", "bytes"]))
        assert (found["empty"].data, found["bytes"].data) == (b"", everything)

    def test_any_text_is_a_key(self, perform, tier, other):
        perform(tier.write([Change(key, key.encode(), None) for key in ODD_KEYS]))
        found = perform(other.read(ODD_KEYS))
        assert {key: stored.data for key, stored in found.items()} == {
            key: key.encode() for key in ODD_KEYS
        }

    def test_a_large_value(self, perform, tier, other):
        value = os.urandom(1 << 20) * 4
        perform(tier.write([Change("large", value, 60_000)]))
        assert perform(other.read(["large"]))["large"].data == value

    def test_many_keys_in_one_call(self, perform, tier, other):
        keys = [f"key {number}" for number in range(1500)]
        stamps = perform(tier.write([Change(key, key.encode(), None) for key in keys]))
        assert perform(other.read(keys)) == {key: Stored(stamps[key], key.encode()) for key in keys}

    def test_nothing_to_do(self, perform, tier):
        assert perform(tier.read([])) == {}
        assert perform(tier.write([])) == {}
        assert perform(tier.claim([], "me", LEASE_MS)) == {}
        assert perform(tier.versions([])) == {}
        perform(tier.renew({}, LEASE_MS))
        perform(tier.release([], "me"))
        perform(tier.bump({}))

    def test_a_value_expires(self, perform, tier, other, elapse):
        perform(tier.write([Change("short", b"x", 40), Change("long", b"y", 60_000)]))
        elapse(0.1)
        assert list(perform(other.read(["short", "long"]))) == ["long"]
        assert perform(tier.claim(["short"], "me", LEASE_MS))["short"].is_held

    def test_a_new_value_has_a_new_expiry(self, perform, tier, elapse):
        perform(tier.write([Change("a", b"short", 40)]))
        perform(tier.write([Change("a", b"for ever", None)]))
        elapse(0.1)
        assert perform(tier.read(["a"]))["a"].data == b"for ever"

    # -- stamps -------------------------------------------------------------------------------

    def test_stamps_are_microseconds_that_grow(self, perform, tier, other):
        values = [b"1", None, b"2", b"3", None, None, b"4"]
        stamps = [
            perform((tier, other)[turn % 2].write([Change("a", value, None)]))["a"]
            for turn, value in enumerate(values)
        ]
        assert stamps == sorted(set(stamps))
        assert abs(stamps[-1] / 1e6 - time.time()) < 60

    def test_a_removal_leaves_a_newer_tombstone(self, perform, tier, other):
        written = perform(tier.write([Change("a", b"x", None)]))["a"]
        removed = perform(tier.write([Change("a", None, None)]))["a"]
        assert removed > written
        assert perform(other.read(["a"])) == {"a": Stored(removed, None)}

    def test_removing_what_is_not_there_leaves_a_tombstone_too(self, perform, tier):
        removed = perform(tier.write([Change("a", None, None)]))["a"]
        assert perform(tier.read(["a"])) == {"a": Stored(removed, None)}

    def test_an_older_state_loses(self, perform, tier, other):
        now = perform(tier.write([Change("a", b"now", None), Change("b", None, None)]))
        late = [
            Change("a", b"older", None, now["a"] - 1),
            Change("b", b"older", None, now["b"] - 1),
        ]
        assert perform(other.write(late)) == {"a": 0, "b": 0}
        assert perform(other.write([Change("a", b"same", None, now["a"])])) == {"a": 0}
        assert perform(other.write([Change("a", None, None, now["a"])])) == {"a": 0}
        found = perform(tier.read(["a", "b"]))
        assert found == {"a": Stored(now["a"], b"now"), "b": Stored(now["b"], None)}

    def test_a_newer_state_wins_and_keeps_its_stamp(self, perform, tier, other):
        now = perform(tier.write([Change("a", b"now", None)]))["a"]
        newer = Change("a", b"newer", None, now + 1)
        assert perform(other.write([newer])) == {"a": now + 1}
        assert perform(tier.read(["a"])) == {"a": Stored(now + 1, b"newer")}
        assert perform(other.write([Change("new", b"x", None, 7)])) == {"new": 7}

    def test_an_own_stamp_is_newer_than_one_from_a_clock_that_is_ahead(self, perform, tier):
        ahead = int(time.time() * 1e6) + HOUR
        assert perform(tier.write([Change("a", b"ahead", None, ahead)])) == {"a": ahead}
        stamp = perform(tier.write([Change("a", b"behind", None)]))["a"]
        assert stamp > ahead
        assert perform(tier.read(["a"])) == {"a": Stored(stamp, b"behind")}

    @given(
        calls=st.lists(
            st.lists(
                st.tuples(
                    st.sampled_from("abc"),
                    st.none() | st.binary(max_size=40),
                    st.sampled_from([None, 60_000]),
                    st.sampled_from([None, -2, -1, 0, 1, 5]),
                ),
                max_size=3,
                unique_by=lambda change: change[0],
            ),
            max_size=8,
        )
    )
    @settings(
        max_examples=40,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    def test_any_sequence_of_writes_ends_as_in_a_dict(self, perform, tier, other, calls):
        """Stamps of a call are given relative to that of the key's state; None: by the tier."""
        perform(tier.write([Change(key, None, None) for key in "abc"]))
        model = perform(tier.read(["a", "b", "c"]))
        for turn, call in enumerate(calls):
            changes = [
                Change(key, data, ttl_ms, 0 if ahead is None else model[key].stamp + ahead)
                for key, data, ttl_ms, ahead in call
            ]
            made = perform((tier, other)[turn % 2].write(changes))
            assert list(made) == [change.key for change in changes]
            for change in changes:
                known = model[change.key]
                if change.stamp:
                    assert made[change.key] == (change.stamp if change.stamp > known.stamp else 0)
                else:
                    assert made[change.key] > known.stamp
                if made[change.key]:
                    model[change.key] = Stored(made[change.key], change.data)
            assert perform(other.read(["a", "b", "c"])) == model

    # -- leases -------------------------------------------------------------------------------

    def test_one_holds_and_the_others_wait(self, perform, tier, other):
        assert perform(tier.claim(["a"], "mine", LEASE_MS)) == {"a": Claim(None, True, 0)}
        theirs = perform(other.claim(["a"], "theirs", LEASE_MS))["a"]
        assert (theirs.stored, theirs.is_held) == (None, False)
        assert 0 < theirs.wait_ms <= LEASE_MS

    def test_claiming_again_with_the_same_lease_holds(self, perform, tier):
        perform(tier.claim(["a"], "mine", LEASE_MS))
        assert perform(tier.claim(["a"], "mine", LEASE_MS))["a"].is_held

    def test_a_value_is_given_instead_of_a_lease(self, perform, tier, other):
        stamp = perform(tier.write([Change("a", b"x", None)]))["a"]
        claims = perform(other.claim(["a", "b"], "mine", LEASE_MS))
        assert claims == {"a": Claim(Stored(stamp, b"x"), False, 0), "b": Claim(None, True, 0)}
        perform(tier.write([Change("a", None, None)]))
        assert perform(tier.claim(["a"], "theirs", LEASE_MS))["a"].is_held  # none was taken

    def test_a_value_that_the_caller_has_no_use_for_does_not_count(self, perform, tier, other):
        stamps = perform(tier.write([Change(key, b"x", None) for key in "abc"]))
        useless = {"a": stamps["a"], "b": stamps["b"] - 1}
        claims = perform(other.claim(["a", "b", "c"], "mine", LEASE_MS, useless))
        assert claims["a"] == Claim(None, True, 0)
        assert claims["b"] == Claim(Stored(stamps["b"], b"x"), False, 0)
        assert claims["c"] == Claim(Stored(stamps["c"], b"x"), False, 0)
        assert perform(tier.read(["a"])) == {"a": Stored(stamps["a"], b"x")}, "it stays readable"
        theirs = perform(tier.claim(["a"], "theirs", LEASE_MS, {"a": 2**52}))["a"]
        assert (theirs.stored, theirs.is_held) == (None, False)

    def test_a_tombstone_is_not_a_value(self, perform, tier):
        perform(tier.write([Change("a", None, None)]))
        assert perform(tier.claim(["a"], "mine", LEASE_MS)) == {"a": Claim(None, True, 0)}

    def test_a_lease_ends_by_itself(self, perform, tier, other, elapse):
        perform(tier.claim(["a"], "mine", 40))
        elapse(0.1)
        assert perform(other.claim(["a"], "theirs", LEASE_MS))["a"].is_held
        assert perform(tier.write([Change("a", b"late", None, lease="mine")])) == {"a": 0}
        assert perform(tier.read(["a"])) == {}

    def test_a_renewed_lease_lasts(self, perform, tier, other, elapse):
        perform(tier.claim(["a", "b"], "mine", 200))
        perform(tier.renew({"a": "mine", "b": "not mine"}, LEASE_MS))
        elapse(0.3)
        assert not perform(other.claim(["a"], "theirs", LEASE_MS))["a"].is_held
        assert perform(other.claim(["b"], "theirs", LEASE_MS))["b"].is_held

    def test_a_lost_lease_is_not_renewed(self, perform, tier, other):
        perform(tier.renew({"a": "mine"}, LEASE_MS))
        assert perform(other.claim(["a"], "theirs", LEASE_MS))["a"].is_held

    def test_only_the_holder_releases(self, perform, tier, other):
        perform(tier.claim(["a", "b"], "mine", LEASE_MS))
        perform(other.release(["a"], "theirs"))
        assert not perform(other.claim(["a"], "theirs", LEASE_MS))["a"].is_held
        perform(tier.release(["a", "b", "never claimed"], "mine"))
        claims = perform(other.claim(["a", "b"], "theirs", LEASE_MS))
        assert all(claim.is_held for claim in claims.values())

    def test_the_holder_writes_and_ends_its_lease(self, perform, tier, other):
        perform(tier.claim(["a"], "mine", LEASE_MS))
        assert perform(tier.write([Change("a", b"loaded", None, lease="mine")]))["a"] > 0
        assert perform(tier.write([Change("a", b"again", None, lease="mine")])) == {"a": 0}
        assert perform(other.read(["a"]))["a"].data == b"loaded"

    def test_who_holds_nothing_does_not_write_under_a_lease(self, perform, tier, other):
        perform(tier.claim(["a"], "mine", LEASE_MS))
        changes = [Change(key, b"x", None, lease="theirs") for key in ("a", "b")]
        assert perform(other.write(changes)) == {"a": 0, "b": 0}
        assert perform(other.read(["a", "b"])) == {}
        assert perform(tier.write([Change("a", b"x", None, lease="mine")]))["a"] > 0

    @pytest.mark.parametrize("data", [b"set", None])
    def test_a_change_during_a_load_wins_over_it(self, perform, tier, other, data):
        perform(tier.claim(["a"], "mine", LEASE_MS))
        stamp = perform(other.write([Change("a", data, None)]))["a"]
        assert perform(tier.write([Change("a", b"loaded before", None, lease="mine")])) == {"a": 0}
        assert perform(tier.read(["a"])) == {"a": Stored(stamp, data)}

    def test_a_refused_change_leaves_the_lease(self, perform, tier, other):
        stamp = perform(tier.write([Change("a", None, None)]))["a"]
        perform(tier.claim(["a"], "mine", LEASE_MS))
        perform(other.write([Change("a", b"older", None, stamp - 1)]))
        assert perform(tier.write([Change("a", b"loaded", None, lease="mine")]))["a"] > stamp

    def test_of_many_that_claim_at_once_one_holds(self, tier, other):
        keys = ["a", "b", "c"]
        start = threading.Barrier(8)

        def claim(number: int) -> dict[str, Claim]:
            start.wait()
            return drive(alone((tier, other)[number % 2].claim(keys, f"{number}", LEASE_MS)))

        with ThreadPoolExecutor(8) as threads:
            claims = list(threads.map(claim, range(8)))
        for key in keys:
            assert sum(claim[key].is_held for claim in claims) == 1

    def test_of_many_that_write_at_once_the_largest_stamp_stays(self, tier, other):
        start = threading.Barrier(8)

        def write(number: int) -> dict[int, bytes]:
            start.wait()
            made = {}
            for turn in range(10):
                data = b"%d %d" % (number, turn)
                change = Change("a", data, None)
                made[drive(alone((tier, other)[number % 2].write([change])))["a"]] = data
            return made

        with ThreadPoolExecutor(8) as threads:
            made = [made for each in threads.map(write, range(8)) for made in each.items()]
        assert len(dict(made)) == 80, "a stamp was given twice"
        assert drive(alone(tier.read(["a"]))) == {"a": Stored(*max(made))}

    # -- versions -----------------------------------------------------------------------------

    def test_versions_are_unique_and_the_same_for_all(self, perform, tier, other):
        found = perform(tier.versions(["tag", "other tag"]))
        assert set(found) == {"tag", "other tag"}
        assert all(found.values())
        assert len(set(found.values())) == 2
        assert perform(other.versions(["other tag", "tag"])) == found

    def test_a_bumped_version_holds_for_all(self, perform, tier, other):
        old = perform(tier.versions(["tag", "unbumped"]))
        perform(other.bump({"tag": "v2", "new": "v1"}))
        assert perform(tier.versions(["tag", "new", "unbumped"])) == {
            "tag": "v2",
            "new": "v1",
            "unbumped": old["unbumped"],
        }

    def test_a_version_and_a_value_of_the_same_name_are_two_things(self, perform, tier):
        perform(tier.bump({"x": "v1"}))
        assert perform(tier.read(["x"])) == {}
        perform(tier.write([Change("x", b"value", None)]))
        assert perform(tier.versions(["x"])) == {"x": "v1"}

    # -- events -------------------------------------------------------------------------------

    @pytest.fixture
    def told(self, tier):
        """The events of ``tier``, from when it hears everything."""
        recorder = Recorder()
        tier.listen(recorder)
        recorder.wait_for("live")
        recorder.forget()
        return recorder

    def test_changes_of_another_process_are_told(self, perform, told, other):
        written = perform(other.write([Change("a", b"x", None), Change("ключ", b"y", None)]))
        for change in written.items():
            told.wait_for("changed", change)
        removed = perform(other.write([Change("a", None, None)]))["a"]
        told.wait_for("changed", ("a", removed))
        assert not told.all("lost")

    def test_bumped_versions_are_told(self, perform, told, other):
        perform(other.bump({"tag": "v2", "тег": "v3"}))
        told.wait_for("bumped", ("tag", "v2"))
        told.wait_for("bumped", ("тег", "v3"))

    def test_own_refused_and_unpublished_changes_are_not_told(self, perform, told, tier, other):
        perform(tier.write([Change("own", b"x", None)]))
        perform(tier.bump({"own": "v1"}))
        perform(other.write([Change("refused", b"x", None, lease="not held")]))
        perform(other.write([Change("quiet", b"x", None)], publish=False))
        perform(other.claim(["claimed"], "lease", LEASE_MS))
        perform(other.release(["claimed"], "lease"))
        last = perform(other.write([Change("last", b"x", None)]))["last"]
        told.wait_for("changed", ("last", last))
        assert [kind for kind, _ in told.log] == ["changed"], told.log

    def test_both_of_two_listeners_are_told(self, perform, told, tier, other):
        theirs = Recorder()
        other.listen(theirs)
        theirs.wait_for("live")
        stamp = perform(tier.write([Change("a", b"x", None)]))["a"]
        theirs.wait_for("changed", ("a", stamp))
        stamp = perform(other.write([Change("b", b"x", None)]))["b"]
        told.wait_for("changed", ("b", stamp))

    def test_what_is_told_can_be_read(self, told, tier, other):
        """A reader that looks when it is told finds the state it was told of, or a newer one."""
        for _ in range(30):
            stamp = drive(alone(other.write([Change("a", b"x", None)])))["a"]
            told.wait_for("changed", ("a", stamp))
            assert drive(alone(tier.read(["a"])))["a"].stamp >= stamp

    # -- the whole ----------------------------------------------------------------------------

    def test_a_working_tier_passes_its_probe(self, perform, tier):
        perform(tier.probe())
        assert perform(tier.read(["probe"])) == {}

    def test_stats_are_plain_numbers_and_outlive_the_tier(self, perform, tier):
        perform(tier.write([Change("a", b"x", None)]))
        perform(tier.read(["a"]))
        for _ in range(2):
            numbers = tier.stats()
            assert numbers
            assert all(_is_plain(value) for value in numbers.values()), numbers
            tier.close()

    def test_closing_ends_the_threads(self, perform, tier):
        before = set(threading.enumerate())
        recorder = Recorder()
        tier.listen(recorder)
        recorder.wait_for("live")
        perform(tier.read(["a"]))
        tier.close()
        tier.close()
        deadline = time.monotonic() + PATIENCE
        while left := [
            thread
            for thread in set(threading.enumerate()) - before
            if thread.name.startswith("ohlcache")
        ]:
            assert time.monotonic() < deadline, left
            time.sleep(0.005)

    def test_many_tasks_at_once(self, tier, other):
        async def read_all() -> list[dict[str, Stored]]:
            with ThreadPoolExecutor(4) as threads:
                return await asyncio.gather(
                    *(drive_async(alone(tier.read([key])), threads) for key in keys)
                )

        keys = [f"key {number}" for number in range(200)]
        drive(alone(other.write([Change(key, key.encode(), None) for key in keys])))
        found = asyncio.run(read_all())
        assert [list(states) for states in found] == [[key] for key in keys]
        assert [states[key].data for key, states in zip(keys, found, strict=True)] == [
            key.encode() for key in keys
        ]

    def test_one_event_loop_after_the_other(self, tier):
        for turn in range(3):
            with ThreadPoolExecutor(1) as threads:
                change = Change("a", b"%d" % turn, None)
                asyncio.run(drive_async(alone(tier.write([change])), threads))
                found = asyncio.run(drive_async(alone(tier.read(["a"])), threads))
            assert found["a"].data == b"%d" % turn

    def test_a_forked_child_is_a_process_of_its_own(self, told, tier, other):
        drive(alone(tier.write([Change("parent", b"x", None)])))
        child = os.fork()
        if not child:
            _in_child(tier)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        found = drive(alone(tier.read(["parent", "child"])))
        assert found["child"].data == b"from the child"
        told.wait_for("changed", ("child", found["child"].stamp))
        drive(alone(other.write([Change("later", b"x", None)])))
        told.wait_for("changed", ("later", drive(alone(other.read(["later"])))["later"].stamp))
        assert not told.all("lost")


def _is_plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(each) for key, each in value.items())
    return isinstance(value, int | float)


def _in_child(tier: SharedTier) -> None:
    """Use the tier in a forked child, and end it without the parent's clean-up."""
    code = 1
    try:
        tier.renew_after_fork()
        assert drive(alone(tier.read(["parent"])))["parent"].data == b"x"
        drive(alone(tier.write([Change("child", b"from the child", None)])))
        tier.close()
        code = 0
    except BaseException:  # noqa: BLE001  # pytest's own process must not go on in the child
        traceback.print_exc()
    finally:
        os._exit(code)
