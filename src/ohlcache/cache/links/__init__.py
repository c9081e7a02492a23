"""What lies between the walk and the shared tiers: breaker, journal, trust, versions, leases."""

from __future__ import annotations

from ohlcache.cache.links.authority import Authority
from ohlcache.cache.links.leases import Leases
from ohlcache.cache.links.link import UNAVAILABLE, UNCERTAIN, Link
from ohlcache.cache.links.stamps import Stamps
from ohlcache.cache.links.trust import NOT_LIVE, Epoch, Trust
from ohlcache.cache.links.versions import (
    NAMESPACE,
    Versions,
    category_name,
    new_version,
    tag_name,
)

__all__ = [
    "NAMESPACE",
    "NOT_LIVE",
    "UNAVAILABLE",
    "UNCERTAIN",
    "Authority",
    "Epoch",
    "Leases",
    "Link",
    "Stamps",
    "Trust",
    "Versions",
    "category_name",
    "new_version",
    "tag_name",
]
