"""Both databases do what every shared tier must do."""

from __future__ import annotations

import pytest

from cache.shared_tier import SharedTierContract


class TestDatabaseTier(SharedTierContract):
    @pytest.fixture
    def tier(self, open_tier, url):
        return open_tier(url)

    @pytest.fixture
    def other(self, open_tier, url):
        return open_tier(url)
