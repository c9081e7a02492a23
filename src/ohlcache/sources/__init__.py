"""Where candles come from: exchanges (ccxt), files, data lakes, callables, or made up."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ohlcache.quiet import keep_quiet
from ohlcache.sources.callables import CallableSource, as_source
from ohlcache.sources.live import Stream
from ohlcache.sources.protocol import Capabilities, Source

if TYPE_CHECKING:
    from ohlcache.sources.ccxt import CcxtSource
    from ohlcache.sources.ccxt_stream import CcxtStream
    from ohlcache.sources.files import FileSource
    from ohlcache.sources.lake import LakeSource
    from ohlcache.sources.synthetic import SyntheticSource

__all__ = [
    "CallableSource",
    "Capabilities",
    "CcxtSource",
    "CcxtStream",
    "FileSource",
    "LakeSource",
    "Source",
    "Stream",
    "SyntheticSource",
    "as_source",
]

keep_quiet("stamina")  # it tries again what a source failed to give

# Resolved on first use: each of them imports libraries that the others do not need.
_HOMES = {
    "CcxtSource": "ohlcache.sources.ccxt",
    "CcxtStream": "ohlcache.sources.ccxt_stream",
    "FileSource": "ohlcache.sources.files",
    "LakeSource": "ohlcache.sources.lake",
    "SyntheticSource": "ohlcache.sources.synthetic",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)
