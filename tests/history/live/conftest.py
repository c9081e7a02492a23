"""What the tests of following share: time that they let pass, and stores on it."""

from __future__ import annotations

import pytest
import stamina
from live_exchange import T0, Time

from ohlcache.history import MarketData, SQLiteEngine, Store


@pytest.fixture(autouse=True)
def _retries_do_not_wait():
    with stamina.set_testing(True, attempts=10_000):
        yield


@pytest.fixture
def time():
    return Time(T0)


@pytest.fixture
def opened(tmp_path, time):
    """Opens the store of the test, with or without a source, on a machine with the given clock."""
    opened = []

    def open_(source=None, clock=time):
        store = Store(SQLiteEngine(tmp_path / "store.sqlite", 5.0))
        opened.append(MarketData(store, source, clock=clock, sleep=time.sleep))
        return opened[-1]

    yield open_
    for market_data in opened:
        market_data.close()
