"""The composition root: builds what users ask for from settings, and wires the rooms together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ohlcache.errors import InvalidArgument
from ohlcache.history import MarketData, SQLiteEngine, Store
from ohlcache.settings import Settings, as_settings
from ohlcache.sources import as_source

_FILE_NAME = "ohlcache.sqlite"


def open(  # noqa: A001  # read as ohlcache.open
    location: str | Path | None = None,
    *,
    source: Any = None,
    settings: Settings | Mapping[str, Any] | str | Path | None = None,
) -> MarketData:
    """Open a store of candles, creating it where it does not exist.

    location: a directory (SQLite inside) or ``sqlite:///path``; None: the configured default
        (``OHLCACHE_STORE``, or the user's data directory).
    source: where missing candles come from: an object of the Source protocol, or a callable
        ``(symbol, timeframe, start_ms, end_ms)`` that returns a frame, an Arrow table or ccxt rows.
    settings: a Settings, a dict or the path of a YAML file.

    Returns a MarketData, a sync and async context manager. Raises InvalidArgument for a location
    that cannot be one, and the StoreErrors: StoreForeign, StoreVersionUnsupported, StoreLocked,
    StoreReadOnly.
    """
    options = as_settings(settings).history
    path = database_path(str(options.location if location is None else location))
    chosen = None if source is None else as_source(source)
    return MarketData(
        Store(SQLiteEngine(path, options.busy_timeout_seconds)),
        chosen,
        memory_bytes=options.memory_mb * 2**20,
        sessions=options.sessions,
    )


def database_path(location: str) -> Path:
    """The SQLite file that a location means. Raises InvalidArgument for one that means none."""
    if location.startswith(("postgresql:", "postgres:")):
        raise InvalidArgument(
            f"location {location!r}: this version stores in SQLite only, give a directory"
        )
    scheme, separator, rest = location.partition("://")
    if separator:
        if scheme != "sqlite" or not rest.startswith("/") or len(rest) == 1:
            raise InvalidArgument(
                f"location {location!r} is not understood: give a directory or sqlite:///path"
            )
        return Path(rest[1:])
    if not location:
        raise InvalidArgument("location is empty: give a directory or sqlite:///path")
    path = Path(location).expanduser()
    return path if path.is_file() else path / _FILE_NAME
