"""Passwords in URLs: never shown, and never taken for another part of the URL."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ohlcache.cache.redis.location import parse_location
from ohlcache.errors import InvalidArgument
from ohlcache.postgres import parameters
from ohlcache.urls import masked

PASSWORDS = st.text("aZ9-_.!~*'\"()+,;:=&/?#@%[] \n", min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("mysql://bot:SECRET@h/x", "mysql://bot:***@h/x"),
        ("postgresql+psycopg://bot:SECRET@h:1/x?a=b", "postgresql+psycopg://bot:***@h:1/x?a=b"),
        ("POSTGRESQL://bot:SECRET@h/x", "POSTGRESQL://bot:***@h/x"),
        ("postgresql:bot:SECRET@h/x", "postgresql:bot:***@h/x"),
        ("redis://:SECRET@h/0", "redis://:***@h/0"),
        ("redis://u@domain:SECRET@h/0", "redis://u@domain:***@h/0"),
        ("redis+sentinel://:SECRET@h:1,i:2/s", "redis+sentinel://:***@h:1,i:2/s"),
        ("postgresql:///x?user=u&PASSWORD=SEC#RET&a=b", "postgresql:///x?user=u&PASSWORD=***&a=b"),
        ("postgresql://u@h:5432/x", "postgresql://u@h:5432/x"),
        ("sqlite:////srv/a:b/c.db", "sqlite:////srv/a:b/c.db"),
        ("s3://bucket/a:b", "s3://bucket/a:b"),
        ("/srv/a:b:c@d", "/srv/a:b:c@d"),
    ],
)
def test_all_but_the_password_is_shown(url, shown):
    assert masked(url) == shown


@given(PASSWORDS, st.sampled_from(["postgresql", "redis", "rediss+cluster", "x+y.z", "ftp"]))
def test_any_password_is_masked_as_a_whole(password, scheme):
    assert masked(f"{scheme}://bot:{password}@h/x") == f"{scheme}://bot:***@h/x"


def _refusal(read, url):
    """What is said of a URL; nothing where it is taken."""
    try:
        read(url)
    except ValueError as error:  # InvalidArgument is one
        return str(error)
    return ""


@pytest.mark.parametrize("between", ["/", "@", "?", "#", "%", "[", "]", "/?", "@/", "?@", "=/"])
@pytest.mark.parametrize("first", ["SEC", "123"])  # which may pass for a port
def test_what_is_said_of_a_url_holds_no_part_of_its_password(between, first):
    of_postgres = _refusal(
        lambda url: parameters(url, 1), f"postgresql://bot:{first}{between}RET@h/0"
    )
    of_redis = _refusal(parse_location, f"redis://bot:{first}{between}RET@h/0")
    for told in filter(None, (of_postgres, of_redis)):
        assert "percent-encoded: %2F for /, %40 for @" in told
        assert not any(word in told for word in ("SEC", "RET", "123"))
    assert of_postgres or between in "?#[]"
    assert of_redis or between in "@%"


@given(PASSWORDS)
@example("12/E@x")
@example("12?34")
@example("a@b")
@example("a?b@c")
def test_postgres_connects_to_the_host_behind_the_password_or_not_at_all(password):
    try:
        read = parameters(f"postgresql://bot:{password}@h:5433/x", 1)
    except ValueError:
        return
    assert (read["user"], read["host"], read["port"]) == ("bot", "h", "5433")
    assert read["dbname"] == "x"


@given(PASSWORDS)
@example("12/0")
@example("12?34")
@example("12#34")
@example("a@b?c")
def test_redis_connects_to_the_host_behind_the_password_or_not_at_all(password):
    try:
        read = parse_location(f"redis://bot:{password}@h:6380/0")
    except InvalidArgument:
        return
    assert dict(read.nodes[0]) == {"host": "h", "port": 6380}


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://h:5432/d?application_name=a@b",
        "postgresql://u:p%40ss%2F@h/my%40base",
        "postgresql://u:a#b?c@h/d",
        "postgresql:///d?host=@socket&user=u",
    ],
)
def test_urls_that_postgres_understands_as_they_are_meant_are_taken(url):
    assert parameters(url, 1)["dbname"] in ("d", "my@base")


@pytest.mark.parametrize(
    "url", ["redis://h:6379/0?client_name=a@b", "unix:///run/a@b.sock", "redis://u:a@b@h/0"]
)
def test_urls_that_redis_understands_as_they_are_meant_are_taken(url):
    parse_location(url)
