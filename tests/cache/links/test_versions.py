"""Versions, trust and stamps: nothing that became known late passes for what is in force."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from cache.links.fake_tier import FakeTier, linked
from ohlcache.cache.links import Authority, Stamps, Trust, Versions
from ohlcache.drive import drive


@pytest.fixture
def versions():
    return Versions()


def carry_on(walk, answer):
    """Send a walk the answer to its last step, and carry out those that follow."""
    with suppress(StopIteration):
        while True:
            answer = walk.send(answer)()


class TestVersions:
    def test_what_the_tier_answers_is_in_force(self, versions):
        assert versions.unknown(["a", "b"]) == ["a", "b"]
        versions.learn({"a": "1"}, versions.mark())
        assert versions.unknown(["a", "b"]) == ["b"]
        assert versions.are_in_force({"a": "1"})
        assert not versions.are_in_force({"a": "2"})
        assert not versions.are_in_force({"a": "1", "b": "1"})
        assert versions.are_in_force({})

    def test_word_of_a_change_makes_a_version_unknown(self, versions):
        versions.learn({"a": "1"}, versions.mark())
        versions.change({"a": "2"})
        assert versions.unknown(["a"]) == ["a"]
        assert not versions.are_in_force({"a": "2"})
        assert versions.match({"a": "2"})  # as far as is known, when nobody can be asked
        assert not versions.match({"a": "1"})

    def test_an_answer_from_before_the_change_is_refused(self, versions):
        mark = versions.mark()
        versions.change({"a": "2"})
        versions.learn({"a": "1", "b": "1"}, mark)
        assert versions.unknown(["a", "b"]) == ["a"]

    def test_doubt_has_everything_asked_again(self, versions):
        versions.learn({"a": "1"}, versions.mark())
        mark = versions.mark()
        versions.doubt()
        versions.learn({"a": "1"}, mark)
        assert versions.unknown(["a"]) == ["a"]
        versions.learn({"a": "1"}, versions.mark())
        assert versions.are_in_force({"a": "1"})

    def test_a_name_that_nobody_knows_keeps_the_version_it_is_given(self, versions):
        first = versions.of(["a", "b"])
        assert versions.of(["a", "b"]) == first
        assert len(set(first.values())) == 2

    def test_tags_without_end_take_bounded_memory(self, versions):
        for number in range(0, 350_000, 1000):
            names = [f"t:{name}" for name in range(number, number + 1000)]
            versions.learn(dict.fromkeys(names, "1"), versions.mark())
            versions.change(dict.fromkeys(names[:500], "2"))
        held = sum(map(len, (versions._known, versions._last, versions._changed)))
        assert held < 400_000
        versions.learn({"a": "3"}, versions.mark())
        assert versions.are_in_force({"a": "3"})


class Heard(RuleBasedStateMachine):
    """One name that several processes change, with words and answers that come in any order."""

    def __init__(self):
        super().__init__()
        self.versions = Versions()
        self.now = 0  # the version in force, by number
        self.words: list[int] = []  # on their way here
        self.heard = 0
        self.asked: list[tuple[int, int | None]] = []  # (mark, answer)

    def known(self):
        return [n for n in range(self.now + 1) if self.versions.are_in_force({"a": str(n)})]

    @rule()
    def changes_elsewhere(self):
        self.now += 1
        self.words.append(self.now)

    @precondition(lambda self: self.words)
    @rule(data=st.data())
    def word_arrives(self, data):
        version = self.words.pop(data.draw(st.integers(0, len(self.words) - 1)))
        self.versions.change({"a": str(version)})
        self.heard = max(self.heard, version)

    @rule()
    def asks(self):
        self.asked.append((self.versions.mark(), None))

    @precondition(lambda self: any(answer is None for _, answer in self.asked))
    @rule()
    def tier_answers(self):
        at = next(n for n, (_, answer) in enumerate(self.asked) if answer is None)
        self.asked[at] = self.asked[at][0], self.now

    @precondition(lambda self: any(answer is not None for _, answer in self.asked))
    @rule(data=st.data())
    def answer_arrives(self, data):
        there = [n for n, (_, answer) in enumerate(self.asked) if answer is not None]
        mark, answer = self.asked.pop(data.draw(st.sampled_from(there)))
        self.versions.learn({"a": str(answer)}, mark)
        self.check()

    @rule()
    def connection_is_lost(self):
        self.versions.doubt()
        assert self.known() == []

    def check(self):
        for version in self.known():
            assert version >= self.heard
        if not self.words and self.known():
            assert self.heard <= self.known()[0] <= self.now

    def teardown(self):
        for version in self.words:
            self.versions.change({"a": str(version)})
        for mark, answer in self.asked:
            if answer is not None and self.words:
                self.versions.learn({"a": str(answer)}, mark)
        # Every word has come: whatever was not told here is asked for, and is in force.
        if self.words:
            assert self.known() in ([], [self.now])
        mark = self.versions.mark()
        self.versions.learn({"a": str(self.now)}, mark)
        assert self.known() == [self.now]


TestHeard = Heard.TestCase
TestHeard.settings = settings(max_examples=100, stateful_step_count=20)


class TestAuthority:
    @pytest.fixture
    def tier(self):
        return FakeTier()

    @pytest.fixture
    def link(self, tier):
        made = linked(tier)
        made.trust.resume()
        return made

    @pytest.fixture
    def changed(self):
        return []

    @pytest.fixture
    def authority(self, link, versions, changed):
        return Authority([link], versions, lambda: changed.append(1))

    def test_it_asks_once(self, authority, tier, versions):
        drive(authority.learn(["a", "b"]))
        assert authority.vouches_for(tier.held)
        tier.is_broken = True
        drive(authority.learn(["a", "b"]))
        assert authority.vouches_for(tier.held)

    def test_while_changes_may_be_missed_it_asks_every_time(self, authority, link, tier):
        drive(authority.learn(["a"]))
        link.trust.lose()
        assert not authority.vouches_for(tier.held)
        tier.held["a"] = "changed unheard"
        drive(authority.learn(["a"]))
        assert authority.versions.are_in_force({"a": "changed unheard"})

    @pytest.mark.parametrize("is_read_before", [True, False])
    def test_a_bump_during_learning_counts_whatever_the_order(
        self, authority, tier, versions, is_read_before
    ):
        """The tier is read before or after it is changed; the answer always arrives last."""
        drive(authority.learn(["a"]))
        before = dict(tier.held)
        versions.doubt()
        learning = authority.learn(["a"])
        read = next(learning)
        answer = read() if is_read_before else None
        drive(authority.bump({"a": "new"}))
        if answer is None:
            answer = read()
        carry_on(learning, answer)
        assert not authority.vouches_for(before)
        assert authority.vouches_for({"a": "new"})

    @pytest.mark.parametrize("is_made_before", [True, False])
    def test_learning_during_a_bump_counts_for_nothing(
        self, authority, tier, versions, is_made_before
    ):
        """The other way round: all of the learning happens while the change is being made."""
        drive(authority.learn(["a"]))
        before = dict(tier.held)
        bumping = authority.bump({"a": "new"})
        write = next(bumping)
        if is_made_before:
            write()
        drive(authority.learn(["a"]))
        if not is_made_before:
            write()
        with pytest.raises(StopIteration):
            bumping.send(None)
        assert not authority.vouches_for(before)
        assert versions.match({"a": "new"})

    def test_an_answer_that_was_overtaken_is_asked_for_again(self, authority, link, tier, versions):
        """As when the connection that tells of changes is made while the first value is stored."""
        learning = authority.learn(["a"])
        answer = next(learning)()
        versions.doubt()
        carry_on(learning, answer)
        assert authority.vouches_for(tier.held)
        assert versions.of(["a"]) == tier.held

    def test_whoever_holds_entries_is_told_before_and_after_the_tier(self, authority, changed):
        bumping = authority.bump({"a": "new"})
        next(bumping)
        assert len(changed) == 1
        with pytest.raises(StopIteration):
            bumping.send(None)
        assert len(changed) == 2

    def test_the_next_tier_answers_for_one_that_is_broken(self, versions):
        upper, lower = FakeTier(), FakeTier()
        links = [linked(upper, "l2"), linked(lower, "l3")]
        authority = Authority(links, versions, lambda: None)
        drive(authority.learn(["a"]))
        assert lower.held == upper.held  # so that it may answer
        upper.is_broken = True
        versions.doubt()
        drive(authority.learn(["a"]))
        assert versions.are_in_force(lower.held)

    def test_without_tiers_this_process_says(self, versions):
        authority = Authority([], versions, lambda: None)
        drive(authority.learn(["a"]))
        held = versions.of(["a"])
        assert authority.vouches_for(held)
        drive(authority.bump({"a": "new"}))
        assert not authority.vouches_for(held)
        drive(authority.learn(["a"]))
        assert authority.vouches_for({"a": "new"})


class TestTrust:
    def test_a_changed_version_begins_an_epoch_of_the_same_era(self):
        trust = Trust(is_live=True)
        first = trust.epoch
        trust.begin_epoch()
        assert trust.epoch is not first
        assert (trust.epoch.era, trust.epoch.is_live) == (first.era, True)

    def test_a_loss_begins_an_era_and_so_does_its_end(self):
        trust = Trust(is_live=True)
        eras = [trust.epoch.era]
        trust.lose()
        assert not trust.epoch.is_live
        eras.append(trust.epoch.era)
        trust.begin_epoch()
        assert not trust.epoch.is_live
        trust.resume()
        assert trust.epoch.is_live
        eras.append(trust.epoch.era)
        assert len(set(eras)) == 3
        assert trust.losses == 1


class TestStamps:
    def test_they_are_microseconds_that_grow_whatever_the_clock_does(self):
        moments = iter([100.0, 100.0, 99.0, 100.000_000_5, 200.0])
        stamps = Stamps(lambda: next(moments))
        given = [stamps.next() for _ in range(5)]
        assert given == [100_000_000, 100_000_001, 100_000_002, 100_000_003, 200_000_000]

    def test_no_two_threads_get_the_same(self):
        stamps = Stamps(lambda: 1.0)
        with ThreadPoolExecutor(4) as threads:
            given = threads.map(lambda _: [stamps.next() for _ in range(1000)], range(4))
        every = [stamp for some in given for stamp in some]
        assert len(set(every)) == 4000
