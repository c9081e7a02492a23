"""Encoded chunks that processes and machines share in front of the store."""

from __future__ import annotations

from ohlcache.history.shared.identity import store_identity
from ohlcache.history.shared.lookup import ChunkTier, Lookup, Place

__all__ = ["ChunkTier", "Lookup", "Place", "store_identity"]
