from __future__ import annotations

import threading

import pytest

from memory.conftest import MB
from ohlcache.memory.marks import Marks
from ohlcache.memory.pressure import Pressure
from ohlcache.memory.relief import Way
from ohlcache.memory.room import Room

WAIT = 10.0
MARKS = Marks.of(1000 * MB, 0.8, 0.9)


@pytest.fixture
def make_room(process):
    def make(*parts, read=process.read):
        ways = [Way(f"part {number}", number, part.free) for number, part in enumerate(parts)]
        pressure = Pressure(lambda: ways, process.read, process.clock)
        room = Room(pressure, lambda usage: MARKS, read, process.clock, stirs.append_one)
        room.pressure = pressure
        return room

    class Stirs(list):
        def append_one(self):
            self.append(1)

    stirs = make.stirs = Stirs()
    return make


def test_growth_that_would_pass_the_critical_mark_finds_room_made(process, make_room):
    cache = process.part(700)
    room = make_room(cache)

    room.make(100 * MB)
    assert cache.held == 700 * MB
    room.make(300 * MB)

    assert process.rss + 300 * MB <= MARKS.critical
    assert process.rss + 300 * MB > MARKS.critical - 50 * MB  # and no more than needed
    assert room.stats()["held_up"] == 1
    assert room.stats()["unmet"] == 0


def test_what_other_threads_are_taking_counts_until_it_is_seen(process, make_room):
    cache = process.part(600)
    room = make_room(cache)
    announced, over = threading.Barrier(3), threading.Event()

    def grow():
        room.make(100 * MB)
        announced.wait(WAIT)
        over.wait(WAIT)  # so that no other thread gets its number

    threads = [threading.Thread(target=grow) for _ in range(2)]
    for thread in threads:
        thread.start()
    announced.wait(WAIT)
    assert cache.held == 600 * MB

    room.make(100 * MB)

    assert process.rss + 300 * MB <= MARKS.critical
    held = cache.held
    process.now += 5
    room.make(MARKS.admissible - process.rss)  # all that is left: nothing is expected any more
    assert cache.held == held
    over.set()
    for thread in threads:
        thread.join()


def test_a_threads_next_word_replaces_the_one_before(process, make_room):
    cache = process.part(700)
    room = make_room(cache)

    for _ in range(50):
        room.make(100 * MB)

    assert cache.held == 700 * MB


def test_small_announcements_count_when_they_are_many_and_read_nothing(process, make_room):
    reads = []

    def read():
        reads.append(1)
        return process.read()

    room = make_room(read=read)

    for _ in range(1023):
        room.make(1024)
    assert reads == []
    room.make(1024)
    assert len(reads) == 1
    assert room.stats()["announced"] == 1


def test_nearing_the_warning_mark_has_the_memory_looked_at(process, make_room):
    process.fixed = 750 * MB
    room = make_room()

    room.make(10 * MB)
    assert not make_room.stirs
    for _ in range(5):
        room.make(100 * MB)

    assert len(make_room.stirs) == 1  # not each time


def test_with_nothing_to_get_nobody_is_held_up_again_and_again(process, make_room):
    process.fixed = 950 * MB
    part = process.part(0)
    room = make_room(part)

    for _ in range(100):
        room.make(20 * MB)

    assert len(part.asked) == 1
    assert room.stats()["unmet"] == 100


def test_a_lock_that_both_want_holds_nobody_up_for_long(process, make_room):
    """The caller of a part has a lock, and so has to get it whoever is asked for memory."""
    lock = threading.Lock()

    def locked():
        with lock:
            pass

    cache = process.part(800, does=locked)
    room = make_room(cache)

    with lock:
        room.make(200 * MB)  # returns

    assert room.stats()["unmet"] == 1
    for _ in range(1000):
        if process.rss <= MARKS.admissible - 200 * MB:
            break
        threading.Event().wait(0.005)
    assert cache.held < 800 * MB  # it was given once the lock was free


def test_a_part_that_needs_memory_to_give_some_is_let_through(process, make_room):
    room = make_room()
    cache = process.part(800, does=lambda: room.make(500 * MB))
    room.pressure._ways = lambda: [Way("cache", 1, cache.free)]

    room.make(200 * MB)

    assert room.stats()["unmet"] == 0
    assert process.rss + 200 * MB <= MARKS.critical
