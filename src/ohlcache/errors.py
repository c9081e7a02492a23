"""Every error that ohlcache raises, one tree under :class:`OhlcacheError`.

A message is one line: it names the field, the value and what to do about it.
"""

from __future__ import annotations


class OhlcacheError(Exception):
    """The root of every error raised by ohlcache."""


class InvalidArgument(OhlcacheError, ValueError):
    """An argument cannot be used: the message names it, its value and the remedy."""


class UnknownSnapshot(InvalidArgument, LookupError):
    """No snapshot has this name; the message lists those that look like it."""


class UnknownTimeframe(InvalidArgument):
    """A timeframe that is not ``<count><unit>`` with a unit of ``s m h d w M``."""


class MissingExtra(OhlcacheError, ImportError):
    """A feature needs a package that is not installed; the message names the extra."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed: run  pip install 'ohlcache[{extra}]'")


class CandlesRefused(OhlcacheError, ValueError):
    """A strict write met rows that cannot be candles; nothing was stored."""


class ChunkError(OhlcacheError):
    """An encoded chunk cannot be decoded."""


class ChunkDamaged(ChunkError):
    """An encoded chunk is truncated, altered or not a chunk at all."""


class ChunkVersionUnsupported(ChunkError):
    """An encoded chunk was written by a newer ohlcache."""


class StoreError(OhlcacheError):
    """The candle store cannot do what was asked."""


class StoreLocked(StoreError):
    """Others kept the store locked, or its connections in use, for longer than the busy timeout."""


class StoreReadOnly(StoreError):
    """The store, its folder or its file system does not allow writing."""


class StoreUnavailable(StoreError):
    """The server of the store cannot be reached, or the connection to it was lost."""


class StoreFull(StoreError):
    """The disk that holds the store is full; what was committed before is kept."""


class StoreForeign(StoreError):
    """The database belongs to another program, or is not a database."""


class StoreVersionUnsupported(StoreError):
    """The store was written by a version of ohlcache that this one cannot read."""


class StoreDamaged(StoreError):
    """The store holds bytes that fail their checksum; ``verify`` says where."""


class SourceError(OhlcacheError):
    """A source of candles failed."""


class SourceUnavailable(SourceError):
    """A passing failure of a source (network, overload, rate limit): worth another try."""


class UnknownSymbol(SourceError):
    """The source does not know the symbol."""


class UnsupportedBySource(SourceError):
    """The source cannot deliver what was asked, for example the timeframe."""


class FetchError(SourceError):
    """A missing range could not be fetched; what arrived before the failure is stored."""


class FileFormatError(OhlcacheError):
    """A file cannot be read as candles: truncated, foreign, or a row that does not fit."""


class CacheError(OhlcacheError):
    """The cache cannot do what was asked."""


class TierUnavailable(CacheError):
    """A shared tier is out of order; raised only where settings ask for errors of tiers."""


class LoadTimeout(CacheError, TimeoutError):
    """A loader took longer than its category allows."""


class RecursiveLoad(CacheError):
    """A loader asked the cache for the very key that it is loading."""


class NotFound(CacheError, LookupError):
    """Raised by a loader to say that there is no value; that is remembered for a while."""


class ValueDamaged(CacheError):
    """Bytes of a cached value are truncated, altered, foreign or of an unknown format."""


class ValueRefused(CacheError):
    """A cached value is a pickle that is not signed with the key in force; it was not run."""


class AlertUndelivered(OhlcacheError):
    """An alert could not be delivered by its handler; the message says after how many attempts."""


class ReportUnreadable(OhlcacheError):
    """What was posted as the report of a process is foreign, damaged or of another version."""
