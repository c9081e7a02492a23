"""What the tests share: stores in temporary folders, and real files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

import ohlcache

pytest_plugins = ["postgres_server", "redis_server"]

settings.register_profile("suite", deadline=None)  # how long an example takes is no matter
settings.load_profile("suite")

REAL_CANDLES = Path(__file__).resolve().parents[2] / "shared" / "data" / "candles"


@pytest.fixture(autouse=True, scope="session")
def _no_terminal():
    """The terminal that the tests are started from does not decide how wide anything is printed."""
    os.environ.pop("COLUMNS", None)


@pytest.fixture
def md(tmp_path):
    with ohlcache.open(tmp_path / "store") as market_data:
        yield market_data


@pytest.fixture
def real_candles():
    if not REAL_CANDLES.is_dir():
        pytest.skip("the real candles are not on this machine")
    return REAL_CANDLES


@pytest.fixture
def reachable(tmp_path):
    """A temporary folder that other users may enter and list, to run a process as one of them."""
    for folder in (tmp_path, *tmp_path.parents):
        if not folder.stat().st_mode & 0o005 and folder.stat().st_uid == os.getuid():
            folder.chmod(folder.stat().st_mode | 0o055)
    return tmp_path
