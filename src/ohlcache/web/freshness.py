"""How long an answer may be reused: for ever where it is history, else it has to be asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ohlcache.candles import Grid, IntervalSet, Timeframe
from ohlcache.candles.interval import covers
from ohlcache.candles.resample import divides
from ohlcache.errors import UnknownSymbol
from ohlcache.history import MarketData
from ohlcache.web.page import Page
from ohlcache.web.query import Query

IMMUTABLE = "public, max-age=31536000, immutable"
CHECKED_EACH_TIME = "no-cache"  # which our ETag makes cheap


class Known(NamedTuple):
    """What one stored series covers, and how many ms beyond the last open a candle needs of it."""

    coverage: IntervalSet
    reach: int


def known_history(md: MarketData, query: Query) -> list[Known]:
    """What is stored that can answer a query.

    To be asked for before the candles are read: what is covered only after that may have come too
    late for them.
    """
    if query.start is None:
        return []
    try:
        coverage = md.coverage(query.symbol, query.timeframe, venue=query.venue)
    except UnknownSymbol:
        return list(_bases(md, query))
    return [Known(tuple(coverage), 0)]


def cache_control(known: list[Known], query: Query, page: Page) -> str:
    """The Cache-Control of a page.

    Closed candles never change, and what is covered is closed. So an answer is final when its
    range was given in full, or filled up to the limit from a given start, and one series covers
    all of it.
    """
    end = query.end if page.next_start is None else page.next_start
    if query.start is None or end is None:
        return CHECKED_EACH_TIME
    is_final = any(covers(each.coverage, query.start, end + each.reach) for each in known)
    return IMMUTABLE if is_final else CHECKED_EACH_TIME


def _bases(md: MarketData, query: Query) -> Iterator[Known]:
    """The stored series from which the timeframe asked for is made."""
    wanted = query.timeframe
    for info in md.series():
        if info.symbol != query.symbol or query.venue not in (None, info.venue):
            continue
        stored = Timeframe.parse(info.timeframe)
        if divides(Grid(stored), Grid(wanted)):
            coverage = md.coverage(info.symbol, stored, venue=info.venue)
            # Twice, since months are longer than they count, and sessions may be shifted.
            yield Known(tuple(coverage), 2 * wanted.milliseconds)
