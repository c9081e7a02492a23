"""Recent candles and facts about symbols in the cache, each for as long as it stays fresh."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np

from ohlcache.cache.categories import CacheCategory
from ohlcache.cache.keys import arguments_text
from ohlcache.cache.process import get_cache_manager
from ohlcache.candles.block import Block, Times
from ohlcache.candles.frames import Frame, to_block
from ohlcache.candles.grid import Grid, detect_anchor
from ohlcache.candles.instant import Instant, to_iso, to_ms
from ohlcache.candles.timeframe import Timeframe
from ohlcache.errors import InvalidArgument

if TYPE_CHECKING:
    from ohlcache.cache.manager import CacheManager

_CATEGORY = CacheCategory.MARKET_DATA_OHLCV


class MarketDataCache:
    """Frames of candles by symbol and timeframe, and metadata by symbol, on a CacheManager.

    It keeps what it was given, whole: a range that the frame does not cover to both ends is a
    miss, never a shorter answer. For history that grows and fills its own gaps use MarketData.
    Every method has an async door with an ``a`` before its name.
    """

    def __init__(self, cache: CacheManager | None = None) -> None:
        """``cache``: where to keep it; None: the process-wide cache manager."""
        self._given = cache

    @property
    def _cache(self) -> CacheManager:
        return self._given or get_cache_manager()

    def set_ohlcv(
        self,
        symbol: str,
        timeframe: str | Timeframe,
        data: Frame,
        *,
        venue: str | None = None,
        ttl: float | None = None,
    ) -> None:
        """Keep a frame of candles in place of the one that was there.

        data: a pandas or polars DataFrame, an Arrow table, a mapping of arrays, or rows
            ``[ms, open, high, low, close, volume]``; in ascending order of open times.
        ttl: seconds; None: the freshness of the timeframe (1m 60 s, 5m 300 s, 1h 1800 s, 1d
            14400 s, others in proportion).

        Raises InvalidArgument for what is no table of candles or not in order, UnknownTimeframe.
        """
        self._cache.set(*_candles_to_keep(symbol, timeframe, data, venue, ttl))

    async def aset_ohlcv(
        self,
        symbol: str,
        timeframe: str | Timeframe,
        data: Frame,
        *,
        venue: str | None = None,
        ttl: float | None = None,
    ) -> None:
        """:meth:`set_ohlcv` for async code."""
        await self._cache.aset(*_candles_to_keep(symbol, timeframe, data, venue, ttl))

    def get_ohlcv(
        self,
        symbol: str,
        timeframe: str | Timeframe,
        start: Instant | None = None,
        end: Instant | None = None,
        *,
        venue: str | None = None,
    ) -> Frame | None:
        """The candles that open in [start, end), in the type of frame that was given.

        None when there is no fresh frame, or when it does not reach from ``start`` to ``end``: it
        covers the time from its first open to the close of its last candle. None as ``start`` or
        ``end`` means as far as it reaches. Raises InvalidArgument unless start is before end.
        """
        wanted = _Wanted(symbol, timeframe, start, end, venue)
        return wanted.part_of(self._cache.get(wanted.key, _CATEGORY))

    async def aget_ohlcv(
        self,
        symbol: str,
        timeframe: str | Timeframe,
        start: Instant | None = None,
        end: Instant | None = None,
        *,
        venue: str | None = None,
    ) -> Frame | None:
        """:meth:`get_ohlcv` for async code."""
        wanted = _Wanted(symbol, timeframe, start, end, venue)
        return wanted.part_of(await self._cache.aget(wanted.key, _CATEGORY))

    def set_metadata(
        self, symbol: str, metadata: Mapping[str, Any], *, venue: str | None = None
    ) -> None:
        """Keep facts about a symbol (tick size, lot size, …) in place of those that were there.

        Raises InvalidArgument for what is no mapping.
        """
        self._cache.set(*_metadata_to_keep(symbol, metadata, venue))

    async def aset_metadata(
        self, symbol: str, metadata: Mapping[str, Any], *, venue: str | None = None
    ) -> None:
        """:meth:`set_metadata` for async code."""
        await self._cache.aset(*_metadata_to_keep(symbol, metadata, venue))

    def get_metadata(self, symbol: str, *, venue: str | None = None) -> dict[str, Any] | None:
        """The facts about a symbol, as a dict of one's own; None when there are none."""
        return _own(self._cache.get(_metadata_key(symbol, venue), _CATEGORY))

    async def aget_metadata(
        self, symbol: str, *, venue: str | None = None
    ) -> dict[str, Any] | None:
        """:meth:`get_metadata` for async code."""
        return _own(await self._cache.aget(_metadata_key(symbol, venue), _CATEGORY))


class _Wanted:
    """A range of candles that is asked for."""

    def __init__(
        self,
        symbol: str,
        timeframe: str | Timeframe,
        start: Instant | None,
        end: Instant | None,
        venue: str | None,
    ) -> None:
        self._timeframe = Timeframe.parse(timeframe)
        self._start = None if start is None else to_ms(start, "start")
        self._end = None if end is None else to_ms(end, "end")
        if self._start is not None and self._end is not None and self._start >= self._end:
            raise InvalidArgument(
                f"start {to_iso(self._start)} is not before end {to_iso(self._end)}: ranges are "
                "[start, end)"
            )
        self.key = _candles_key(symbol, self._timeframe, venue)

    def part_of(self, kept: Mapping[str, Any] | None) -> Frame | None:
        """The wanted part of what is kept; None unless it is there to both ends."""
        if kept is None:
            return None
        if self._start is None and self._end is None:
            return kept["data"]
        times: Times = kept["times"]
        if not len(times):
            return None
        covered_from, covered_to = int(times[0]), _covered_to(times, self._timeframe)
        start = covered_from if self._start is None else self._start
        end = covered_to if self._end is None else self._end
        if not covered_from <= start < end <= covered_to:
            return None
        first, last = np.searchsorted(times, np.array((start, end), np.int64)).tolist()
        return _rows(kept["data"], first, last)


def _candles_to_keep(
    symbol: str, timeframe: str | Timeframe, data: Frame, venue: str | None, ttl: float | None
) -> tuple[str, dict[str, Any], str, float]:
    timeframe = Timeframe.parse(timeframe)
    if data is None:
        raise InvalidArgument("data is None: give a table of candles")
    times = to_block(data).times
    if not (np.diff(times) > 0).all():
        raise InvalidArgument("data is not in ascending order of open times: sort it, each once")
    ttl = timeframe.freshness if ttl is None else ttl
    return _candles_key(symbol, timeframe, venue), {"times": times, "data": data}, _CATEGORY, ttl


def _metadata_to_keep(
    symbol: str, metadata: Mapping[str, Any], venue: str | None
) -> tuple[str, dict[str, Any], str]:
    if not isinstance(metadata, Mapping):
        raise InvalidArgument(f"metadata is {metadata!r}: give a mapping of facts")
    return _metadata_key(symbol, venue), deepcopy(dict(metadata)), _CATEGORY


def _candles_key(symbol: str, timeframe: Timeframe, venue: str | None) -> str:
    named = (("symbol", _checked_symbol(symbol)), ("timeframe", str(timeframe)), ("venue", venue))
    return arguments_text("ohlcv", named)


def _metadata_key(symbol: str, venue: str | None) -> str:
    return arguments_text("metadata", (("symbol", _checked_symbol(symbol)), ("venue", venue)))


def _checked_symbol(symbol: str) -> str:
    if not isinstance(symbol, str) or not symbol:
        raise InvalidArgument(f"symbol is {symbol!r}: give a name, for example BTC/USDT")
    return symbol


def _own(metadata: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if metadata is None else deepcopy(metadata)


def _covered_to(times: Times, timeframe: Timeframe) -> int:
    """When the last candle closes; months, and days under summer time, differ in length."""
    if not timeframe.is_daily_or_longer:
        return int(times[-1]) + timeframe.milliseconds
    return Grid(timeframe, detect_anchor(timeframe, times)).next(int(times[-1]))


def _rows(data: Frame, first: int, last: int) -> Frame:
    """Rows first to last (exclusive) of any frame that ``to_block`` takes."""
    if isinstance(data, Block):
        return data.slice(first, last)
    if isinstance(data, Mapping):
        return {name: column[first:last] for name, column in data.items()}
    return (data.iloc if hasattr(data, "iloc") else data)[first:last]
