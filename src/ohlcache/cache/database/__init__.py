"""The database tier: SQLite or PostgreSQL behind the interface of a shared tier."""

from __future__ import annotations

from ohlcache.cache.database.tier import DatabaseTier

__all__ = ["DatabaseTier"]
