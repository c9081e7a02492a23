"""Connections to PostgreSQL: bounded in time and number, replaced when lost, and what errors mean.

Importing it needs psycopg; MissingExtra names the extra where it is not installed.
"""

from __future__ import annotations

from ohlcache.errors import MissingExtra
from ohlcache.quiet import keep_quiet

try:
    from ohlcache.postgres.connection import BoundedConnection, connect, parameters
    from ohlcache.postgres.errors import explained
    from ohlcache.postgres.pool import ConnectionLost, Pool
except ImportError as missing:
    raise MissingExtra(missing.name or "psycopg", "postgres") from missing

keep_quiet("psycopg")

__all__ = ["BoundedConnection", "ConnectionLost", "Pool", "connect", "explained", "parameters"]
