"""What the tests of the database tier share."""

from __future__ import annotations

import pytest

from ohlcache.cache.database import DatabaseTier


@pytest.fixture
def sqlite_url(tmp_path):
    return f"sqlite:///{tmp_path / 'cache.db'}"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request):
    """The URL of an empty database, one of each kind."""
    kind = "sqlite_url" if request.param == "sqlite" else "postgres_schema_url"
    return request.getfixturevalue(kind)


@pytest.fixture
def open_tier():
    """Opens tiers and closes them after the test."""
    tiers = []

    def open_one(url: str, **options) -> DatabaseTier:
        tiers.append(DatabaseTier(url, **options))
        return tiers[-1]

    yield open_one
    for tier in tiers:
        tier.close()


class FakeClock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return FakeClock()
