"""Opening a store that settings forbid: refused before anything is touched, nothing left open."""

from __future__ import annotations

import time

import psycopg
import pytest

import ohlcache
from made_candles import make_block
from ohlcache.errors import InvalidArgument

NO_REDIS = {"history": {"share_chunks": True}}
NO_REDIS_URL = {"cache": {"l2": {"redis_url": "http://127.0.0.1"}}, **NO_REDIS}


def test_settings_that_contradict_each_other_make_no_store(tmp_path):
    with pytest.raises(InvalidArgument, match=r"share_chunks is true.*name its redis_url"):
        ohlcache.open(tmp_path / "store", settings=NO_REDIS)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("settings", [NO_REDIS, NO_REDIS_URL])
def test_an_open_that_is_refused_keeps_no_connection(postgres_schema_url, settings):
    name = f"refused {time.time_ns()}"
    location = f"{postgres_schema_url}&application_name={name.replace(' ', '%20')}"
    with pytest.raises(InvalidArgument) as refused:
        ohlcache.open(location, settings=settings)
    deadline = time.monotonic() + 5  # the server takes a moment to see that one is closed
    counting = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
    with psycopg.connect(postgres_schema_url, autocommit=True) as connection:
        while connection.execute(counting, (name,)).fetchone() != (0,):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert refused.value  # until here its frames, and what they refer to, are alive


def test_an_open_that_succeeds_stays_open(tmp_path):
    with ohlcache.open(tmp_path) as md:
        assert md.write("BTC/USDT", "1m", make_block(10)).added == 10
        assert len(md.candles("BTC/USDT", "1m")) == 10
