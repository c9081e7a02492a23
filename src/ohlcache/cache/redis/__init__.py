"""The shared tier in Redis: coherent between processes, within a size budget, sync and async.

Importing it needs the extra ``redis``; MissingExtra names it where it is not installed.
"""

from __future__ import annotations

# Sockets import it when they first connect. A thread that is at it while the process forks would
# leave its lock behind, and the child would wait for it for ever.
import encodings.idna  # noqa: F401

from ohlcache.errors import MissingExtra

try:
    import hiredis  # noqa: F401
    import redis  # noqa: F401
except ImportError as missing:
    raise MissingExtra(missing.name or "redis", "redis") from missing

from ohlcache.cache.redis.tier import RedisTier

__all__ = ["RedisTier"]
