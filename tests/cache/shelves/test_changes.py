"""What a shelf keeps is never older than what became known since the mark."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from ohlcache.cache import CacheManager
from ohlcache.cache.shelves import ALWAYS_NEWER, Note
from ohlcache.cache.shelves.changes import Changes


class Operation:
    """A read or a write of a key: marked, carried out in the tier, kept."""

    def __init__(self, key, mark, is_write):
        self.key, self.mark, self.is_write = key, mark, is_write
        self.stamp = None


class Racing(RuleBasedStateMachine):
    """Reads, writes and words of other processes' changes of a few keys, in any order.

    The tier gives true stamps; a word may come without (ALWAYS_NEWER) but means one.
    """

    most = 1000

    def __init__(self):
        super().__init__()
        self.changes = Changes(self.most)
        self.now = 100
        self.states = dict.fromkeys("abcdef", 100)
        self.words: list[tuple[str, int]] = []
        self.operations: list[Operation] = []
        self.known: list[tuple[int, str, int, bool]] = []  # number, key, true stamp, is told

    keys = st.sampled_from("abcdef")

    def _changed(self, key):
        self.now += 1
        self.states[key] = self.now
        return self.now

    @rule(key=keys)
    def changes_elsewhere(self, key):
        self.words.append((key, self._changed(key)))

    @precondition(lambda self: self.words)
    @rule(data=st.data(), is_told=st.booleans())
    def word_arrives(self, data, is_told):
        at = data.draw(st.integers(0, len(self.words) - 1))
        key, stamp = self.words.pop(at)
        self.changes.note(key, stamp if is_told else ALWAYS_NEWER)
        self.known.append((self.changes.mark(), key, stamp, is_told))

    @rule(key=keys, is_write=st.booleans())
    def begins(self, key, is_write):
        self.operations.append(Operation(key, self.changes.mark(), is_write))

    @precondition(lambda self: any(one.stamp is None for one in self.operations))
    @rule(data=st.data())
    def is_carried_out(self, data):
        one = data.draw(st.sampled_from([o for o in self.operations if o.stamp is None]))
        one.stamp = self._changed(one.key) if one.is_write else self.states[one.key]

    @precondition(lambda self: any(one.stamp is not None for one in self.operations))
    @rule(data=st.data())
    def is_kept(self, data):
        one = data.draw(st.sampled_from([o for o in self.operations if o.stamp is not None]))
        self.operations.remove(one)
        since = [known for known in self.known if known[0] > one.mark and known[1] == one.key]
        is_allowed = self.changes.allow(one.key, one.mark, one.stamp)
        if is_allowed:
            assert all(stamp <= one.stamp for _, _, stamp, _ in since)
        elif self.most >= 1000:
            # A word without a stamp goes on to refuse when an older one with a stamp follows it.
            words = [known for known in self.known if known[1] == one.key]
            assert any(stamp > one.stamp or not is_told for _, _, stamp, is_told in words)
        if is_allowed and one.is_write:
            self.changes.note(one.key, one.stamp, one.mark)
            self.known.append((self.changes.mark(), one.key, one.stamp, True))


class RacingWhileForgetting(Racing):
    most = 2


TestRacing = Racing.TestCase
TestRacingWhileForgetting = RacingWhileForgetting.TestCase
TestRacing.settings = settings(max_examples=100, stateful_step_count=30)
TestRacingWhileForgetting.settings = TestRacing.settings


class TestForgetting:
    def test_a_state_that_is_newer_than_all_that_was_forgotten_is_kept(self):
        changes = Changes(most=3)
        mark = changes.mark()
        for number in range(10):
            changes.note(f"key {number}", 100 + number)
        assert changes.allow("other", mark, 200)
        assert not changes.allow("other", mark, 50)
        assert changes.allow("other", changes.mark(), 50)

    def test_what_came_without_a_stamp_refuses_even_when_it_is_forgotten(self):
        changes = Changes(most=3)
        mark = changes.mark()
        changes.note("a", ALWAYS_NEWER)
        for number in range(3):
            changes.note(f"key {number}", 1)
        assert not changes.allow("a", mark, 200)
        assert changes.allow("a", changes.mark(), 200)


@pytest.fixture
def shelf():
    with CacheManager({}) as cache:
        yield cache.shelf("default")


def note(stamp):
    return Note(stamp, 1e12, 1e12, {})


class TestShelf:
    def test_of_two_writes_after_a_removal_the_newer_stays(self, shelf):
        """The removal's stamp is not known; that must not make the older write win."""
        shelf.drop("k", 0)
        first, second = shelf.mark(), shelf.mark()
        shelf.keep("k", "older", note(10), first, is_change=True)
        shelf.keep("k", "newer", note(11), second, is_change=True)
        assert shelf.entries["k"].value == "newer"

    def test_what_is_older_than_a_refused_state_leaves(self, shelf):
        shelf.keep("k", "oldest", note(10), shelf.mark(), is_change=True)
        mark = shelf.mark()
        shelf.drop("k", 5)  # word of a change before: what is held stays
        assert "k" in shelf.entries
        shelf.drop("other", 0)
        shelf._changes.note("k", 30)  # word of a change that came while nothing was held
        assert shelf.keep("k", "older", note(20), mark) is None
        assert "k" not in shelf.entries

    def test_a_read_that_was_overtaken_is_counted_and_not_kept(self, shelf):
        mark = shelf.mark()
        shelf.drop("k", 20)
        assert shelf.keep("k", "old", note(10), mark) is None
        assert shelf.counters["l1.overtaken"] == 1
        assert shelf.keep("k", "new", note(20), mark) is not None
