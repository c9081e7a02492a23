"""URLs, namespaces and limits; and what processes tell each other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohlcache.cache.database import DatabaseTier, notices
from ohlcache.cache.database.tables import LONGEST_KEY, stored_key
from ohlcache.cache.tiers import Change
from ohlcache.errors import InvalidArgument
from ohlcache.urls import masked

SOME_TEXT = st.text(st.characters(), max_size=50)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "names no database"),
        ("cache.db", "names no database"),
        ("mysql://u:secret@h/d", "names no database"),
        ("sqlite://", "has no path"),
        ("sqlite:///", "has no path"),
        ("sqlite://host/path", "has no path"),
        ("sqlite:///:memory:", "is not shared"),
        ("sqlite:///cache.db?mode=ro", "has parameters"),
        ("postgresql://u:secret@h:port/d", "is not understood"),
        (None, "is not text"),
    ],
)
def test_urls_that_cannot_be_used(url, reason):
    with pytest.raises(InvalidArgument, match=rf"^cache\.l3\.url .* {reason}.*: give ") as refused:
        DatabaseTier(url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:secret@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u:p@ss@h/d?a=b", "postgresql://u:***@h/d?a=b"),
        ("postgresql://h/d?a=b&password=secret&c=d", "postgresql://h/d?a=b&password=***&c=d"),
        ("postgresql://h:5432/d?x=a@b", "postgresql://h:***@b"),  # it may be a password
        ("sqlite:///cache.db", "sqlite:///cache.db"),
    ],
)
def test_passwords_are_not_shown(url, shown):
    assert masked(url) == shown


def test_three_slashes_are_relative_and_four_absolute(tmp_path, monkeypatch, open_tier):
    monkeypatch.chdir(tmp_path)
    open_tier("sqlite:///near.db")
    open_tier(f"sqlite:///{tmp_path / 'far' / 'away.db'}")
    assert (tmp_path / "near.db").is_file()
    assert (tmp_path / "far" / "away.db").is_file()


@pytest.mark.parametrize(
    "options", [{"namespace": ""}, {"max_bytes": 0}, {"timeout_seconds": 0}], ids=str
)
def test_other_arguments_are_checked(sqlite_url, options):
    with pytest.raises(InvalidArgument, match=next(iter(options))):
        DatabaseTier(sqlite_url, **options)


def test_namespaces_know_nothing_of_each_other(open_tier, url):
    one, two = open_tier(url, namespace="one"), open_tier(url, namespace="two")
    one.write([Change("a", b"1", None)])()
    two.write([Change("a", b"2", None)])()
    assert (one.read(["a"])()["a"].data, two.read(["a"])()["a"].data) == (b"1", b"2")
    assert one.claim(["b"], "mine", 1000)()["b"].is_held
    assert two.claim(["b"], "theirs", 1000)()["b"].is_held
    assert one.versions(["tag"])() != two.versions(["tag"])()


@given(
    changes=st.dictionaries(st.text(max_size=3000), st.integers(0, 2**62), max_size=20),
    versions=st.dictionaries(SOME_TEXT, SOME_TEXT, max_size=20),
)
def test_notices_say_what_changed_in_little_space(changes, versions):
    texts = notices.encode("me", changes, versions)
    assert all(text.isascii() and "\0" not in text and len(text) <= 7900 for text in texts)
    assert len(texts) <= notices.MOST
    said = [notices.decode(text) for text in texts]
    assert {notice.origin for notice in said} <= {"me"}
    if any(notice.is_all for notice in said):
        assert len(said) == 1
        return
    assert dict(change for notice in said for change in notice.changes) == changes
    assert {name: v for notice in said for name, v in notice.versions.items()} == versions


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"origin": 1, "changes": 5}'])
def test_a_notice_that_is_not_understood_means_anything(text):
    assert notices.decode(text).is_all


@given(st.lists(st.text(max_size=20).map(lambda text: text * 100), unique=True, max_size=10))
def test_stored_keys_are_short_and_different(keys):
    stored = [stored_key(key) for key in keys]
    assert len(set(stored)) == len(keys)
    assert all(len(key) <= LONGEST_KEY for key in stored)
