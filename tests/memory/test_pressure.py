from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from memory.conftest import MB, Process
from ohlcache.memory import pressure as pressure_module
from ohlcache.memory.pressure import Pressure
from ohlcache.memory.relief import Relief, Step, Way
from ohlcache.memory.reputation import Reputation
from ohlcache.memory.ways import COLLECTION

WAIT = 10.0  # seconds at most, for what happens at once


def ways_of(*parts):
    return [Way(f"part {number}", number, part.free) for number, part in enumerate(parts)]


def relieve(process, target_mb, *parts):
    relief = Relief(target_mb * MB, ways_of(*parts), process.read, process.clock)
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

    process.now += 10
    useful.held = 500 * MB
    assert pressure.request(600 * MB).done.wait(WAIT)
    assert len(useless.asked) == 3


def test_a_collection_that_found_nothing_is_not_repeated_at_once(process):
    reputation = Reputation(process.clock)

    def names():
        return [way.name for way in reputation.ordered([*ways_of(process.part(1)), COLLECTION])]

    both = ["part 0", COLLECTION.name]
    assert names() == both
    reputation.note([Step(COLLECTION.name, 100 * MB, 0, MB, seconds=0.1)])
    assert names() == ["part 0"]
    process.now += 1.01
    assert names() == both
    reputation.note([Step(COLLECTION.name, 100 * MB, 0, MB, seconds=0.1)])
    process.now += 1.01
    assert names() == ["part 0"]
    process.now += 1.01
    reputation.note([Step(COLLECTION.name, 100 * MB, 0, 50 * MB, seconds=0.1)])
    assert names() == both


def test_a_part_that_hangs_is_written_off_until_it_comes_back(process, caplog):
    hangs, come_back = threading.Event(), threading.Event()

    def hang():
        if not come_back.is_set():
            hangs.set()
            come_back.wait(WAIT)

    hanging, honest = process.part(100, does=hang), process.part(500)
    pressure = make_pressure(process, hanging, honest)
    stuck = pressure.request(500 * MB)
    assert hangs.wait(WAIT)
    process.now += pressure_module.HANGS_AFTER + 1

    relief = pressure.request(500 * MB)

    assert relief is not stuck
    assert relief.done.wait(WAIT)
    assert process.rss == 500 * MB
    assert pressure.stats()["hanging"] == ["part 0"]
    assert "part 0" in caplog.text

    come_back.set()
    assert stuck.done.wait(WAIT)
    wait_for(lambda: pressure.stats()["hanging"] == [])
    relief = pressure.request(300 * MB)
    assert relief.done.wait(WAIT)
    assert hanging.asked[-1] > 0
    assert process.rss == 300 * MB


def wait_for(condition):
    deadline = threading.Event()
    for _ in range(1000):
        if condition():
            return
        deadline.wait(0.005)
    raise AssertionError("did not happen")
