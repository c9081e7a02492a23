"""Where candles come from: exchanges through ccxt, files, callables, and a synthetic generator."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ohlcache.sources.callables import CallableSource, as_source
from ohlcache.sources.protocol import Capabilities, Source

if TYPE_CHECKING:
    from ohlcache.sources.ccxt import CcxtSource
    from ohlcache.sources.files import FileSource
    from ohlcache.sources.synthetic import SyntheticSource

__all__ = [
    "CallableSource",
    "Capabilities",
    "CcxtSource",
    "FileSource",
    "Source",
    "SyntheticSource",
    "as_source",
]

# Resolved on first use: each of them imports libraries that the others do not need.
_HOMES = {
    "CcxtSource": "ohlcache.sources.ccxt",
    "FileSource": "ohlcache.sources.files",
    "SyntheticSource": "ohlcache.sources.synthetic",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)
