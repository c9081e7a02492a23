"""Categories of cached values and the policies they start with."""

from __future__ import annotations

from enum import StrEnum

from ohlcache.settings import CategorySettings


class CacheCategory(StrEnum):
    """The categories that are always there; settings may add others, by any name."""

    MARKET_DATA = "market_data"
    FEATURES = "features"
    STRATEGY_RESULTS = "strategy_results"
    WORKFLOW = "workflow"
    MARKET_DATA_OHLCV = "market_data_ohlcv"
    HISTORICAL_DATA = "historical_data"
    API_RESPONSES = "api_responses"
    DEFAULT = "default"


_DEFAULTS = {
    CacheCategory.MARKET_DATA: CategorySettings(ttl_seconds=30, max_size_mb=50),
    CacheCategory.FEATURES: CategorySettings(ttl_seconds=300, max_size_mb=100, priority=60),
    CacheCategory.STRATEGY_RESULTS: CategorySettings(
        ttl_seconds=1800, max_size_mb=100, priority=80
    ),
    CacheCategory.WORKFLOW: CategorySettings(ttl_seconds=600, max_size_mb=50, priority=70),
    CacheCategory.MARKET_DATA_OHLCV: CategorySettings(ttl_seconds=300, max_size_mb=50),
    CacheCategory.HISTORICAL_DATA: CategorySettings(ttl_seconds=3600, max_size_mb=200, priority=40),
    CacheCategory.API_RESPONSES: CategorySettings(ttl_seconds=60, max_size_mb=50, priority=30),
    CacheCategory.DEFAULT: CategorySettings(ttl_seconds=300, max_size_mb=100),
}


def policies(changed: dict[str, CategorySettings]) -> dict[str, CategorySettings]:
    """The policy of every category: the defaults, and what ``changed`` says otherwise of them."""
    found = {str(category): policy for category, policy in _DEFAULTS.items()}
    for name, given in changed.items():
        found[name] = overlaid(found.get(name, CategorySettings()), given)
    return found


def overlaid(policy: CategorySettings, given: CategorySettings) -> CategorySettings:
    """``policy`` with every field that ``given`` names."""
    return policy.model_copy(update={name: getattr(given, name) for name in given.model_fields_set})
