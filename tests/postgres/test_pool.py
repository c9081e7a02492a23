"""Connections to PostgreSQL: how many, for whom, and after a fork."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from ohlcache.errors import StoreLocked
from ohlcache.postgres import Pool, connect, parameters


@pytest.fixture
def pool(postgres_url):
    given = parameters(postgres_url, 5.0)
    opened = Pool(lambda: connect(given, 5.0, {}), 0.01, "the store")
    yield opened
    opened.close()


def take(pool, held, count, *, may_wait):
    for _ in range(count):
        held.enter_context(pool.taken(may_wait=may_wait))


def test_those_who_may_wait_for_locks_never_have_all_connections(pool):
    with ExitStack() as held:
        take(pool, held, 6, may_wait=True)
        with (
            pytest.raises(StoreLocked, match="all 6 connections that the store keeps for writers"),
            pool.taken(may_wait=True),
        ):
            pass
        take(pool, held, 2, may_wait=False)
        with (
            pytest.raises(StoreLocked, match="all 8 connections of the store are in use"),
            pool.taken(),
        ):
            pass
    with ExitStack() as held:
        take(pool, held, 6, may_wait=True)
        take(pool, held, 2, may_wait=False)
    assert pool.idle == 8


def test_readers_may_have_all_connections_and_a_writer_then_waits(pool):
    with ExitStack() as held:
        take(pool, held, 8, may_wait=False)
        for _ in range(7):  # what it took before it was refused is given back
            with (
                pytest.raises(StoreLocked, match="all 8 connections"),
                pool.taken(may_wait=True),
            ):
                pass
    with ExitStack() as held:
        take(pool, held, 6, may_wait=True)


def test_an_error_gives_back_what_was_taken(pool):
    for _ in range(9):
        with pytest.raises(ValueError, match="of the user"), pool.taken(may_wait=True):
            raise ValueError("of the user")
    assert pool.idle == 1


def test_a_child_is_not_short_of_what_its_parent_uses(pool):
    with ExitStack() as of_parent, ExitStack() as held:
        take(pool, of_parent, 6, may_wait=True)
        pool.renew_after_fork()  # as if in the child
        take(pool, held, 6, may_wait=True)
        take(pool, held, 2, may_wait=False)
