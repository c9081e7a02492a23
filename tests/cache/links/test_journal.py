"""The journal remembers what a tier missed, each key and name once, in bounded memory."""

from __future__ import annotations

from ohlcache.cache.links import NAMESPACE
from ohlcache.cache.links.journal import Journal


def test_it_is_empty_after_it_was_taken():
    journal = Journal()
    journal.add(untold=["a", "b", "a"], names=["t:x"])
    assert len(journal) == 3
    assert journal.take() == (set(), {"a", "b"}, {"t:x"})
    assert len(journal) == 0
    assert journal.take() == (set(), set(), set())


def test_what_is_uncertain_stays_so():
    journal = Journal()
    journal.add(uncertain=["a"], untold=["a", "b"])
    journal.add(untold=["a"])
    assert journal.take() == ({"a"}, {"b"}, set())


def test_what_could_not_be_made_good_comes_back():
    journal = Journal()
    journal.add(uncertain=["a"], names=["t:x"])
    missed = journal.take()
    journal.add(untold=["a", "c"])
    journal.add(uncertain=missed.uncertain, untold=missed.untold, names=missed.names)
    assert journal.take() == ({"a"}, {"c"}, {"t:x"})


def test_of_too_many_keys_only_the_fact_is_kept():
    journal = Journal()
    for low in range(0, 150_000, 10_000):
        journal.add(untold=map(str, range(low, low + 10_000)))
        assert len(journal) <= 100_001
    assert journal.take() == (set(), set(), {NAMESPACE})
