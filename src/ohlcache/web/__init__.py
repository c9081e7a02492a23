"""Candles over HTTP: a blueprint, an application of its own, and a server for it.

Needs the extra "web"; names are resolved on first use, so that what needs no Flask works without.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ohlcache.web.api import candles_url, make_blueprint
    from ohlcache.web.app import create_app
    from ohlcache.web.server import Server

__all__ = ["Server", "candles_url", "create_app", "make_blueprint"]

_HOMES = {
    "Server": "ohlcache.web.server",
    "candles_url": "ohlcache.web.api",
    "create_app": "ohlcache.web.app",
    "make_blueprint": "ohlcache.web.api",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)
