from __future__ import annotations

import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory.conftest import MB, Process
from ohlcache.memory.pressure import Pressure
from ohlcache.memory.relief import PATIENCE, Relief, Step, Way, is_asking
from ohlcache.memory.reputation import Reputation
from ohlcache.memory.ways import COLLECTION

WAIT = 10.0  # seconds at most, for what happens at once


def ways_of(*parts):
    return [Way(f"part {number}", number, part.free) for number, part in enumerate(parts)]


def relieve(process, target_mb, *parts):
    witness = make_pressure(process)
    relief = Relief(target_mb * MB, ways_of(*parts), process.read, process.clock, witness)
    relief.run()
    return relief


def make_pressure(process, *parts):
    return Pressure(lambda: ways_of(*parts), process.read, process.clock)


def test_nobody_is_asked_for_more_than_is_wanted(process):
    first, second, third = process.part(30), process.part(300), process.part(300)

    relief = relieve(process, 600, first, second, third)

    assert process.rss == 600 * MB
    assert (first.held, second.held, third.held) == (0, 250 * MB, 300 * MB)
    assert first.asked == [80 * MB, 50 * MB]  # again, because it had kept its word
    assert second.asked == [50 * MB]
    assert third.asked == []
    assert [(step.name, step.recovered) for step in relief.steps] == [
        ("part 0", 30 * MB), ("part 0", 0), ("part 1", 50 * MB)
    ]  # fmt: skip


@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(1, 40)), max_size=6),
    st.integers(0, 900),
)
def test_a_relief_reaches_its_target_or_everything_was_given(parts, target):
    process = Process()
    made = [process.part(held, piece=piece * MB) for held, piece in parts]
    before = process.rss

    relief = relieve(process, target, *made)

    assert relief.after == process.rss
    assert relief.recovered == before - process.rss
    assert relief.is_met == (process.rss <= target * MB)
    if not relief.is_met:
        assert process.rss == process.fixed
    elif relief.steps:  # never more than needed, but for what is in one piece
        assert process.rss > target * MB - 40 * MB


def test_claims_that_rss_does_not_confirm_are_not_asked_for_again(process):
    boaster, honest = process.part(100, claims=90 * MB), process.part(100)

    relief = relieve(process, 200, boaster, honest)

    assert boaster.asked == [50 * MB]
    assert relief.is_met
    assert (relief.steps[0].claimed, relief.steps[0].recovered) == (90 * MB, 0)


def test_a_part_that_raises_does_not_stop_the_others(process, caplog):
    broken, honest = process.part(100, raises=KeyError("x")), process.part(100)
    pressure = make_pressure(process, broken, honest)

    for target in (220, 210):
        relief = pressure.request(target * MB)
        assert relief.done.wait(WAIT)

    assert process.rss == 210 * MB
    wait_for(lambda: pressure.stats()["reliefs"] == 2)
    assert pressure.stats()["errors"] == {"part 0": 2}
    assert "KeyError: 'x'" in pressure.stats()["steps"][0]["error"]
    assert [record.message for record in caplog.records].count(caplog.records[0].message) == 1


def test_one_relief_at_a_time_which_takes_the_lowest_target(process):
    asked, go_on = threading.Event(), threading.Event()

    def hold():
        asked.set()
        go_on.wait(WAIT)

    part = process.part(500, does=hold)
    pressure = make_pressure(process, part)
    first = pressure.request(500 * MB)
    asked.wait(WAIT)

    second = pressure.request(400 * MB)
    third = pressure.request(450 * MB)
    go_on.set()

    assert first is second is third
    assert first.done.wait(WAIT)
    assert process.rss == 400 * MB


def test_who_asks_some_only_waits_for_the_relief_under_way_and_leaves_its_target(process):
    asked, go_on = threading.Event(), threading.Event()

    def hold():
        asked.set()
        go_on.wait(WAIT)

    part, own = process.part(500, does=hold), process.part(100)
    pressure = make_pressure(process, part)
    first = pressure.request(600 * MB)
    asked.wait(WAIT)

    second = pressure.request(0, [Way("own", 0, own.free)])

    assert second is not first
    assert own.asked == []
    go_on.set()
    assert second.done.wait(WAIT)
    assert (part.held, own.held) == (450 * MB, 0)


def test_what_everybody_is_asked_for_does_not_wait_for_who_asks_some_only(process):
    asked, go_on = threading.Event(), threading.Event()

    def hold():
        asked.set()
        go_on.wait(WAIT)

    part, own = process.part(500), process.part(100, does=hold)
    pressure = make_pressure(process, part)
    some = pressure.request(0, [Way("own", 0, own.free)])
    asked.wait(WAIT)

    assert pressure.request(600 * MB).done.wait(WAIT)

    assert not some.done.is_set()
    go_on.set()
    assert some.done.wait(WAIT)


def test_a_part_that_wants_to_exit_ends_nothing(process, caplog):
    exiting, honest = process.part(100, raises=SystemExit(3)), process.part(100)
    pressure = make_pressure(process, exiting, honest)

    assert pressure.request(200 * MB).done.wait(WAIT)

    assert process.rss == 200 * MB
    wait_for(lambda: "SystemExit" in caplog.text)
    assert pressure.stats()["errors"] == {"part 0": 1}


def test_a_part_may_ask_for_memory_while_it_is_asked(process):
    pressure = make_pressure(process)
    answers = []
    part = process.part(100, does=lambda: answers.append(pressure.request(0)))
    pressure._ways = lambda: ways_of(part)

    relief = pressure.request(100 * MB)

    assert relief.done.wait(WAIT)
    assert answers == [None]
    wait_for(lambda: pressure.stats()["reentered"] == 1)


def test_reliefs_in_vain_are_put_off_ever_longer_until_there_is_more_to_get(process):
    part = process.part(0)
    pressure = make_pressure(process, part)
    reliefs = 0
    for _ in range(600):  # a minute of looks
        relief = pressure.request(10 * MB)
        if relief is not None:
            assert relief.done.wait(WAIT)
            wait_for(lambda before=reliefs: pressure.stats()["reliefs"] > before)
            reliefs += 1
        process.now += 0.1
    assert reliefs <= 11
    assert pressure.is_in_vain

    part.held = 100 * MB  # the process has grown
    relief = pressure.request(60 * MB)

    assert relief.done.wait(WAIT)
    assert process.rss == 60 * MB
    wait_for(lambda: not pressure.is_in_vain)


def test_what_takes_time_and_gives_nothing_is_asked_last_for_a_while(process):
    def take_time():
        process.now += 0.2

    useless, useful = process.part(100, does=take_time, claims=0), process.part(500)
    pressure = make_pressure(process, useless, useful)
    for target in (600, 590, 580):
        before = pressure.stats()["reliefs"]
        assert pressure.request(target * MB).done.wait(WAIT)
        wait_for(lambda before=before: pressure.stats()["reliefs"] > before)
    assert len(useless.asked) == 1
    assert process.rss == 580 * MB

    useful.held = 0  # nobody else has anything
    assert pressure.request(50 * MB).done.wait(WAIT)
    wait_for(lambda: pressure.stats()["reliefs"] == 4)
    assert len(useless.asked) == 2

    process.now += 30
    useful.held = 500 * MB
    assert pressure.request(600 * MB).done.wait(WAIT)
    assert len(useless.asked) == 3


def test_a_collection_that_found_nothing_is_not_repeated_at_once(process):
    reputation = Reputation(process.clock)

    def names():
        return [way.name for way in reputation.ordered([*ways_of(process.part(1)), COLLECTION])]

    both = ["part 0", COLLECTION.name]
    assert names() == both
    reputation.note([Step(COLLECTION.name, 100 * MB, None, MB, seconds=0.1)])
    assert names() == ["part 0"]
    process.now += 5.01
    assert names() == both
    reputation.note([Step(COLLECTION.name, 100 * MB, None, MB, seconds=0.1)])
    process.now += 5.01
    assert names() == ["part 0"]
    process.now += 5.01
    reputation.note([Step(COLLECTION.name, 100 * MB, None, 50 * MB, seconds=0.1)])
    assert names() == both


def compressing(process, held_mb, does, claims=None):
    part = process.part(held_mb, does=does, claims=claims)
    return part, Way("compress", 10, part.free, takes_time=True, patience=10.0)


def test_what_works_for_nothing_rests_though_rss_fell_meanwhile(process):
    """By its own account it let go of nothing; what others gave is not its merit."""
    cache = process.part(500)

    def work():
        process.now += 0.3
        cache.held -= 20 * MB  # of somebody else's doing

    part, compress = compressing(process, 100, work, claims=0)
    pressure = Pressure(
        lambda: [compress, Way("evict", 20, cache.free)], process.read, process.clock
    )
    for target in (600, 580, 560, 100):
        relieve_by(pressure, target)
        process.now += 3

    assert len(part.asked) == 1

    process.now += 15 - 4 * 3  # 50 times what it took
    relieve_by(pressure, 80)
    assert len(part.asked) == 2


@pytest.mark.parametrize(("claimed", "seconds", "rests"), [
    (0, 0.3, True), (7 * MB, 0.1, False), (2 * MB, 2.0, True), (0, 0.001, False)
])  # fmt: skip
def test_a_way_rests_that_brought_little_for_its_time(process, claimed, seconds, rests):
    reputation = Reputation(process.clock)
    _, way = compressing(process, 1, lambda: None)
    others_took = -500 * MB

    reputation.note([Step(way.name, 8 * MB, claimed, others_took, seconds)])

    assert reputation.ordered([way]) == ([] if rests else [way])


def test_evicting_is_not_put_last_where_others_take_at_once_what_it_frees(process):
    reputation = Reputation(process.clock)
    evict, other = ways_of(process.part(1), process.part(1))

    reputation.note([Step(evict.name, 100 * MB, 100 * MB, -5 * MB, seconds=0.05)])

    assert reputation.ordered([evict, other]) == [evict, other]


def test_where_somebody_waits_what_takes_time_comes_after_evicting(process):
    cache = process.part(300)
    part, compress = compressing(process, 100, lambda: None)
    pressure = Pressure(
        lambda: [compress, Way("evict", 20, cache.free)], process.read, process.clock
    )

    relieve_by(pressure, 200, is_urgent=True)

    assert part.asked == []
    assert cache.held == 50 * MB
    relieve_by(pressure, 60, is_urgent=True)
    assert cache.held == 0
    assert part.held < 100 * MB


def test_reliefs_are_not_in_vain_while_any_way_of_the_newest_minute_brought_something(process):
    taken = process.part(0)

    def take_it_at_once():
        taken.held += 100 * MB

    cache, last = process.part(100), process.part(0, does=take_it_at_once)
    pressure = make_pressure(process, cache, last)

    relief = relieve_by(pressure, 20)

    assert relief.before == relief.after
    assert not relief.is_in_vain
    assert not pressure.is_in_vain

    last._does = lambda: None
    assert relieve_by(pressure, 20).is_in_vain
    assert not pressure.is_in_vain
    process.now += 61
    assert pressure.is_in_vain


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_child_forked_by_a_part_that_is_asked_may_wait_for_memory(process):
    outcomes = []

    def fork():
        child = os.fork()
        if not child:
            os._exit(3 if is_asking() else 0)
        outcomes.append((os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), is_asking()))

    relieve_by(make_pressure(process, process.part(100, does=fork)), 100)

    assert outcomes == [(0, True)]


class Hanging:
    """A part that hangs, while it is told to."""

    def __init__(self, process, held_mb):
        self._may_go_on = threading.Event()
        self._hangs = threading.Event()
        self.part = process.part(held_mb, does=self._hang)
        self.asked = self.part.asked

    def _hang(self):
        self._hangs.set()
        assert self._may_go_on.wait(WAIT)

    def wait_for(self):
        assert self._hangs.wait(WAIT)

    def come_back(self):
        self._may_go_on.set()


def test_a_part_that_hangs_is_left_and_the_same_relief_goes_on(process, caplog):
    hanging, honest = Hanging(process, 100), process.part(500)
    pressure = make_pressure(process, hanging.part, honest)
    relief = pressure.request(500 * MB)
    hanging.wait_for()
    assert not relief.done.wait(0.1)
    assert pressure.stats()["hanging"] == []
    process.now += PATIENCE

    assert relief.done.wait(WAIT)

    assert process.rss == 500 * MB
    assert pressure.hanging == ["part 0"]
    assert "part 0" in caplog.text
    wait_for(lambda: pressure.stats()["reliefs"] == 1)

    relieve_by(pressure, 400)  # as everybody else does
    assert process.rss == 400 * MB
    assert len(hanging.asked) == 1

    process.now += 5
    hanging.come_back()
    wait_for(lambda: pressure.stats()["hanging"] == [])
    assert process.rss == 300 * MB
    assert pressure.stats()["recovered_bytes"] == {"part 0": 100 * MB, "part 1": 250 * MB}
    hanging.part.held = 100 * MB
    process.now += 600
    relieve_by(pressure, 300)
    assert len(hanging.asked) == 2


def test_what_comes_back_while_the_relief_runs_spares_the_others(process):
    hanging, slow = Hanging(process, 100), Hanging(process, 100)
    third = process.part(300)
    pressure = make_pressure(process, hanging.part, slow.part, third)
    relief = pressure.request(350 * MB)
    hanging.wait_for()
    process.now += PATIENCE
    slow.wait_for()
    hanging.come_back()
    wait_for(lambda: pressure.hanging == [])
    slow.come_back()

    assert relief.done.wait(WAIT)

    assert process.rss == 350 * MB
    assert third.asked == []
    wait_for(lambda: pressure.stats()["reliefs"] == 1)
    assert sum(pressure.stats()["recovered_bytes"].values()) == 200 * MB


def test_when_all_hang_the_relief_is_over_all_the_same(process):
    hanging = [Hanging(process, 100) for _ in range(3)]
    pressure = make_pressure(process, *(one.part for one in hanging))
    relief = pressure.request(0)
    for one in hanging:
        one.wait_for()
        process.now += PATIENCE

    assert relief.done.wait(WAIT)

    assert pressure.hanging == ["part 0", "part 1", "part 2"]
    for one in hanging:
        one.come_back()
    wait_for(lambda: pressure.hanging == [])


def test_who_asks_some_only_does_not_ask_who_hangs(process):
    hanging = Hanging(process, 100)
    way = Way("part 0", 0, hanging.part.free)
    pressure = Pressure(lambda: [way], process.read, process.clock)
    first = pressure.request(0)
    hanging.wait_for()
    second = pressure.request(0, [way])
    process.now += PATIENCE

    assert first.done.wait(WAIT)
    assert second.done.wait(WAIT)

    assert len(hanging.asked) == 1
    hanging.come_back()
    wait_for(lambda: pressure.hanging == [])


def test_what_works_is_waited_for_longer(process):
    hanging = Hanging(process, 100)
    way = Way("compress", 10, hanging.part.free, takes_time=True, patience=10.0)
    pressure = Pressure(lambda: [way], process.read, process.clock)
    relief = pressure.request(0)
    hanging.wait_for()
    process.now += PATIENCE + 1

    assert not relief.done.wait(0.2)

    process.now += 10
    assert relief.done.wait(WAIT)
    assert pressure.hanging == ["compress"]
    hanging.come_back()
    wait_for(lambda: pressure.hanging == [])


def relieve_by(pressure, target_mb, **how):
    reliefs = pressure.stats()["reliefs"]
    relief = pressure.request(target_mb * MB, **how)
    assert relief.done.wait(WAIT)
    wait_for(lambda: pressure.stats()["reliefs"] > reliefs)
    return relief


def wait_for(condition):
    deadline = threading.Event()
    for _ in range(1000):
        if condition():
            return
        deadline.wait(0.005)
    raise AssertionError("did not happen")
