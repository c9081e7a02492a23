"""The composition root: builds what users ask for from settings, and wires the rooms together."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ohlcache.errors import InvalidArgument
from ohlcache.history import MarketData, SQLiteEngine, Store
from ohlcache.history.engine import Engine
from ohlcache.history.past.recording import Keeping
from ohlcache.history.shared import ChunkTier, store_identity
from ohlcache.settings import RedisTierSettings, Settings, as_settings
from ohlcache.sources import as_source
from ohlcache.urls import masked

_FILE_NAME = "ohlcache.sqlite"


def open(  # noqa: A001  # read as ohlcache.open
    location: str | Path | None = None,
    *,
    source: Any = None,
    settings: Settings | Mapping[str, Any] | str | Path | None = None,
) -> MarketData:
    """Open a store of candles, creating it where it does not exist.

    location: a directory (SQLite inside), ``sqlite:///path``, or ``postgresql://user@host/name``
        for one that many machines share; None: the configured default (``OHLCACHE_STORE``, or the
        user's data directory).
    source: where missing candles come from: an object of the Source protocol, or a callable
        ``(symbol, timeframe, start_ms, end_ms)`` that returns a frame, an Arrow table or ccxt rows.
    settings: a Settings, a dict or the path of a YAML file.

    Returns a MarketData, a sync and async context manager. Raises InvalidArgument for a location
    that cannot be one, and the StoreErrors: StoreForeign, StoreVersionUnsupported, StoreLocked,
    StoreReadOnly, StoreUnavailable, or MissingExtra for PostgreSQL without psycopg.
    """
    chosen_settings = as_settings(settings)
    options = chosen_settings.history
    where = str(options.location if location is None else location)
    chosen = None if source is None else as_source(source)
    sharing = _sharing(chosen_settings, is_remote=is_postgres(where))
    with ExitStack() as if_refused:
        engine = _engine(where, options.busy_timeout_seconds)
        if_refused.callback(engine.close)
        chunks = None
        if sharing is not None:
            chunks = _shared_chunks(sharing, chosen_settings.cache.namespace, engine)
        if chunks is not None:
            if_refused.callback(chunks.close)
        opened = MarketData(
            Store(engine, chunks, Keeping(revisions_days=options.revisions_days)),
            chosen,
            memory_bytes=options.memory_mb * 2**20,
            sessions=options.sessions,
            lease_seconds=options.lease_seconds,
            prefetch=options.prefetch,
        )
        if_refused.pop_all()
    return opened


def is_postgres(location: str) -> bool:
    """Whether a location means PostgreSQL; if not, it means SQLite."""
    return location.startswith(("postgresql:", "postgres:"))


def _engine(location: str, busy_seconds: float) -> Engine:
    if is_postgres(location):
        import ohlcache.postgres  # noqa: F401  # it says what to install where psycopg is missing
        from ohlcache.history.postgres_engine import PostgresEngine

        return PostgresEngine(location, busy_seconds)
    return SQLiteEngine(database_path(location), busy_seconds)


def _sharing(settings: Settings, *, is_remote: bool) -> RedisTierSettings | None:
    """The Redis in which encoded chunks lie in front of the store, if settings want that."""
    l2, wanted = settings.cache.l2, settings.history.share_chunks
    if l2 is None and wanted is True:
        raise InvalidArgument(
            "history.share_chunks is true, but there is no cache.l2: name its redis_url"
        )
    return l2 if wanted is True or (wanted == "auto" and is_remote) else None


def _shared_chunks(l2: RedisTierSettings, namespace: str, engine: Engine) -> ChunkTier | None:
    """None where the store has no name that tells it from others."""
    identity = store_identity(engine)
    if identity is None:
        return None
    from ohlcache.cache.redis import RedisTier
    from ohlcache.history.shared.redis_chunks import RedisChunks

    tier = RedisTier(
        l2.redis_url,
        namespace=namespace,
        max_bytes=None if l2.max_size_mb is None else int(l2.max_size_mb * 2**20),
        timeout_seconds=l2.timeout_seconds,
    )
    return RedisChunks(tier, identity)


def database_path(location: str) -> Path:
    """The SQLite file that a location means. Raises InvalidArgument for one that means none."""
    scheme, separator, rest = location.partition("://")
    if separator:
        if scheme != "sqlite" or not rest.startswith("/") or len(rest) == 1:
            raise InvalidArgument(
                f"location {masked(location)!r} is not understood: give a directory, "
                "sqlite:///path or postgresql://user@host/database"
            )
        return Path(rest[1:])
    if not location:
        raise InvalidArgument("location is empty: give a directory")
    path = Path(location).expanduser()
    return path if path.is_file() else path / _FILE_NAME
